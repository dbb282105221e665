"""What time it is on the simulated chip."""

import time


class MonotonicClock:
    """CLOCK_MONOTONIC of the machine: the host's time.monotonic() tells the same time."""

    def now_us(self):
        return time.ticks_us()

    def sleep_us(self, wait_us):
        time.sleep_us(wait_us)


class VirtualClock:
    """A clock that stands still until a test advances it."""

    def __init__(self, now_us=0):
        self._now_us = now_us

    def now_us(self):
        return self._now_us

    def advance_us(self, step_us):
        self._now_us += step_us

    def sleep_us(self, wait_us):
        self._now_us += wait_us
