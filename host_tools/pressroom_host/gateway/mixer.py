"""From the talkers of a room to the one stream a device can play, 20 ms at a time. No I/O.

A single talker goes through as its packets come. Several are mixed as soon as each has a frame; who has none is waited
for, but at most 20 ms, and then a frame is made up. Nothing is sent while nobody speaks: a spurt begins with the first
frame that can be heard and ends with a packet of DTX, 400 ms that cannot be heard, or 100 ms without a packet.
There is one playout buffer, the device's: here nothing waits longer than that.

     a spurt is   when it begins                        until
     passed       one talker speaks, in packets the     another talker speaks, or a packet the device cannot take: what
                  device can take as they are           follows is a spurt of its own
     mixed        otherwise                             it ends
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from pressroom.wire import rtp
from pressroom.wire.seq import ms_between, timestamp_between

from .audio import FRAME_BYTES, FRAME_MS, FRAME_SAMPLES, RATE_HZ, OpusDecoder, OpusError, mix, peak
from .reorder import Ordered, Reorder
from .stats import SessionStats

_TICKS_PER_SAMPLE: Final = 48_000 // RATE_HZ  # RFC 7587 section 4.1
_DTX_BYTES: Final = 2  # RFC 6716 section 2.1.9, RFC 7587 section 3.1.3: such a packet says that nobody speaks
_QUIET: Final = 16  # of 32,767: -66 dBFS
_QUIET_SAMPLES: Final = 400 * RATE_HZ // 1000  # longer than the pauses between words
_CONCEALED_SAMPLES: Final = 100 * RATE_HZ // 1000  # longer holes are left as they are
_CONCEALED_STEP: Final = 40  # 2.5 ms: libopus conceals multiples of that
_SILENT_MS: Final = 100
_SLACK_MS: Final = FRAME_MS
_MAX_TALKERS: Final = 32
_MAX_WAITING_FRAMES: Final = 10  # of one talker
_STEER_FRAMES: Final = 25  # half a second in which one frame less would have been enough
_FOREVER_MS: Final = 60_000
_NOT_ALONE: Final = b"\0"  # in place of a packet that is more or less than this frame; no device takes it


class Frame(NamedTuple):
    """20 ms for the device. opus: None if they are to be encoded, b"" if the talker's packet was lost."""

    pcm: bytes
    begins_spurt: bool
    opus: bytes | None


