"""A stream of Opus that this end sends: numbers that never go back, packets kept for a NACK. No I/O.

A LiveKit server drops packets whose timestamp goes back for good, and SRTP refuses sequence numbers far back. So where
the numbers that come in jump back, or far ahead, those that go out go on from the last one.
"""

import struct
from collections.abc import Callable, Iterable

AUDIO_LEVEL_ID = 1  # of the header extension, as this end's SDP says
SILENT_DBOV = 127  # RFC 6464 section 3: levels are -dBov, 0 the loudest
_HISTORY_PACKETS = 200  # 4 s
_MAX_REORDER = 100  # packets; further back, or ahead, the source has begun anew
_MAX_JUMP_TICKS = 48_000 * 60
_FRAME_TICKS = 960
_TICKS_PER_S = 48_000
_HEADER_BYTES = 12  # RFC 3550 section 5.1
_WITH_EXTENSION = 0x90  # first byte: version 2, a header extension, no padding, no CSRC
_ONE_BYTE_HEADERS = 0xBEDE  # RFC 8285 section 4.2
_HEADER = struct.Struct(">BBHIIHHBBH")  # and after it the extension: profile, words, id and length, level, filler
_LEVEL_HEADER = AUDIO_LEVEL_ID << 4  # its length less one, 0, in the low bits
_MARKER = 0x80

Send = Callable[[bytes], None]


class SendStream:
    """ssrc, payload_type: what goes out. send: takes each plain RTP packet."""

    __slots__ = (
        *("ssrc", "n_packets", "n_bytes", "n_resent", "n_restarts", "_payload_type", "_send", "_history"),
        *("_last_seq_in", "_last_timestamp_in", "_seq_offset", "_timestamp_offset", "_last_seq", "_last_timestamp"),
        "_sent_at_s",
    )

    def __init__(self, ssrc: int, payload_type: int, send: Send) -> None:
        self.ssrc = ssrc
        self.n_packets = 0
        self.n_bytes = 0  # of payload
        self.n_resent = 0
        self.n_restarts = 0
        self._payload_type = payload_type
        self._send = send
        self._history: list[bytes] = [b""] * _HISTORY_PACKETS  # by sequence number, modulo
        self._last_seq_in: int | None = None
        self._last_timestamp_in = 0
        self._seq_offset = 0
        self._timestamp_offset = 0
        self._last_seq = 0
        self._last_timestamp = 0
        self._sent_at_s = 0.0

    def send_rtp(self, packet: bytes, level_dbov: int, now_s: float) -> None:
        """Send one packet: 12 bytes of header, of which sequence number, timestamp and marker count, and Opus.

        level_dbov: 0 (loudest) to 127 (silent). now_s: any clock that goes on.
        """
        seq_in, timestamp_in = packet[2] << 8 | packet[3], int.from_bytes(packet[4:8], "big")
        ahead = self._follow(seq_in, timestamp_in, now_s)
        seq = (seq_in + self._seq_offset) & 0xFFFF
        timestamp = (timestamp_in + self._timestamp_offset) & 0xFFFFFFFF
        marked = packet[1] & _MARKER | self._payload_type
        header = (
            _WITH_EXTENSION,
            marked,
            seq,
            timestamp,
            self.ssrc,
            _ONE_BYTE_HEADERS,
            1,
            _LEVEL_HEADER,
            level_dbov,
            0,
        )
        out = _HEADER.pack(*header) + packet[_HEADER_BYTES:]
        if ahead > 0:
            self._last_seq_in, self._last_timestamp_in = seq_in, timestamp_in
            self._last_seq, self._last_timestamp, self._sent_at_s = seq, timestamp, now_s
        self._history[seq % _HISTORY_PACKETS] = out
        self.n_packets += 1
        self.n_bytes += len(packet) - _HEADER_BYTES
        self._send(out)

    def resend(self, seqs: Iterable[int]) -> None:
        """Send these again if they are kept; SRTP makes the same packet of them."""
        for seq in seqs:
            packet = self._history[seq % _HISTORY_PACKETS]
            if packet[2:4] == seq.to_bytes(2, "big"):
                self.n_resent += 1
                self._send(packet)

    def rtp_time(self, now_s: float) -> int:
        """Return the timestamp of this moment, for a sender report."""
        return (self._last_timestamp + round((now_s - self._sent_at_s) * _TICKS_PER_S)) & 0xFFFFFFFF

    def _follow(self, seq_in: int, timestamp_in: int, now_s: float) -> int:
        """Set the offsets anew if the source began anew; return how far the packet is ahead of the newest."""
        if self._last_seq_in is None:
            return 1
        ahead = ((seq_in - self._last_seq_in + 0x8000) & 0xFFFF) - 0x8000
        ticks = ((timestamp_in - self._last_timestamp_in + 0x80000000) & 0xFFFFFFFF) - 0x80000000
        if -_MAX_REORDER < ahead < 0 and -_MAX_REORDER * _FRAME_TICKS < ticks <= 0:
            return ahead  # late, of the same run
        if 0 < ahead < 0x4000 and 0 <= ticks < _MAX_JUMP_TICKS:
            return ahead
        if not ahead:
            return 0  # twice
        self.n_restarts += 1
        n_ticks = max(_FRAME_TICKS, round((now_s - self._sent_at_s) * _TICKS_PER_S))
        self._seq_offset = self._last_seq + 1 - seq_in
        self._timestamp_offset = self._last_timestamp + n_ticks - timestamp_in
        return 1
