"""The playout buffer: puts frames back in order, and keeps just enough of them waiting. No I/O.

     state    a packet comes                          a frame is taken                 leaves when
     IDLE     it begins a spurt                       -1                               a packet comes         -> FILLING
     FILLING  it is kept, also one before the first   -1                               deep enough, or waited -> PLAYING
     PLAYING  it is kept; a late or second one is     the next one; 0 where that is    100 ms without any     -> IDLE
              dropped                                 lost or not here yet

A marked packet begins a spurt too, once everything before it was taken. `is_first` says of the frame taken last whether
its packet was marked: whatever decodes it begins anew.

depth_frames is what waits, from the next frame to be taken to the newest, those missing between them included.
target_frames follows the network: a packet that comes n frames later than the earliest do raises it to n + 1 at once,
and 30 s in which one frame less would have been enough lower it by one. Two clocks drift: where the depth stays above
the target a frame is dropped, where it stays below one is inserted; the further off, the sooner.
"""

from .port import const
from .seq import ms_between, seq_after, seq_between

IDLE = 0
FILLING = 1
PLAYING = 2

_FRAME_MS = const(20)
_EMPTY = const(-1)  # what a slot holds instead of a length: nothing (yet), or
_SKIPPED = const(-2)  # a sequence number without audio
_END_TAKES = const(5)  # 100 ms with nothing to play end a spurt
_STRAGGLER_PACKETS = const(64)  # so far behind, a packet is a late one of this stream; further, it is of another
_GAP_PACKETS = const(3_000)  # a minute: so far ahead, what is between was lost; further, it is of another stream
_CALM_PACKETS = const(1_500)  # 30 s: a target too low is heard each time
_STEER_TAKES = const(25)  # half a second for one frame too many or too few; two frames: half of that
_MIN_STEER_TAKES = const(5)  # 100 ms: a burst of the network is not yet a change of depth
_MAX_STEER_TAKES = const(50)  # after that an old dip is forgotten


