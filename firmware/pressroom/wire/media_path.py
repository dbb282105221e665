"""Which way a Session's media goes: over UDP, or inside the WebSocket. No I/O.

     way        keepalive over UDP is due                      leaves when
     WEBSOCKET  every 200 ms for 2 s, then every 30 s          a keepalive is answered           -> UDP
     UDP        at once, then every 15 s; 200 ms if silent 1 s talking, and silent for 2 s       -> WEBSOCKET
     (silent: no authenticated packet has come over UDP)

The keepalive that is due at once tells the gateway that UDP was taken: its one byte is `is_udp`.
Source: design, "Liveness of media".
"""

from .port import const
from .seq import ms_between

WEBSOCKET = 0
UDP = 1

_PROBE_EVERY_MS = const(200)
_PROBE_FOR_MS = const(2_000)
_RETRY_EVERY_MS = const(30_000)
_IDLE_EVERY_MS = const(15_000)
_SILENT_MS = const(1_000)
_DEAD_MS = const(2_000)


class MediaPath:
    """Chooses the way. Call `heard` and `set_talking` as they happen, `poll` when `next_timeout_ms` says so.

    now_ms: milliseconds modulo 2**30, never read from a clock here. Nothing here allocates.
    """

    __slots__ = ("way", "is_talking", "n_fallbacks", "_since_ms", "_heard_ms", "_sent_ms")

    def __init__(self, now_ms: int) -> None:
        self.way = WEBSOCKET
        self.is_talking = False
        self.n_fallbacks = 0
        self._since_ms = now_ms  # when the present way was taken
        self._heard_ms = now_ms  # silence is counted from here
        self._sent_ms = None  # the last keepalive on the present way; None before the first

    def heard(self, now_ms: int) -> None:
        """An authenticated packet came over UDP, so UDP works."""
        self._heard_ms = now_ms
        if self.way == WEBSOCKET:
            self._take(UDP, now_ms)

    def set_talking(self, is_talking: bool, now_ms: int) -> None:
        """While nobody talks, silence is normal: it is counted from the first word."""
        if is_talking and not self.is_talking:
            self._heard_ms = now_ms
        self.is_talking = is_talking

    def poll(self, now_ms: int) -> bool:
        """Return True if a keepalive must go out over UDP now; may change `way`."""
        if self.way == UDP and self.is_talking and ms_between(self._heard_ms, now_ms) >= _DEAD_MS:
            self.n_fallbacks += 1
            self._take(WEBSOCKET, now_ms)
        if self._sent_ms is not None and ms_between(self._sent_ms, now_ms) < self._every_ms(now_ms):
            return False
        self._sent_ms = now_ms
        return True

    def next_timeout_ms(self, now_ms: int) -> int:
        """Milliseconds until `poll` has something to do; 0 if it has now."""
        if self._sent_ms is None:
            return 0
        wait_ms = self._every_ms(now_ms) - ms_between(self._sent_ms, now_ms)
        if self.way == UDP and self.is_talking:  # silence may begin, or end the way, before the keepalive is due
            silent_ms = ms_between(self._heard_ms, now_ms)
            wait_ms = min(wait_ms, (_SILENT_MS if silent_ms < _SILENT_MS else _DEAD_MS) - silent_ms)
        return max(wait_ms, 0)

    def _every_ms(self, now_ms):
        if self.way == WEBSOCKET:
            return _PROBE_EVERY_MS if ms_between(self._since_ms, now_ms) < _PROBE_FOR_MS else _RETRY_EVERY_MS
        is_silent = self.is_talking and ms_between(self._heard_ms, now_ms) >= _SILENT_MS
        return _PROBE_EVERY_MS if is_silent else _IDLE_EVERY_MS

    def _take(self, way, now_ms):
        self.way = way
        self._since_ms = now_ms
        self._sent_ms = None

    def __repr__(self):
        return "MediaPath(way=%d, is_talking=%r, n_fallbacks=%d)" % (self.way, self.is_talking, self.n_fallbacks)
