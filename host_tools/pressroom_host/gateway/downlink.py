"""What a room says, on its way to a device: the mixer's frames through the Leg of the present link. No I/O but that."""

from typing import Final

from pressroom.wire.seq import ms_after, ms_between

from .audio import FRAME_MS
from .media import Leg
from .mixer import Mixer
from .stats import SessionStats


class Downlink:
    """Made once a Session. `mixer` is told what comes; then call `send_due`."""

    def __init__(self, stats: SessionStats) -> None:
        self.mixer: Final = Mixer(stats)
        self._stats = stats
        self._leg: Leg | None = None
        self._next_ms: int | None = None  # when the frame after the last one would be due; None before the first

    def open_link(self, leg: Leg) -> None:
        """Send to this Leg from now on; what waits is stale."""
        self.mixer.flush()
        self.mixer.takes = leg.takes
        self._leg = leg
        self._next_ms = None

    def close_link(self) -> None:
        """There is no link: what comes is counted and dropped. Safe to call twice."""
        self._leg = None

    def send_due(self, now_ms: int) -> None:
        """Send the frames that are due."""
        for frame in self.mixer.frames():
            if self._leg is None:
                self._stats.n_dn_not_sent += 1
                continue
            if frame.begins_spurt:
                self._let_time_pass(self._leg, now_ms)
            if frame.opus is None:
                self._leg.send_frame(frame.pcm, frame.begins_spurt)
            elif frame.opus:
                self._leg.send_opus(frame.opus, frame.begins_spurt)
            else:
                self._leg.skip_packet()
            assert self._next_ms is not None
            self._next_ms = ms_after(self._next_ms, FRAME_MS)

    def _let_time_pass(self, leg: Leg, now_ms: int) -> None:
        """Timestamps count samples, and go on in the pauses."""
        if self._next_ms is not None:
            leg.skip_frames(max(0, ms_between(self._next_ms, now_ms) // FRAME_MS))
        self._next_ms = now_ms
