"""From a room to a device: every talker decoded, mixed, and sent down as one stream. No I/O.

The playout buffer is the device's; here nothing waits longer than it must. One talker's frames go down as they come;
several are mixed at a tick of 20 ms that takes what is there, with one frame of slack each.
"""

from collections import deque
from collections.abc import Callable

from pressroom.wire import rtp
from pressroom.wire.seq import seq_between

from .audio import FRAME_BYTES, FRAME_MS, FRAME_SAMPLES, OpusDecoder, OpusError, mix

_FRAME_S = FRAME_MS / 1_000
_MAX_TALKERS = 16
_ACTIVE_S = 0.1  # a talker who sent nothing for this long is silent
_SLACK_FRAMES = 2  # one to take at the tick, and one of slack
_MAX_CONCEALED_PACKETS = 3
_SILENCE_BYTES = 3  # a packet so short has no speech: DTX (RFC 6716 section 2.1.9), or a server's silence
_PAUSE_S = 0.2  # after that a spurt begins


class Talker:
    """One subscribed track."""

    def __init__(self) -> None:
        self.frames: deque[bytes] = deque(maxlen=_SLACK_FRAMES)
        self.heard_s = -1.0e9
        self._reader = OpusDecoder()
        self._rest = b""
        self._last_seq: int | None = None
        self._n_samples = FRAME_SAMPLES

    def decode(self, packet: bytes, stats: "Downlink") -> list[bytes]:
        """Return the whole frames that this packet completes, lost ones before it concealed."""
        seq = rtp.seq(packet)
        n_ahead = 1 if self._last_seq is None else seq_between(self._last_seq, seq)
        if n_ahead <= 0:
            stats.n_late += 1
            return []
        self._last_seq = seq
        opus = packet[rtp.payload_start(packet, len(packet)) : rtp.payload_end(packet, len(packet))]
        if len(opus) <= _SILENCE_BYTES:
            self._rest = b""
            return []
        pieces = [self._rest]
        if n_ahead > 1:
            stats.n_lost += n_ahead - 1
            if n_ahead - 1 <= _MAX_CONCEALED_PACKETS:
                pieces += [self._reader.conceal(self._n_samples) for _ in range(n_ahead - 1)]
        try:
            pcm = self._reader.decode(opus)
        except OpusError:
            stats.n_unreadable += 1
            return []
        self._n_samples = len(pcm) // 2
        pieces.append(pcm)
        samples = b"".join(pieces)
        n_whole = len(samples) - len(samples) % FRAME_BYTES
        self._rest = samples[n_whole:]
        return [samples[i : i + FRAME_BYTES] for i in range(0, n_whole, FRAME_BYTES)]

    def forget(self) -> None:
        """Drop what waits."""
        self.frames.clear()
        self._rest = b""


class Downlink:
    """Mixes the talkers for one device.

    send_frame(pcm, n_skipped, is_marked): takes one frame; n_skipped frames of time passed before it in silence.
    now_s: seconds of a monotonic clock. While `next_tick_s` is not None, `tick` must be called then.
    """

    def __init__(self, send_frame: Callable[[bytes, int, bool], None]) -> None:
        self.next_tick_s: float | None = None
        self.n_sent = 0
        self.n_lost = 0
        self.n_late = 0
        self.n_dropped = 0  # more than the slack of a tick
        self.n_unreadable = 0
        self.n_ignored = 0  # packets of more talkers than are mixed
        self._send_frame = send_frame
        self._talkers: dict[str, Talker] = {}
        self._sent_s: float | None = None  # when the last frame went; None before the first

    def receive(self, track_sid: str, packet: bytes, now_s: float) -> None:
        """Take one RTP packet with Opus of a subscribed track."""
        talker = self._talkers.get(track_sid)
        if talker is None:
            if len(self._talkers) >= _MAX_TALKERS:
                self.n_ignored += 1
                return
            talker = self._talkers[track_sid] = Talker()
        frames = talker.decode(packet, self)
        if not frames:
            return
        talker.heard_s = now_s
        if self.next_tick_s is None and self._is_alone(talker, now_s):
            for frame in frames:
                self._send(frame, now_s)
            return
        for frame in frames:
            self.n_dropped += len(talker.frames) == _SLACK_FRAMES
            talker.frames.append(frame)
        if self.next_tick_s is None:
            self.next_tick_s = now_s if self._sent_s is None else max(now_s, self._sent_s + _FRAME_S)

    def tick(self, now_s: float) -> None:
        """Mix what is there, and decide whether the next frames need a tick at all."""
        if self.next_tick_s is None:
            return
        frames = [talker.frames.popleft() for talker in self._talkers.values() if talker.frames]
        if frames:
            self._send(mix(frames), now_s)
        active = [talker for talker in self._talkers.values() if now_s - talker.heard_s < _ACTIVE_S]
        if len(active) > 1 or any(talker.frames for talker in self._talkers.values()):
            self.next_tick_s += _FRAME_S
            if self.next_tick_s <= now_s:  # the process slept; frames that are gone are not made up for
                self.next_tick_s = now_s + _FRAME_S
        else:
            self.next_tick_s = None

    def flush(self) -> None:
        """Drop what waits here."""
        for talker in self._talkers.values():
            talker.forget()

    def forget(self, track_sid: str) -> None:
        """The track is gone."""
        self._talkers.pop(track_sid, None)

    def _is_alone(self, talker: Talker, now_s: float) -> bool:
        return all(other is talker or now_s - other.heard_s >= _ACTIVE_S for other in self._talkers.values())

    def _send(self, frame: bytes, now_s: float) -> None:
        n_skipped = 0
        is_marked = self._sent_s is None or now_s - self._sent_s >= _PAUSE_S
        if is_marked and self._sent_s is not None:
            n_skipped = max(0, round((now_s - self._sent_s) / _FRAME_S) - 1)
        self._sent_s = now_s
        self.n_sent += 1
        self._send_frame(frame, n_skipped, is_marked)
