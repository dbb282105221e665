"""RTCP as a voice client needs it: sender and receiver reports, generic NACK. No I/O.

Source: RFC 3550 section 6 (reports, SDES, BYE), RFC 4585 section 6.2.1 (generic NACK), RFC 5506 (reduced size).
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

SENDER_REPORT = 200
RECEIVER_REPORT = 201
_SOURCE_DESCRIPTION = 202
BYE = 203
_TRANSPORT_FEEDBACK = 205
_GENERIC_NACK = 1  # the format field of transport feedback
_CNAME = 1
_VERSION = 2
_PADDING = 0x20
_HEADER = struct.Struct("!BBH")
_SENDER_INFO = struct.Struct("!IQIII")  # SSRC, NTP time, RTP time, packets, bytes
_BLOCK = struct.Struct("!IIIIII")
_NACK_ENTRY = struct.Struct("!HH")  # packet id, bitmask of the 16 after it
_MAX_BLOCKS = 31
_MAX_BYTES = 1_452  # of a compound packet that comes: 1500 less IPv6 and UDP headers
_NTP_EPOCH_S = 2_208_988_800  # from 1900 to 1970


class RtcpError(ValueError):
    """Not a compound packet: its lengths do not hold, or its version is another."""


@dataclass(frozen=True, slots=True)
class SenderReport:
    """What the sender of a stream says about it. ntp_middle: the middle 32 bits of its NTP time, for `last_report`."""

    ssrc: int
    ntp_middle: int


@dataclass(frozen=True, slots=True)
class ReceptionBlock:
    """What a receiver says of one of our streams. fraction_lost: in 1/256; jitter: in ticks of the RTP clock."""

    ssrc: int
    fraction_lost: int
    n_lost: int
    highest_seq: int
    jitter: int
    last_report: int = 0
    since_last_report: int = 0  # in 1/65536 s


@dataclass(frozen=True, slots=True)
class Nack:
    """A receiver asks for these packets of our stream again."""

    ssrc: int
    seqs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Goodbye:
    """These streams have ended."""

    ssrcs: tuple[int, ...]


Item = SenderReport | ReceptionBlock | Nack | Goodbye


def parse(packet: bytes) -> list[Item]:
    """Return what a compound packet says; kinds that are not known here are left out. Raises RtcpError."""
    if len(packet) > _MAX_BYTES:
        raise RtcpError(f"{len(packet)} bytes, at most {_MAX_BYTES} are read")
    items: list[Item] = []
    for kind, count, body in _split(packet):
        if kind == SENDER_REPORT:
            items += _parse_sender_report(count, body)
        elif kind == RECEIVER_REPORT:
            items += _parse_blocks(count, body, start=4)
        elif kind == _TRANSPORT_FEEDBACK and count == _GENERIC_NACK:
            items.append(_parse_nack(body))
        elif kind == BYE:
            if len(body) < 4 * count:
                raise RtcpError("BYE: shorter than its count says")
            items.append(Goodbye(struct.unpack_from(f"!{count}I", body)))
    return items


def write_report(
    sender: tuple[int, float, int, int, int] | None, ssrc: int, cname: str, blocks: Iterable[ReceptionBlock]
) -> bytes:
    """Return a compound packet: a sender report, or a receiver report if sender is None, and the CNAME.

    sender: (SSRC, time of day in s, its RTP time, packets sent, bytes of payload sent). ssrc: who reports.
    """
    kept = list(blocks)[:_MAX_BLOCKS]
    body = b"".join(_write_block(block) for block in kept)
    if sender is None:
        report = _packet(len(kept), RECEIVER_REPORT, ssrc.to_bytes(4, "big") + body)
    else:
        info_ssrc, time_s, *counts = sender
        report = _packet(len(kept), SENDER_REPORT, _SENDER_INFO.pack(info_ssrc, ntp_time(time_s), *counts) + body)
    name = cname.encode()[:255]
    item = bytes((_CNAME, len(name))) + name
    chunk = ssrc.to_bytes(4, "big") + item + bytes(4 - len(item) % 4)  # ends with one zero at least
    return report + _packet(1, _SOURCE_DESCRIPTION, chunk)


def write_nack(ssrc: int, media_ssrc: int, seqs: Iterable[int]) -> bytes:
    """Return a packet that asks the sender of media_ssrc for these sequence numbers, rising ones, again."""
    entries: list[list[int]] = []
    for seq in seqs:
        offset = (seq - entries[-1][0]) & 0xFFFF if entries else 0
        if entries and 0 < offset <= 16:
            entries[-1][1] |= 1 << (offset - 1)
        else:
            entries.append([seq, 0])
    body = struct.pack("!II", ssrc, media_ssrc) + b"".join(_NACK_ENTRY.pack(*entry) for entry in entries)
    return _packet(_GENERIC_NACK, _TRANSPORT_FEEDBACK, body)


def ntp_time(time_s: float) -> int:
    """Return a time of day as NTP has it: seconds since 1900, 32 bits and 32 of fraction (RFC 3550 section 4)."""
    return int((time_s + _NTP_EPOCH_S) * 2**32) & (2**64 - 1)


def _split(packet: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield (type, count or format, what follows the first 4 bytes) of each packet in a compound."""
    position = 0
    while position < len(packet):
        if position + 4 > len(packet):
            raise RtcpError("ends inside a header")
        first, kind, n_words = _HEADER.unpack_from(packet, position)
        end = position + 4 + 4 * n_words
        if first >> 6 != _VERSION or end > len(packet):
            raise RtcpError("a length or version that does not hold")
        n_padding = packet[end - 1] if first & _PADDING else 0
        if n_padding > 4 * n_words:
            raise RtcpError("more padding than packet")
        yield kind, first & 0x1F, packet[position + 4 : end - n_padding]
        position = end
    if not position:
        raise RtcpError("empty")