class Talker:
    """One track: decodes its packets in their order and keeps what is not yet mixed."""

    __slots__ = (
        *("is_speaking", "is_muted", "heard_ms", "_decoder", "_order", "_pcm", "_opus", "_stats"),
        *("_next_timestamp", "_n_invented_samples", "_n_quiet_samples", "_least_depth", "_n_taken"),
    )

    def __init__(self, is_muted: bool, stats: SessionStats) -> None:
        self.is_speaking = False
        self.is_muted = is_muted
        self.heard_ms = 0  # when its last packet came
        self._decoder = OpusDecoder()
        self._order = Reorder()
        self._pcm = bytearray()
        self._opus: deque[bytes | None] = deque()  # for each whole frame that waits its packet; None if made up
        self._stats = stats
        self._next_timestamp: int | None = None  # just past the last packet that was decoded
        self._n_invented_samples = 0  # made up since then
        self._n_quiet_samples = 0
        self._least_depth = _MAX_WAITING_FRAMES
        self._n_taken = 0

    @property
    def n_frames(self) -> int:
        """Whole frames that wait."""
        return len(self._pcm) // FRAME_BYTES

    @property
    def is_awaited(self) -> bool:
        """Should the others wait for its next frame?"""
        return self.is_speaking and not self.is_muted and self.n_frames == 0

    def rtp_came(self, packet: bytes, now_ms: int) -> None:
        """Decode the packet, and those that it lets through."""
        self.heard_ms = now_ms
        n_late = self._order.n_late
        self._decode_all(self._order.put(rtp.seq(packet), packet))
        self._stats.n_dn_late += self._order.n_late - n_late

    def poll(self, now_ms: int) -> None:
        """Stop waiting for what does not come."""
        silent_ms = ms_between(self.heard_ms, now_ms)
        if self._order.is_holding and silent_ms >= _SLACK_MS:
            self._decode_all(self._order.give_up())
        if self.is_speaking and silent_ms >= _SILENT_MS:
            self._end_spurt()

    def next_timeout_ms(self, now_ms: int) -> int:
        """Milliseconds until `poll` has something to do."""
        silent_ms = ms_between(self.heard_ms, now_ms)
        if self._order.is_holding:
            return max(0, _SLACK_MS - silent_ms)
        return max(0, _SILENT_MS - silent_ms) if self.is_speaking else _FOREVER_MS

    def invent_frame(self) -> None:
        """Its frame has not come in time: make one up, in place of a lost one or beside a late one."""
        self._pcm += self._decoder.conceal(FRAME_SAMPLES)
        self._n_invented_samples += FRAME_SAMPLES
        self._stats.n_dn_concealed += 1

    def take_frame(self) -> tuple[bytes, bytes | None]:
        """Return the oldest frame, and the packet it came in, None if it is made up; there must be one."""
        self._steer()
        frame = bytes(self._pcm[:FRAME_BYTES])
        del self._pcm[:FRAME_BYTES]
        return frame, self._opus.popleft() if self._opus else None

    def flush(self) -> int:
        """Forget what waits; return how many frames that were."""
        n_frames = self.n_frames
        self._pcm.clear()
        self._opus.clear()
        return n_frames

    def _decode_all(self, packets: Sequence[Ordered]) -> None:
        for n_lost, packet in packets:
            if packet is not None:
                self._decode(n_lost, packet)

    def _decode(self, n_lost: int, packet: bytes) -> None:
        opus = packet[rtp.HEADER_BYTES :]
        if len(opus) <= _DTX_BYTES:
            self._end_spurt()
            return
        timestamp = rtp.timestamp(packet)
        try:
            if n_lost and self.is_speaking and self._next_timestamp is not None:
                n_missing = timestamp_between(self._next_timestamp, timestamp) // _TICKS_PER_SAMPLE
                self._conceal(n_missing - self._n_invented_samples, opus)
            pcm = self._decoder.decode(opus)
        except OpusError:
            self._stats.n_dn_malformed += 1
            return
        self._n_invented_samples = 0
        self._next_timestamp = (timestamp + len(pcm) // 2 * _TICKS_PER_SAMPLE) & 0xFFFFFFFF
        self._keep(pcm, opus)

    def _conceal(self, n_samples: int, opus: bytes) -> None:
        """Fill the hole before `opus`: its last frame from what `opus` carries of it, the rest by guessing."""
        if not 0 < n_samples <= _CONCEALED_SAMPLES or n_samples % _CONCEALED_STEP:
            return
        n_recovered = min(n_samples, FRAME_SAMPLES)
        if n_samples > n_recovered:
            self._keep(self._decoder.conceal(n_samples - n_recovered))
        self._keep(self._decoder.recover(opus, n_recovered))
        self._stats.n_dn_concealed += -(-n_samples // FRAME_SAMPLES)

    def _keep(self, pcm: bytes, opus: bytes | None = None) -> None:
        if peak(pcm) > _QUIET:
            self.is_speaking = True
            self._n_quiet_samples = 0
        elif not self.is_speaking:
            return
        else:
            self._n_quiet_samples += len(pcm) // 2
        is_alone = len(pcm) == FRAME_BYTES and not len(self._pcm) % FRAME_BYTES
        self._pcm += pcm
        part = None if opus is None else _NOT_ALONE
        self._opus.extend([part] * (self.n_frames - len(self._opus)))
        if is_alone:
            self._opus[-1] = opus
        if self._n_quiet_samples >= _QUIET_SAMPLES:
            self._end_spurt()
        n_over = self.n_frames - _MAX_WAITING_FRAMES
        if n_over > 0:
            self._drop(n_over)

    def _end_spurt(self) -> None:
        """What is left of a frame is filled up."""
        self.is_speaking = False
        self._n_quiet_samples = 0
        self._pcm += bytes(-len(self._pcm) % FRAME_BYTES)

    def _steer(self) -> None:
        """Clocks differ, and a burst may have come: what always waits behind the others is too much."""
        self._least_depth = min(self._least_depth, self.n_frames - 1)
        self._n_taken += 1
        if self._n_taken < _STEER_FRAMES:
            return
        if self._least_depth > 0:
            self._drop(1)
        self._n_taken = 0
        self._least_depth = _MAX_WAITING_FRAMES

    def _drop(self, n_frames: int) -> None:
        del self._pcm[: n_frames * FRAME_BYTES]
        for _ in range(min(n_frames, len(self._opus))):
            self._opus.popleft()
        self._stats.n_dn_dropped += n_frames


class Mixer:
    """Call `rtp_came` as packets come and `poll` when `next_timeout_ms` says so; then `frames` is what is due."""

    def __init__(self, stats: SessionStats) -> None:
        self._stats = stats
        self._talkers: dict[str, Talker] = {}
        self.takes: Callable[[bytes], bool] = lambda opus: False  # can the device be sent this packet as it is?
        self._is_in_spurt = False
        self._is_passing = False  # the spurt
        self._waiting_since_ms: int | None = None  # a frame is there, and somebody is waited for
        self._frames: list[Frame] = []

    def add(self, track_sid: str, is_muted: bool) -> None:
        """Listen to a track."""
        if len(self._talkers) >= _MAX_TALKERS:
            self._stats.n_left_out += 1
        else:
            self._talkers[track_sid] = Talker(is_muted, self._stats)

    def remove(self, track_sid: str) -> None:
        """No packet of this track will come; what it has said so far stays unsaid."""
        self._talkers.pop(track_sid, None)

    def set_muted(self, track_sid: str, is_muted: bool) -> None:
        """A muted talker's last packets are still played, but nobody waits for more."""
        talker = self._talkers.get(track_sid)
        if talker is not None:
            talker.is_muted = is_muted

    def rtp_came(self, track_sid: str, packet: bytes, now_ms: int) -> None:
        """A packet of a track came: plain RTP, Opus."""
        talker = self._talkers.get(track_sid)
        if talker is not None:
            talker.rtp_came(packet, now_ms)
            self._mix(now_ms)

    def poll(self, now_ms: int) -> None:
        """Do what time asks for."""
        for talker in self._talkers.values():
            talker.poll(now_ms)
        self._mix(now_ms)

    def next_timeout_ms(self, now_ms: int) -> int:
        """Milliseconds until `poll` has something to do, at most 60,000."""
        wait_ms = min((talker.next_timeout_ms(now_ms) for talker in self._talkers.values()), default=_FOREVER_MS)
        if self._waiting_since_ms is not None:
            wait_ms = min(wait_ms, max(0, _SLACK_MS - ms_between(self._waiting_since_ms, now_ms)))
        return wait_ms

    def frames(self) -> list[Frame]:
        """Return the frames that are due, and forget them."""
        frames = self._frames
        self._frames = []
        return frames

    def flush(self) -> None:
        """Forget what waits; what comes next begins a spurt."""
        self._stats.n_dn_flushed += sum(talker.flush() for talker in self._talkers.values()) + len(self._frames)
        self._frames = []
        self._waiting_since_ms = None
        self._is_in_spurt = False

    def _mix(self, now_ms: int) -> None:
        while ready := [talker for talker in self._talkers.values() if talker.n_frames]:
            awaited = [talker for talker in self._talkers.values() if talker.is_awaited]
            if awaited and not self._has_waited(now_ms):
                return
            for talker in awaited:
                talker.invent_frame()
            ready += awaited
            self._waiting_since_ms = None
            self._emit([talker.take_frame() for talker in ready])
        self._waiting_since_ms = None
        if self._is_in_spurt:
            self._is_in_spurt = any(talker.is_speaking for talker in self._talkers.values())

    def _emit(self, taken: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Pass or mix the frames of all who speak; only a marked frame changes between the two."""
        begins_spurt = not self._is_in_spurt
        opus = taken[0][1] if len(taken) == 1 else None
        can_pass = opus is not None and self.takes(opus)
        if begins_spurt:
            self._is_passing = can_pass
        elif self._is_passing and (len(taken) > 1 or (opus is not None and not can_pass)):
            self._is_passing = False
            begins_spurt = True
        pcm = mix([frame for frame, _ in taken])
        self._frames.append(Frame(pcm, begins_spurt, (opus or b"") if self._is_passing else None))
        self._is_in_spurt = True

    def _has_waited(self, now_ms: int) -> bool:
        if self._waiting_since_ms is None:
            self._waiting_since_ms = now_ms
        return ms_between(self._waiting_since_ms, now_ms) >= _SLACK_MS
