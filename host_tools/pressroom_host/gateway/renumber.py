"""From the numbers of a device's packets to those of its track, which go on across links and never go back. No I/O.

A device begins every link with sequence numbers and timestamps of its own; its keepalives take sequence numbers that
the room must not miss. The room counts Opus in 48 kHz (RFC 7587 section 4.1).
"""

import struct
from typing import Final

from pressroom.wire.rtp import PT_OPUS
from pressroom.wire.seq import ms_between, seq_after, seq_between, timestamp_after, timestamp_between

from .stats import SessionStats

FRAME_TICKS: Final = 960  # 20 ms at 48 kHz
_TICKS_PER_MS: Final = 48
_HEADER: Final = struct.Struct(">BBHII")  # RFC 3550 section 5.1
_VERSION: Final = 0x80
_MARKED_OPUS: Final = 0x80 | PT_OPUS
_ANY_SSRC: Final = 0  # the room puts its own
_FORGET_MASK: Final = 0xFFF  # packets


class Renumber:
    """Made once a Session. first_seq, first_timestamp: where the track begins, at random (RFC 3550 section 5.1)."""

    __slots__ = (
        "_stats",
        *("_last_seq", "_last_timestamp", "_last_ms", "_has_sent", "_has_link", "_is_talking", "_scale"),
        *("_seq_offset", "_earlier_offset", "_offset_since", "_base_in", "_base_out", "_highest_in"),
        *("_next_in", "_next_timestamp_in", "_frame_ticks_in"),
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
        self._next_in: int | None = None  # the number and the timestamp that follow the newest packet
        self._next_timestamp_in = 0
        self._frame_ticks_in = FRAME_TICKS

    def open_link(self, scale: int, is_talking: bool) -> None:
        """A new link: numbers begin anew. scale: ticks of the room's clock in one of the device's.

        is_talking: a talk goes on across the links, so that the time between them is lost speech.
        """
        self._scale = scale
        self._frame_ticks_in = FRAME_TICKS // scale
        self._next_in = None
        self._has_link = False
        self._is_talking = is_talking

    def header(self, seq: int, timestamp: int, is_marked: bool, now_ms: int) -> bytes:
        """Return the 12 bytes of header with which a packet of the device goes to the room."""
        if seq == self._next_in and timestamp == self._next_timestamp_in:  # as almost always; forwarding has a budget
            out_seq = self._last_seq = (self._last_seq + 1) & 0xFFFF
            out_timestamp = self._last_timestamp = (self._last_timestamp + FRAME_TICKS) & 0xFFFFFFFF
            self._highest_in = seq
        else:
            out_seq, out_timestamp = self._place(seq, timestamp, now_ms)
        self._next_in = (self._highest_in + 1) & 0xFFFF
        self._next_timestamp_in = (timestamp + self._frame_ticks_in) & 0xFFFFFFFF
        self._last_ms = now_ms
        if not seq & _FORGET_MASK:
            self._forget_keepalive(seq)
        return _HEADER.pack(_VERSION, _MARKED_OPUS if is_marked else PT_OPUS, out_seq, out_timestamp, _ANY_SSRC)

    def skip(self, seq: int) -> None:
        """The packet with this number is none for the room: those after it close up."""
        if self._has_link and seq_between(self._highest_in, seq) > 0:
            self._earlier_offset = self._seq_offset
            self._offset_since = seq
            self._seq_offset -= 1
            self._highest_in = seq
            self._next_in = seq_after(seq, 1)

    def header_now(self, now_ms: int) -> bytes:
        """Return the header of a packet of ours that is said now."""
        passed_ticks = ms_between(self._last_ms, now_ms) * _TICKS_PER_MS - FRAME_TICKS if self._has_sent else 0
        if passed_ticks > FRAME_TICKS:  # a pause
            self._last_timestamp = timestamp_after(self._last_timestamp, passed_ticks - passed_ticks % FRAME_TICKS)
        self._last_ms = now_ms
        self._has_sent = True
        return self.appended_header()

    def appended_header(self) -> bytes:
        """Return the header of a packet of ours, one frame after the last: those of the device make room for it."""
        self._last_seq = seq_after(self._last_seq, 1)
        self._last_timestamp = timestamp_after(self._last_timestamp, FRAME_TICKS)
        self._earlier_offset = self._seq_offset
        self._offset_since = seq_after(self._highest_in, 1)
        self._seq_offset += 1
        self._next_in = None  # its time is taken
        return _HEADER.pack(_VERSION, PT_OPUS, self._last_seq, self._last_timestamp, _ANY_SSRC)

    def _place(self, seq: int, timestamp: int, now_ms: int) -> tuple[int, int]:
        """Return the sequence number and timestamp of a packet that may be anywhere."""
        if not self._has_link:
            self._begin(seq, timestamp, now_ms)
        is_before_keepalive = seq_between(self._offset_since, seq) < 0
        out_seq = (seq + (self._earlier_offset if is_before_keepalive else self._seq_offset)) & 0xFFFF
        out_timestamp = self._base_out + self._scale * timestamp_between(self._base_in, timestamp) & 0xFFFFFFFF
        n_ahead = seq_between(self._last_seq, out_seq)
        if n_ahead <= 0:
            self._stats.n_up_lost -= n_ahead < 0  # it was only late
            return out_seq, out_timestamp
        if timestamp_between(self._last_timestamp, out_timestamp) <= 0:  # the tail of the last talk is there
            n_frames = timestamp_between(out_timestamp, self._last_timestamp) // FRAME_TICKS + 1
            self._base_out = timestamp_after(self._base_out, n_frames * FRAME_TICKS)
            out_timestamp = timestamp_after(out_timestamp, n_frames * FRAME_TICKS)
        self._last_seq = out_seq
        self._last_timestamp = out_timestamp
        if seq_between(self._highest_in, seq) > 0:
            self._highest_in = seq
        self._stats.n_up_lost += n_ahead - 1
        return out_seq, out_timestamp

    def _forget_keepalive(self, seq: int) -> None:
        """None from before the last keepalive can still come; numbers wrap, so it must not be remembered for ever."""
        if seq_between(self._offset_since, seq) > _FORGET_MASK:
            self._offset_since = seq
            self._earlier_offset = self._seq_offset

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