def _parse_sender_report(count: int, body: bytes) -> list[Item]:
    if len(body) < _SENDER_INFO.size:
        raise RtcpError("sender report: too short")
    ssrc, ntp, *_ = _SENDER_INFO.unpack_from(body)
    return [SenderReport(ssrc, ntp >> 16 & 0xFFFFFFFF), *_parse_blocks(count, body, _SENDER_INFO.size)]


def _parse_blocks(count: int, body: bytes, start: int) -> list[ReceptionBlock]:
    if len(body) < start + count * _BLOCK.size:
        raise RtcpError("report: shorter than its count says")
    blocks = []
    for position in range(start, start + count * _BLOCK.size, _BLOCK.size):
        ssrc, lost, highest, jitter, last, since = _BLOCK.unpack_from(body, position)
        n_lost = (lost & 0xFFFFFF) - ((lost & 0x800000) << 1)  # signed, 24 bits
        blocks.append(ReceptionBlock(ssrc, lost >> 24, n_lost, highest, jitter, last, since))
    return blocks


def _write_block(block: ReceptionBlock) -> bytes:
    lost = block.fraction_lost << 24 | max(-0x800000, min(block.n_lost, 0x7FFFFF)) & 0xFFFFFF
    return _BLOCK.pack(block.ssrc, lost, block.highest_seq, block.jitter, block.last_report, block.since_last_report)


def _parse_nack(body: bytes) -> Nack:
    if len(body) < 8:
        raise RtcpError("NACK: too short")
    seqs = []
    for position in range(8, len(body) - 3, 4):
        first, mask = _NACK_ENTRY.unpack_from(body, position)
        seqs.append(first)
        seqs += [(first + 1 + bit) & 0xFFFF for bit in range(16) if mask >> bit & 1]
    return Nack(int.from_bytes(body[4:8], "big"), tuple(seqs))


def _packet(count: int, kind: int, body: bytes) -> bytes:
    return _HEADER.pack(_VERSION << 6 | count, kind, len(body) // 4) + body
