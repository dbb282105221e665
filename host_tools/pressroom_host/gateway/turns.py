"""The button as turns of an agent: calls for those that offer the push-to-talk methods. No I/O.

Other agents hear mute and unmute, as everybody does.

     the button                                     the agent is called
     is pressed                                     start_turn
     is released                                    end_turn, once the speech up to then has gone out
     was pressed for less than 200 ms               cancel_turn
     is held while the link to the device is lost   cancel_turn

     end_turn's answer                              the device is told
     a transcript                                   nothing: transcript and states of the agent follow by themselves
     ""                                             turn: unheard, unless the agent begins to think or speak soon
     an error, or none in time                      turn: failed

A call is made once the one before is answered: an agent runs its methods side by side, and might end a turn before it
has begun it.

Source: LiveKit documentation, "Turn detection / Manual turn control": start_turn, end_turn, cancel_turn.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from livekit.protocol import models

from pressroom.wire.seq import ms_after, ms_between

from . import rpc

START: Final = "start_turn"
END: Final = "end_turn"
CANCEL: Final = "cancel_turn"
UNHEARD: Final = "unheard"
FAILED: Final = "failed"

_SHORTEST_MS: Final = 200
_TIMEOUTS_MS: Final = {START: 2_000, END: 10_000, CANCEL: 2_000}
_RETRY_MS: Final = 200
_MAX_RETRIES: Final = 5  # an agent is seen a moment before its methods are there
_UNHEARD_MS: Final = 1_500
_STATE: Final = "lk.agent.state"
_BUSY: Final = ("thinking", "speaking")
_MAX_QUEUED: Final = 8
_FOREVER_MS: Final = 60_000

Call = Callable[[str, str, int], None]  # identity, method, timeout in ms


class Turns:
    """call: makes a remote call; `answered` takes what comes of it. tell: tells the device UNHEARD or FAILED."""

    def __init__(self, call: Call, tell: Callable[[str], None]) -> None:
        self._call = call
        self._tell = tell
        self._agents: dict[str, str] = {}  # sid -> identity, in the order in which they came
        self._without_methods: set[str] = set()  # sids
        self._agent = ""  # the sid of the one whose turn this is
        self._pressed_ms = 0
        self._is_held = False
        self._is_open = False  # start_turn was called, and neither end_turn nor cancel_turn
        self._in_flight = ""  # the method whose answer is awaited
        self._queue: deque[str] = deque(maxlen=_MAX_QUEUED)  # what is to be called after it
        self._n_retries = 0
        self._retry_ms: int | None = None
        self._unheard_ms: int | None = None

    @property
    def has_agent(self) -> bool:
        """Return whether an agent is there."""
        return bool(self._agents)

    @property
    def is_open(self) -> bool:
        """Return whether the agent was called to a turn, or will be in a moment."""
        return self._is_open or self._retry_ms is not None

    # Who is there.

    def participant(self, info: models.ParticipantInfo) -> None:
        """Somebody joined or changed."""
        if info.kind != models.ParticipantInfo.Kind.AGENT:
            return
        self._agents[info.sid] = info.identity
        if info.sid == self._agent and info.attributes.get(_STATE) in _BUSY:
            self._unheard_ms = None

    def participant_left(self, sid: str) -> None:
        """Somebody left."""
        self._agents.pop(sid, None)
        self._without_methods.discard(sid)
        if sid == self._agent:
            self._forget_turn()

    # The button.

    def pressed(self, now_ms: int) -> None:
        """The device was unmuted."""
        self._cancel()
        self._is_held = True
        self._pressed_ms = now_ms
        self._n_retries = 0
        self._start()

    def released(self, now_ms: int) -> None:
        """The device is muted, and what it said has gone out."""
        self._is_held = False
        self._retry_ms = None
        if not self._is_open:
            return
        if ms_between(self._pressed_ms, now_ms) < _SHORTEST_MS:
            self._cancel()
            return
        self._is_open = False
        self._make(END)

    def link_lost(self) -> None:
        """The device is not there any more; safe to call at any time."""
        self._is_held = False
        self._retry_ms = self._unheard_ms = None
        self._cancel()

    # What comes of the calls.

    def answered(self, method: str, payload: str, code: int, now_ms: int) -> None:
        """A call was answered; code: of LiveKit's RpcError, 0 for an answer."""
        if method == self._in_flight:
            self._in_flight = ""
        self._judge(method, payload, code, now_ms)
        if self._queue and not self._in_flight:
            self._make(self._queue.popleft())

    def _judge(self, method: str, payload: str, code: int, now_ms: int) -> None:
        if method == START and code:
            self._queue.clear()  # what was to follow it
        if method == START and code == rpc.UNSUPPORTED_METHOD:
            self._is_open = False
            if self._n_retries < _MAX_RETRIES:
                self._n_retries += 1
                self._retry_ms = ms_after(now_ms, _RETRY_MS) if self._is_held else None
            else:
                self._without_methods.add(self._agent)
        elif method == START and code:
            self._is_open = False
            self._tell(FAILED)
        elif method == END and code and code != rpc.RECIPIENT_DISCONNECTED:
            self._tell(FAILED)
        elif method == END and not payload and not code:
            self._unheard_ms = ms_after(now_ms, _UNHEARD_MS)

    def poll(self, now_ms: int) -> None:
        """Do what time asks for."""
        if self._retry_ms is not None and ms_between(self._retry_ms, now_ms) >= 0:
            self._retry_ms = None
            self._start()
        if self._unheard_ms is not None and ms_between(self._unheard_ms, now_ms) >= 0:
            self._unheard_ms = None
            self._tell(UNHEARD)

    def next_timeout_ms(self, now_ms: int) -> int:
        """Milliseconds until `poll` has something to do, at most 60,000."""
        deadlines = [each for each in (self._retry_ms, self._unheard_ms) if each is not None]
        return min((max(0, ms_between(now_ms, each)) for each in deadlines), default=_FOREVER_MS)

    def _start(self) -> None:
        self._agent = next((sid for sid in self._agents if sid not in self._without_methods), "")
        self._unheard_ms = None
        if self._agent:
            self._is_open = True
            self._make(START)

    def _cancel(self) -> None:
        if self._is_open:
            self._is_open = False
            self._make(CANCEL)

    def _forget_turn(self) -> None:
        self._agent = ""
        self._is_open = False
        self._in_flight = ""
        self._queue.clear()
        self._retry_ms = self._unheard_ms = None

    def _make(self, method: str) -> None:
        if self._in_flight:
            self._queue.append(method)
            return
        identity = self._agents.get(self._agent)
        if identity is not None:
            self._in_flight = method
            self._call(identity, method, _TIMEOUTS_MS[method])