class JitterBuffer:
    """Takes packets as they come and gives frames as they are due, one every 20 ms.

    n_slots: frames it can hold, more than max_frames. frame_bytes: the longest frame. target_frames: the depth aimed at
    in the beginning, from min_frames to max_frames. Nothing allocates per packet, as long as they come in one buffer
    that has frame_bytes from `start` on; it is held, so a bytearray among them cannot be resized on the host.
    """

    __slots__ = (
        (
            "state",
            "is_first",
            "target_frames",
            "n_received",
            "n_late",
            "n_lost",
            "n_duplicate",
            "n_reordered",
            "n_overflow",
        )
        + ("n_inserted", "n_dropped", "n_flushed")
        + (
            "_n_slots",
            "_frame_bytes",
            "_min_frames",
            "_max_frames",
            "_storage",
            "_slices",
            "_views",
            "_whole",
            "_lengths",
            "_marks",
        )
        + ("_source", "_source_start", "_source_view")
        + (
            "_head_seq",
            "_head_slot",
            "_n_span",
            "_n_skipped",
            "_past_seq",
            "_is_head_marked",
            "_first_ms",
            "_n_empty_takes",
        )
        + ("_shift", "_n_earliest", "_dip", "_n_calm", "_n_steer", "_least_depth", "_most_depth")
    )

    def __init__(
        self, n_slots: int, frame_bytes: int, target_frames: int = 2, min_frames: int = 1, max_frames: int = 6
    ) -> None:
        if not 1 <= min_frames <= target_frames <= max_frames < n_slots:
            raise ValueError("1 <= min_frames <= target_frames <= max_frames < n_slots does not hold")
        self.state = IDLE
        self.is_first = False
        self.target_frames = target_frames
        self.n_received = 0
        self.n_late = 0  # came after their turn
        self.n_lost = 0  # did not come before their turn
        self.n_duplicate = 0
        self.n_reordered = 0  # came after a later one, in time
        self.n_overflow = 0  # dropped for lack of room, or longer than a frame
        self.n_inserted = 0  # pauses of 20 ms that were not in the stream
        self.n_dropped = 0  # frames left out because the depth stayed above its target
        self.n_flushed = 0
        self._n_slots = n_slots
        self._min_frames = min_frames
        self._max_frames = max_frames
        self._storage = bytearray(n_slots * frame_bytes)
        self.set_frame_bytes(frame_bytes)
        self._lengths = [_EMPTY] * n_slots
        self._marks = bytearray(n_slots)
        self._source_start = 0
        self._source_view = None
        self._head_seq = 0  # the next to be taken, and its slot
        self._head_slot = 0
        self._n_span = 0  # sequence numbers from the next to be taken to the newest
        self._n_skipped = 0  # those of them without audio
        self._past_seq = None  # everything before it is past; None before the first spurt
        self._is_head_marked = False
        self._first_ms = 0  # when the spurt began to fill
        self._n_empty_takes = 0  # in a row, with nothing to play
        self._shift = 0  # what dropping and inserting did to the depth in this spurt
        self._n_earliest = 0  # frames by which a packet came early, at most
        self._dip = 0  # by how many frames others came later than that, since the target was last judged
        self._n_calm = 0
        self._start_steering()

    @property
    def depth_frames(self) -> int:
        """Frames from the next to be taken to the newest."""
        return self._n_span - self._n_skipped

    def set_frame_bytes(self, frame_bytes: int) -> None:
        """Take frames of at most so many bytes, which is at most what it was made with; `flush` comes before."""
        starts = range(0, self._n_slots * frame_bytes, frame_bytes)
        storage_view = memoryview(self._storage)
        self._frame_bytes = frame_bytes
        self._slices = [_SLICES[start : start + frame_bytes] for start in starts]  # cut once: slicing allocates
        self._views = [storage_view[start : start + frame_bytes] for start in starts]
        self._whole = _SLICES[0:frame_bytes]
        self._source = None  # the buffer packets came in last, and its part that is copied

    def put(self, seq: int, packet: bytearray, start: int, n_bytes: int, is_marked: bool, now_ms: int) -> None:
        """Keep the frame in packet[start:start + n_bytes]; is_marked: it is the first of a talk."""
        self.n_received += 1
        if not 0 < n_bytes <= self._frame_bytes:
            self.n_overflow += 1
            return
        if is_marked and self.state == PLAYING and not self._n_span and seq_between(self._head_seq, seq) >= 0:
            self._end_spurt()
        if self.state == IDLE and not self._is_past(seq):
            self._begin_spurt(seq, now_ms)
        if self.state == IDLE:
            self.n_late += 1
            return
        n_ahead = seq_between(self._head_seq, seq)
        is_newest = n_ahead >= self._n_span
        slot = self._slot_for(seq)
        if slot < 0:
            self.n_late += 1
            if self.state == PLAYING:
                self._follow_network(n_ahead + 1)
        elif self._lengths[slot] != _EMPTY:
            self.n_duplicate += 1
        else:
            self._copy_in(slot, packet, start, n_bytes)
            self._lengths[slot] = n_bytes
            self._marks[slot] = is_marked
            if is_marked and seq == self._head_seq:
                self._is_head_marked = True
            if is_newest:
                self._follow_network(self.depth_frames)

    def skip(self, seq: int) -> None:
        """The packet with this sequence number is no audio: nothing is missing there."""
        if self.state == IDLE:
            if self._past_seq is not None and seq == self._past_seq:
                self._past_seq = seq_after(seq, 1)
            return
        slot = self._slot_for(seq)
        if slot >= 0 and self._lengths[slot] == _EMPTY:
            self._lengths[slot] = _SKIPPED
            self._n_skipped += 1

    def take_into(self, frame: bytearray, now_ms: int) -> int:
        """Take the frame that is due. frame: at least frame_bytes, of which all may be written.

        Returns its n_bytes; 0 where a frame must be concealed; -1 where there is nothing to play.
        """
        if self.state != PLAYING and not self._has_filled(now_ms):
            return -1
        self._drop_skipped()
        if self._n_empty_takes:
            self._settle_empty_takes()
        if not self._n_span:
            return self._take_nothing()
        n_off = self._n_off_target()
        if n_off > 0:
            self._drop_frame()
        elif n_off < 0:
            self.n_inserted += 1
            self._shift -= 1
            return 0
        n_bytes = self._lengths[self._head_slot]
        if n_bytes > 0:
            frame[self._whole] = self._views[self._head_slot]
            self.is_first = self._marks[self._head_slot] != 0
        else:
            n_bytes = 0
            self.n_lost += 1
        self._advance()
        return n_bytes

    def flush(self) -> None:
        """Forget what waits; what comes next begins a spurt."""
        while self._n_span:
            if self._lengths[self._head_slot] > 0:
                self.n_flushed += 1
            self._advance()
        if self.state != IDLE:
            self._end_spurt()

    def _is_past(self, seq):
        return self._past_seq is not None and -_STRAGGLER_PACKETS <= seq_between(self._past_seq, seq) < 0

    def _begin_spurt(self, seq, now_ms):
        self.state = FILLING
        self._head_seq = seq
        self._is_head_marked = False
        self._first_ms = now_ms
        self._n_empty_takes = 0
        self._shift = 0
        self._n_earliest = 0

    def _has_filled(self, now_ms):
        if self.state == IDLE:
            return False
        if (
            self.depth_frames < self.target_frames
            and ms_between(self._first_ms, now_ms) < self.target_frames * _FRAME_MS
        ):
            return False
        self.state = PLAYING
        if self._past_seq is not None:
            n_missing = seq_between(self._past_seq, self._head_seq)
            if 0 < n_missing <= _GAP_PACKETS:
                self.n_lost += n_missing
        self._start_steering()
        return True

    def _end_spurt(self):
        self.state = IDLE
        self._past_seq = self._head_seq

    def _slot_for(self, seq):
        """Return the slot of seq, after making room for it; -1 if its turn is over."""
        offset = seq_between(self._head_seq, seq)
        if offset < 0:
            if not self._can_begin_earlier(seq, -offset):
                return -1
            self._head_seq = seq
            self._head_slot = (self._head_slot + offset) % self._n_slots
            self._n_span -= offset
            self.n_reordered += 1
            return self._head_slot
        if offset >= self._n_slots:
            offset = self._make_room(seq, offset)
        if offset >= self._n_span:
            self._n_span = offset + 1
        elif self._lengths[(self._head_slot + offset) % self._n_slots] == _EMPTY:
            self.n_reordered += 1
        return (self._head_slot + offset) % self._n_slots

    def _can_begin_earlier(self, seq, n_earlier):
        return (
            self.state == FILLING
            and not self._is_head_marked
            and self._n_span + n_earlier <= self._n_slots
            and not self._is_past(seq)
        )

    def _make_room(self, seq, offset):
        """Drop the oldest for the newest; return the offset of seq after that."""
        while self._n_span and offset >= self._n_slots:
            if self._lengths[self._head_slot] > 0:
                self.n_overflow += 1
            elif self._lengths[self._head_slot] == _EMPTY:
                self.n_lost += 1
            self._shift += 1
            self._advance()
            offset -= 1
        if offset >= self._n_slots:  # nothing waits any more, and what is between never came
            if offset <= _GAP_PACKETS:
                self.n_lost += offset
            self._head_seq = seq
            self._shift = 0
            self._n_earliest = 0
            offset = 0
        return offset

    def _copy_in(self, slot, packet, start, n_bytes):
        if start + self._frame_bytes > len(packet):
            offset = slot * self._frame_bytes
            self._storage[offset : offset + n_bytes] = packet[start : start + n_bytes]
            return
        if packet is not self._source or start != self._source_start:
            self._source = packet
            self._source_start = start
            self._source_view = memoryview(packet)[start : start + self._frame_bytes]
        self._storage[self._slices[slot]] = self._source_view

    def _advance(self):
        if self._lengths[self._head_slot] == _SKIPPED:
            self._n_skipped -= 1
        self._lengths[self._head_slot] = _EMPTY
        self._head_seq = seq_after(self._head_seq, 1)
        self._head_slot = (self._head_slot + 1) % self._n_slots
        self._n_span -= 1

    def _drop_skipped(self):
        while self._n_span and self._lengths[self._head_slot] == _SKIPPED:
            self._advance()

    def _take_nothing(self):
        """The spurt is over, or the network is late: that is known once the next packet comes."""
        self._n_empty_takes += 1
        if self._n_empty_takes > _END_TAKES:
            self._end_spurt()
            return -1
        self._shift -= 1
        return 0

    def _settle_empty_takes(self):
        """Pauses were played: in place of frames that now are known to be lost, or else they were inserted."""
        while self._n_empty_takes and self._n_span and self._lengths[self._head_slot] == _EMPTY:
            self._n_empty_takes -= 1
            self._shift += 1
            self.n_lost += 1
            self._advance()
            self._drop_skipped()
        if self._n_span:
            self.n_inserted += self._n_empty_takes
            self._n_empty_takes = 0
            self._start_steering()  # the depth was changed just now

    def _drop_frame(self):
        """Leave out the next frame, unless that is one that never came."""
        if self._lengths[self._head_slot] > 0:
            self.n_dropped += 1
        else:
            self.n_lost += 1
        self._shift += 1
        self._advance()
        self._drop_skipped()

    def _follow_network(self, n_early):
        """A packet has come that many frames before it is too late: by how much have others come earlier?"""
        n_early += self._shift  # what was dropped or inserted here is not the network's
        self._n_earliest = max(self._n_earliest, n_early)
        self._dip = max(self._dip, self._n_earliest - n_early)
        self._n_calm += 1
        if self._dip >= self.target_frames and self.target_frames < self._max_frames:
            self.target_frames = min(self._dip + 1, self._max_frames)
            self._n_calm = 0
            self._start_steering()
        elif self._n_calm >= _CALM_PACKETS:
            if self._dip + 1 < self.target_frames and self.target_frames > self._min_frames:
                self.target_frames -= 1
            self._n_calm = 0
            self._dip = 0
            self._n_earliest = n_early

    def _start_steering(self):
        self._n_steer = 0
        self._least_depth = self._n_slots
        self._most_depth = 0

    def _n_off_target(self):
        """Return 1 where a frame must be dropped now, -1 where one must be inserted, else 0."""
        self._n_steer += 1
        self._least_depth = min(self._least_depth, self.depth_frames)
        self._most_depth = max(self._most_depth, self.depth_frames)
        n_above = self._least_depth - self.target_frames
        n_off = max(n_above, self.target_frames - self._most_depth)
        if n_off <= 0:
            if self._n_steer >= _MAX_STEER_TAKES:
                self._start_steering()
            return 0
        if self._n_steer < max(_STEER_TAKES // n_off, _MIN_STEER_TAKES):
            return 0
        self._start_steering()
        return 1 if n_above > 0 else -1

    def __repr__(self):
        counts = (self.depth_frames, self.target_frames, self.n_received, self.n_lost, self.n_late)
        return "JitterBuffer(depth_frames=%d, target_frames=%d, n_received=%d, n_lost=%d, n_late=%d)" % counts


class _Slices:
    """Gives slice objects: MicroPython has no `slice`, and `a[i:j]` makes one each time."""

    def __getitem__(self, key):
        return key


_SLICES = _Slices()
