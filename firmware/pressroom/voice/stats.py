"""What the device counts, for the gateway and for the log."""

import micropython

from ..wire.port import const
from ..wire.seq import ms_between

_EVERY_MS = const(10_000)
_WARM_FRAMES = const(50)  # views are cut and buffers grow during the first second of a stream
_GAUGES = ("depth_frames", "pump_gap_ms")  # what is not a count that only grows


class Meter:
    """Bytes of garbage one direction of the audio makes, where MicroPython counts them: not on the chip.

    What is given back at once, as the state of a deep call, is no garbage.
    """

    def __init__(self):
        self.n_frames = 0
        self.n_bytes = 0
        self._is_counting = hasattr(micropython, "mem_current")
        self._n_warm_frames = 0
        self._before_bytes = 0

    def begin(self):
        """One direction is about to run."""
        if self._is_counting:
            self._before_bytes = micropython.mem_current()

    def end(self, n_frames, is_streaming):
        """It has run, and moved n_frames; only a steady stream is counted."""
        if not self._is_counting or not is_streaming:
            return
        if self._n_warm_frames < _WARM_FRAMES:
            self._n_warm_frames += n_frames
            return
        self.n_frames += n_frames
        self.n_bytes += micropython.mem_current() - self._before_bytes

    def restart(self):
        """A stream with new keys begins."""
        self._n_warm_frames = 0


class Stats:
    """Reports every 10 s: all counters to the gateway, those that have grown to the log."""

    def __init__(self, now_ms):
        self._told_ms = now_ms
        self._told = {}

    def is_due(self, now_ms):
        """Is it time for a report?"""
        return ms_between(self._told_ms, now_ms) >= _EVERY_MS

    def grown(self, values, now_ms):
        """Take the counters of a report; return those that have grown since the last one as `key=total ...`."""
        self._told_ms = now_ms
        told = self._told
        self._told = values
        return " ".join(
            "%s=%d" % (key, value) for key, value in values.items() if key not in _GAUGES and value != told.get(key, 0)
        )
