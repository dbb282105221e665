"""What an Opus packet says of itself, without decoding it (RFC 6716 section 3). No I/O."""

from .errors import WireError
from .port import const

SILK = const(0)
HYBRID = const(1)
CELT = const(2)

NARROW = const(4_000)  # audio bandwidth in Hz, RFC 6716 table 1
MEDIUM = const(6_000)
WIDE = const(8_000)
SUPER_WIDE = const(12_000)
FULL = const(20_000)

MAX_FRAME_BYTES = const(1275)  # section 3.2.1

_STEREO_BIT = const(0x04)  # section 3.1
_CODE_MASK = const(0x03)
_FIRST_HYBRID = const(12)  # configurations, table 2
_FIRST_CELT = const(16)
_VBR_BIT = const(0x80)  # section 3.2.5
_PADDING_BIT = const(0x40)
_COUNT_MASK = const(0x3F)
_MAX_PACKET_US = const(120_000)  # requirement R5 of section 3.4
_LONG_LENGTH = const(252)
_SILK_FRAME_US = (10_000, 20_000, 40_000, 60_000)
_CELT_BANDWIDTHS = (NARROW, WIDE, SUPER_WIDE, FULL)


class OpusPacketError(WireError):
    """A packet breaks one of the requirements R1 to R7 of RFC 6716 section 3.4; the text says which."""


def mode(toc: int) -> int:
    """Return SILK, HYBRID or CELT. toc: the packet's first byte."""
    config = toc >> 3
    if config < _FIRST_HYBRID:
        return SILK
    return HYBRID if config < _FIRST_CELT else CELT


def bandwidth_hz(toc: int) -> int:
    """Return NARROW to FULL."""
    config = toc >> 3
    if config < 8:
        return NARROW if config < 4 else MEDIUM
    if config < _FIRST_CELT:
        return WIDE if config < _FIRST_HYBRID else SUPER_WIDE if config < 14 else FULL
    return _CELT_BANDWIDTHS[(config - _FIRST_CELT) >> 2]


def frame_us(toc: int) -> int:
    """Return the duration of one frame in microseconds, 2500 to 60000."""
    config = toc >> 3
    if config < _FIRST_HYBRID:
        return _SILK_FRAME_US[config & 3]
    if config < _FIRST_CELT:
        return _SILK_FRAME_US[config & 1]
    return 2_500 << (config & 3)


def is_stereo(toc: int) -> bool:
    """Return whether the frames have two channels."""
    return toc & _STEREO_BIT != 0


def n_frames(packet: bytes, start: int, n_bytes: int) -> int:
    """Return how many frames packet[start:start + n_bytes] says it has; -1 if it is too short to say, or says none."""
    if n_bytes < 1:
        return -1
    code = packet[start] & _CODE_MASK
    if code < 3:
        return 1 if code == 0 else 2
    if n_bytes < 2:
        return -1
    count = packet[start + 1] & _COUNT_MASK
    return count if count > 0 and count * frame_us(packet[start]) <= _MAX_PACKET_US else -1


def n_samples_48k(packet: bytes, start: int, n_bytes: int) -> int:
    """Return the duration of packet[start:start + n_bytes] in samples at 48 kHz; -1 where n_frames is."""
    n = n_frames(packet, start, n_bytes)
    return n * frame_us(packet[start]) * 6 // 125 if n > 0 else -1


def parse_packet(packet: bytes) -> list:
    """Return (start, n_bytes) of each frame in a whole packet. Raises OpusPacketError."""
    n = len(packet)
    if n < 1:
        raise OpusPacketError("R1: an Opus packet has at least one byte")
    code = packet[0] & _CODE_MASK
    if code == 0:
        frames = [(1, n - 1)]
    elif code == 1:
        if n & 1 == 0:
            raise OpusPacketError("R3: two frames of equal length cannot share %d bytes" % (n - 1))
        half = (n - 1) // 2
        frames = [(1, half), (1 + half, half)]
    elif code == 2:
        length, start = _length(packet, 1, n, "R4")
        if start + length > n:
            raise OpusPacketError("R4: the first frame is longer than its packet")
        frames = [(start, length), (start + length, n - start - length)]
    else:
        frames = _parse_code_3(packet)
    for _, length in frames:
        if length > MAX_FRAME_BYTES:
            raise OpusPacketError("R2: a frame has %d bytes; at most 1275 are allowed" % length)
    return frames


def _parse_code_3(packet):
    count = n_frames(packet, 0, len(packet))
    if count < 0:
        raise OpusPacketError("R6 or R5: the packet has no frame count, one of zero, or one of more than 120 ms")
    start = 2
    end = len(packet)
    if packet[1] & _PADDING_BIT:
        more = 255
        while more == 255:  # 255 is 254 bytes of padding and another length
            if start >= end:
                raise OpusPacketError("R6 or R7: the length of the padding is cut off")
            more = packet[start]
            start += 1
            end -= 254 if more == 255 else more
    lengths = []
    if packet[1] & _VBR_BIT:
        for _ in range(count - 1):
            length, start = _length(packet, start, end, "R7")
            lengths.append(length)
        lengths.append(end - start - sum(lengths))
    else:
        if end < start or (end - start) % count:
            raise OpusPacketError("R6: %d frames of equal length cannot share %d bytes" % (count, end - start))
        lengths = [(end - start) // count] * count
    if lengths[-1] < 0:
        raise OpusPacketError("R7: the frames and the padding are longer than their packet")
    frames = []
    for length in lengths:
        frames.append((start, length))
        start += length
    return frames


def _length(packet, start, end, requirement):
    """Return a frame's length and what follows it (section 3.2.1)."""
    if start < end and packet[start] < _LONG_LENGTH:
        return packet[start], start + 1
    if start + 1 < end:
        return packet[start] + 4 * packet[start + 1], start + 2
    raise OpusPacketError("%s: the length of a frame is cut off" % requirement)
