"""From the numbers of a device's packets to those of its track, which go on across links and never go back. No I/O.

A device begins every link with sequence numbers and timestamps of its own; its keepalives take sequence numbers that
the room must not miss. The room counts Opus in 48 kHz (RFC 7587 section 4.1).
"""

from typing import Final

from pressroom.wire.seq import ms_between, seq_after, seq_between, timestamp_after, timestamp_between

from .stats import SessionStats

FRAME_TICKS: Final = 960  # 20 ms at 48 kHz
_TICKS_PER_MS: Final = 48
_PACKET: Final = 0x80.to_bytes(1, "big")  # RFC 3550 section 5.1: version 2
_PLAIN: Final = _PACKET + (111).to_bytes(1, "big")
_MARKED: Final = _PACKET + (111 | 0x80).to_bytes(1, "big")
_KEEPALIVE_IS_PAST: Final = 0x2000  # packets: none from before it can still come
_SSRC: Final = bytes(4)  # the room puts its own


class Renumber:
    """Made once a Session. first_seq, first_timestamp: where the track begins, at random (RFC 3550 section 5.1)."""

    __slots__ = (
        "_stats",
        *("_last_seq", "_last_timestamp", "_last_ms", "_has_sent", "_has_link", "_is_talking", "_scale"),
        *("_seq_offset", "_earlier_offset", "_offset_since", "_base_in", "_base_out", "_highest_in"),
    )

    def __init__(self, first_seq: int, first_timestamp: int, stats: SessionStats) -> None:
        self._stats = stats
        self._last_seq = seq_after(first_seq, -1)  # the newest sent
        self._last_timestamp = timestamp_after(first_timestamp, -FRAME_TICKS)
        self._last_ms = 0
        self._has_sent = False
        self._has_link = False
        self._is_talking = False
        self._scale = 1
        self._seq_offset = 0
        self._earlier_offset = 0  # before the last keepalive
        self._offset_since = 0  # the sequence number of that
        self._highest_in = 0
        self._base_in = 0
        self._base_out = 0

    def open_link(self, scale: int, is_talking: bool) -> None:
        """A new link: numbers begin anew. scale: ticks of the room's clock in one of the device's.

        is_talking: a talk goes on across the links, so that the time between them is lost speech.
        """
        self._scale = scale
        self._has_link = False
        self._is_talking = is_talking

    def header(self, seq: int, timestamp: int, is_marked: bool, now_ms: int) -> bytes:
        """Return the 12 bytes of header with which a packet of the device goes to the room."""
        if not self._has_link:
            self._begin(seq, timestamp, now_ms)
        is_before_keepalive = seq_between(self._offset_since, seq) < 0
        out_seq = (seq + (self._earlier_offset if is_before_keepalive else self._seq_offset)) & 0xFFFF
        out_timestamp = self._base_out + self._scale * timestamp_between(self._base_in, timestamp) & 0xFFFFFFFF
        n_ahead = seq_between(self._last_seq, out_seq)
        if n_ahead > 0:
            if timestamp_between(self._last_timestamp, out_timestamp) <= 0:  # the tail of the last talk is there
                n_frames = timestamp_between(out_timestamp, self._last_timestamp) // FRAME_TICKS + 1
                self._base_out = timestamp_after(self._base_out, n_frames * FRAME_TICKS)
                out_timestamp = timestamp_after(out_timestamp, n_frames * FRAME_TICKS)
            self._last_seq = out_seq
            self._last_timestamp = out_timestamp
            if seq_between(self._highest_in, seq) > 0:
                self._highest_in = seq
            if n_ahead > 1:
                self._stats.n_up_lost += n_ahead - 1
            if seq_between(self._offset_since, seq) > _KEEPALIVE_IS_PAST:
                self._offset_since = seq
                self._earlier_offset = self._seq_offset
        elif n_ahead < 0:
            self._stats.n_up_lost -= 1  # it was only late
        self._last_ms = now_ms
        return _header(out_seq, out_timestamp, is_marked)

    def skip(self, seq: int) -> None:
        """The packet with this number is none for the room: those after it close up."""
        if self._has_link and seq_between(self._highest_in, seq) > 0:
            self._earlier_offset = self._seq_offset
            self._offset_since = seq
            self._seq_offset -= 1
            self._highest_in = seq

    def appended_header(self) -> bytes:
        """Return the header of a packet of ours, one frame after the last: those of the device make room for it."""
        self._last_seq = seq_after(self._last_seq, 1)
        self._last_timestamp = timestamp_after(self._last_timestamp, FRAME_TICKS)
        self._earlier_offset = self._seq_offset
        self._offset_since = seq_after(self._highest_in, 1)
        self._seq_offset += 1
        return _header(self._last_seq, self._last_timestamp, False)

    def _begin(self, seq: int, timestamp: int, now_ms: int) -> None:
        """The track's time went on while there was no packet."""
        passed_ticks = ms_between(self._last_ms, now_ms) * _TICKS_PER_MS if self._has_sent else FRAME_TICKS
        passed_ticks = max(passed_ticks - passed_ticks % FRAME_TICKS, FRAME_TICKS)
        if self._is_talking:
            self._stats.n_up_cut += passed_ticks // FRAME_TICKS - 1
        self._base_in = timestamp
        self._base_out = timestamp_after(self._last_timestamp, passed_ticks)
        self._seq_offset = self._earlier_offset = seq_between(seq, seq_after(self._last_seq, 1))
        self._offset_since = seq
        self._highest_in = seq_after(seq, -1)
        self._has_link = self._has_sent = True


def _header(seq: int, timestamp: int, is_marked: bool) -> bytes:
    return (_MARKED if is_marked else _PLAIN) + seq.to_bytes(2, "big") + timestamp.to_bytes(4, "big") + _SSRC
