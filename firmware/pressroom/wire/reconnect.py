"""When a device tries its gateway again after the link was lost. No I/O.

     the link has been lost for        one try may take    wait before the next try
     up to 30 s, or the button is held  1 s                 0, then 250 to 500 ms
     longer                             5 s                 0.5 s doubling to 15 s, 20 % of it random

Source: design, "Reconnect".
"""

from .port import const
from .seq import ms_between

_EAGER_FOR_MS = const(30_000)
_EAGER_CONNECT_MS = const(1_000)
_EAGER_WAIT_MS = const(500)
_PATIENT_CONNECT_MS = const(5_000)
_PATIENT_WAIT_MS = const(500)
_PATIENT_MAX_WAIT_MS = const(15_000)
_MAX_DOUBLINGS = const(5)


class Reconnect:
    """Counts the tries since the link was lost. A device that has just booted counts as one that lost its link."""

    __slots__ = ("_lost_ms", "_is_eager", "_n_tries", "_n_patient_tries")

    def __init__(self, now_ms: int) -> None:
        self.lost(now_ms)

    def lost(self, now_ms: int) -> None:
        """The link was lost: the first try comes at once."""
        self._lost_ms = now_ms
        self._is_eager = True
        self._n_tries = 0
        self._n_patient_tries = 0

    def pressed(self, now_ms: int) -> None:
        """The button was pressed: somebody waits, so the tries begin anew."""
        self.lost(now_ms)

    def wait_ms(self, is_held: bool, random_byte: int, now_ms: int) -> int:
        """Return the milliseconds to wait before the next try, and count that try. random_byte: 0 to 255."""
        self._n_tries += 1
        if self._n_tries == 1:
            return 0
        if self._is_eager_now(is_held, now_ms):
            return _EAGER_WAIT_MS - _EAGER_WAIT_MS * random_byte // 512
        wait_ms = min(_PATIENT_WAIT_MS << min(self._n_patient_tries, _MAX_DOUBLINGS), _PATIENT_MAX_WAIT_MS)
        self._n_patient_tries += 1
        return wait_ms - wait_ms * random_byte // 1280  # 255 takes 20 % off

    def connect_timeout_ms(self, is_held: bool, now_ms: int) -> int:
        """Return the milliseconds one try may take, from the TCP SYN to the end of the WebSocket handshake."""
        return _EAGER_CONNECT_MS if self._is_eager_now(is_held, now_ms) else _PATIENT_CONNECT_MS

    def _is_eager_now(self, is_held, now_ms):
        if self._is_eager and ms_between(self._lost_ms, now_ms) >= _EAGER_FOR_MS:
            self._is_eager = False  # kept: the clock wraps, so an old `lost` would look new again
        return self._is_eager or is_held

    def __repr__(self):
        return "Reconnect(n_tries=%d)" % self._n_tries
