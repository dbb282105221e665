"""A Session: one device's conversation with one gateway, from hello to leave. No I/O.

After every call that changes a Session its owner sends `messages_to_send()`, handles `events()`, and calls `poll` once
`next_timeout_ms()` have passed.

DEVICE
     state      on                             does                               next
     DOWN       link_opened                    hello, with the Session to resume  GREETING
     GREETING   welcome                        WELCOMED                           READY
     GREETING   3 s                            LINK_DEAD                          DOWN
     READY      two pings unanswered           LINK_DEAD                          DOWN
     GREETING, READY
                link_lost                      LINK_DOWN                          DOWN
                leave, action RESUME           LINK_DEAD                          DOWN
                leave, action RECONNECT        LINK_DEAD, forgets the Session     DOWN
                leave, action DISCONNECT       REFUSED                            REFUSED
     DOWN       refused (pin, token)           REFUSED                            REFUSED
     REFUSED    retry                                                             DOWN
     any        leave (by the owner)           leave                              LEFT

GATEWAY
     WAITING    welcome                        welcome                            READY
     READY      hello of a new link: welcome   welcome                            READY
     LOST       welcome                        welcome                            READY
     READY      link_lost                      LINK_DOWN                          LOST
     READY      nothing heard, 7 s talking or 35 s  LINK_DEAD                     LOST
     WAITING, LOST   30 s                      EXPIRED                            EXPIRED
     READY      leave                          LEFT                               LEFT
     any        leave (by the owner)           leave                              LEFT

LINK_DEAD asks the owner to close the socket; LINK_DOWN says that it is closed. A Session reports one of them a link.
"""

from .messages import PROTO, MessageError, encode, parse
from .port import const
from .seq import ms_after, ms_between, timestamp_between

DOWN = "down"
GREETING = "greeting"
READY = "ready"
REFUSED = "refused"
WAITING = "waiting"
LOST = "lost"
EXPIRED = "expired"
LEFT = "left"

WELCOMED = "welcomed"
LINK_DOWN = "link_down"
LINK_DEAD = "link_dead"
UNMUTED = "unmuted"
MUTED = "muted"
FLUSHED = "flushed"
MESSAGE = "message"

_WELCOME_MS = const(3_000)
_PING_TALKING_MS = const(2_000)
_PING_IDLE_MS = const(15_000)
_MAX_UNANSWERED = const(2)
_SILENT_TALKING_MS = const(7_000)  # three pings of a talking device and a second of grace
_SILENT_IDLE_MS = const(35_000)  # two pings of an idle device and five seconds
_KEPT_MS = const(30_000)
_END_OF_TALK_MS = const(150)
_MAX_OUTBOX = const(64)
_FOREVER_MS = const(60_000)

_DEVICE_TABLE = {
    (DOWN, "link_opened"): (GREETING, None),
    (GREETING, "welcome"): (READY, WELCOMED),
    (GREETING, "timeout"): (DOWN, LINK_DEAD),
    (READY, "timeout"): (DOWN, LINK_DEAD),
    (GREETING, "link_lost"): (DOWN, LINK_DOWN),
    (READY, "link_lost"): (DOWN, LINK_DOWN),
    (GREETING, "RESUME"): (DOWN, LINK_DEAD),
    (READY, "RESUME"): (DOWN, LINK_DEAD),
    (GREETING, "RECONNECT"): (DOWN, LINK_DEAD),
    (READY, "RECONNECT"): (DOWN, LINK_DEAD),
    (GREETING, "DISCONNECT"): (REFUSED, REFUSED),
    (READY, "DISCONNECT"): (REFUSED, REFUSED),
    (DOWN, "refused"): (REFUSED, REFUSED),
    (REFUSED, "retry"): (DOWN, None),
}
_GATEWAY_TABLE = {
    (WAITING, "welcome"): (READY, None),
    (READY, "welcome"): (READY, None),
    (LOST, "welcome"): (READY, None),
    (READY, "link_lost"): (LOST, LINK_DOWN),
    (READY, "timeout"): (LOST, LINK_DEAD),
    (WAITING, "timeout"): (EXPIRED, EXPIRED),
    (LOST, "timeout"): (EXPIRED, EXPIRED),
    (READY, "leave"): (LEFT, LEFT),
}


class Event:
    """What a Session reports. kind: one of the names above; value: what came with it (message, timestamp or None)."""

    __slots__ = ("kind", "value")

    def __init__(self, kind: str, value: object = None) -> None:
        self.kind = kind
        self.value = value

    def __repr__(self):
        return "Event(%s)" % self.kind  # without the value: a welcome holds keys


class _Session:
    """What both roles share: the table, the outbox, the events, what was dropped."""

    def __init__(self, table, state, now_ms):
        self._table = table
        self.state = state
        self.is_muted = True
        self.n_bad_messages = 0
        self.n_unknown_messages = 0
        self.n_dropped_messages = 0  # outbox full: the link takes nothing
        self._outbox = []
        self._events = []
        self._deadline_ms = now_ms

    def messages_to_send(self) -> list[str]:
        """Return what must go out as text frames, in order, and forget it."""
        outbox = self._outbox
        self._outbox = []
        return outbox

    def events(self) -> list[Event]:
        """Return what happened since the last call, in order, and forget it."""
        events = self._events
        self._events = []
        return events

    def send(self, message: dict) -> bool:
        """Queue a message. Returns False, and counts it, if there is no link or the outbox is full.

        Raises MessageError if the message is not as wire.messages says.
        """
        text = encode(message)
        if self.state != READY or len(self._outbox) >= _MAX_OUTBOX:
            self.n_dropped_messages += 1
            return False
        self._outbox.append(text)
        return True

    def receive(self, text: str, now_ms: int) -> None:
        """A text frame came. What cannot be read is counted and dropped."""
        try:
            message = parse(text)
        except MessageError:
            self.n_bad_messages += 1
            return
        if message is None:
            self.n_unknown_messages += 1
        else:
            self._handle(message, now_ms)
        self._heard(now_ms)

    def link_lost(self, now_ms: int) -> None:
        """The socket is closed, whoever closed it. Safe to call again."""
        self._step("link_lost", None, now_ms)

    def poll(self, now_ms: int) -> None:
        """Do what time asks for."""
        if self._has_deadline() and ms_between(self._deadline_ms, now_ms) >= 0:
            self._on_deadline(now_ms)

    def next_timeout_ms(self, now_ms: int) -> int:
        """Milliseconds until `poll` has something to do: 0 if it has now, at most 60,000."""
        if not self._has_deadline():
            return _FOREVER_MS
        return max(0, min(ms_between(now_ms, self._deadline_ms), _FOREVER_MS))

    def _step(self, trigger, value, now_ms):
        """Take the table's way; False where it has none."""
        row = self._table.get((self.state, trigger))
        if row is None:
            return False
        self.state = row[0]
        self._outbox = []  # what an earlier link did not take belongs to no later one
        self._set_deadline(now_ms)
        if row[1] is not None:
            self._events.append(Event(row[1], value))
        return True

    def _leave(self, message, now_ms):
        if self.state in (WAITING, GREETING, READY):
            self._outbox.append(encode(message))
        self.state = LEFT

    def __repr__(self):
        return "%s(%s, is_muted=%r)" % (type(self).__name__, self.state, self.is_muted)


class DeviceSession(_Session):
    """The device's side. hello: the message to greet with, without `resume` and `muted`, which the Session knows."""

    def __init__(self, hello: dict, now_ms: int) -> None:
        super().__init__(_DEVICE_TABLE, DOWN, now_ms)
        self.session_id = None  # what the last welcome called this Session; asked for again at a resume
        self._hello = hello
        self._n_unanswered = 0
        self._ping_id = 0

    def link_opened(self, now_ms: int) -> None:
        """The WebSocket is open: greet."""
        if not self._step("link_opened", None, now_ms):
            return
        hello = dict(self._hello)
        hello["t"] = "hello"
        hello["proto"] = PROTO
        hello["muted"] = self.is_muted
        if self.session_id is not None:
            hello["resume"] = self.session_id
        self._outbox.append(encode(hello))

    def set_muted(self, is_muted: bool, rtp_timestamp: int, now_ms: int) -> bool:
        """The button went down or up. Returns whether the gateway is told now.

        rtp_timestamp: of the first sample when unmuting, just past the last one when muting.
        With the link lost the wish is kept; the next WELCOMED asks for this call again, as timestamps begin anew.
        """
        self.is_muted = is_muted
        if self.state != READY:
            return False
        self._deadline_ms = now_ms  # a ping at once: a dead link is noticed soon
        return self.send({"t": "mute", "muted": is_muted, "rtp_timestamp": rtp_timestamp})

    def flush(self) -> bool:
        """Ask the gateway to drop what is on its way to the speaker."""
        return self.send({"t": "flush"})

    def refused(self, reason: str, message: str, now_ms: int) -> None:
        """The gateway, or the pin, refused the link before any message. Ends in REFUSED."""
        self._step("refused", {"t": "leave", "action": "DISCONNECT", "reason": reason, "message": message}, now_ms)

    def retry(self, now_ms: int) -> None:
        """Somebody asks for another try after a refusal."""
        self._step("retry", None, now_ms)

    def leave(self, reason: str, now_ms: int) -> None:
        """End the Session."""
        self._leave({"t": "leave", "action": "DISCONNECT", "reason": reason}, now_ms)

    def _handle(self, message, now_ms):
        name = message["t"]
        if name == "welcome":
            if self._step("welcome", message, now_ms):
                self.session_id = message["session"]
        elif name == "leave":
            if message["action"] == "RECONNECT":
                self.session_id = None
            if not self._step(message["action"], message, now_ms):
                self.n_bad_messages += 1
        elif name == "ping":
            self.send({"t": "pong", "id": message["id"]})
        elif name != "pong" and self.state == READY:
            self._events.append(Event(MESSAGE, message))

    def _heard(self, now_ms):
        self._n_unanswered = 0

    def _has_deadline(self):
        return self.state == GREETING or self.state == READY

    def _set_deadline(self, now_ms):
        self._n_unanswered = 0
        self._deadline_ms = ms_after(now_ms, _WELCOME_MS if self.state == GREETING else self._ping_every_ms())

    def _on_deadline(self, now_ms):
        if self.state == GREETING or self._n_unanswered >= _MAX_UNANSWERED:
            self._step("timeout", None, now_ms)
            return
        self._n_unanswered += 1
        self._ping_id = (self._ping_id + 1) & 0xFFFF
        self.send({"t": "ping", "id": self._ping_id})
        self._deadline_ms = ms_after(now_ms, self._ping_every_ms())

    def _ping_every_ms(self):
        return _PING_IDLE_MS if self.is_muted else _PING_TALKING_MS


class GatewaySession(_Session):
    """The gateway's side. It begins once a hello was read and found good, and outlives the links under it."""

    def __init__(self, session_id: str, now_ms: int) -> None:
        super().__init__(_GATEWAY_TABLE, WAITING, now_ms)
        self.session_id = session_id
        self._heard_timestamp = None  # just past the last sample that came since the last unmute
        self._end_timestamp = None  # the talk ends here; None unless a mute waits for its audio
        self._end_ms = now_ms
        self._set_deadline(now_ms)

    def welcome(self, message: dict, is_device_muted: bool, now_ms: int) -> None:
        """Answer the hello of a new link, the first or one that resumes. is_device_muted: as that hello said."""
        if not self._step("welcome", None, now_ms):
            return
        self._outbox.append(encode(message))
        if is_device_muted:
            self._end_talk()

    def audio_heard(self, end_timestamp: int, now_ms: int) -> None:
        """An audio packet came. end_timestamp: RTP timestamp just past its last sample."""
        if self._heard_timestamp is None or timestamp_between(self._heard_timestamp, end_timestamp) > 0:
            self._heard_timestamp = end_timestamp
        self._end_talk_if_heard()

    def leave(self, action: str, reason: str, message: str, now_ms: int) -> None:
        """End the Session, and tell the device why and what to do."""
        self._leave({"t": "leave", "action": action, "reason": reason, "message": message}, now_ms)

    def poll(self, now_ms: int) -> None:
        """Do what time asks for."""
        if self._end_timestamp is not None and ms_between(self._end_ms, now_ms) >= 0:
            self._end_talk()
        super().poll(now_ms)

    def next_timeout_ms(self, now_ms: int) -> int:
        """Milliseconds until `poll` has something to do: 0 if it has now, at most 60,000."""
        wait_ms = super().next_timeout_ms(now_ms)
        if self._end_timestamp is not None:
            wait_ms = max(0, min(wait_ms, ms_between(now_ms, self._end_ms)))
        return wait_ms

    def _handle(self, message, now_ms):
        name = message["t"]
        if self.state != READY:
            return
        if name == "mute":
            self._handle_mute(message, now_ms)
        elif name == "flush":
            self._events.append(Event(FLUSHED))
        elif name == "ping":
            self.send({"t": "pong", "id": message["id"]})
        elif name == "leave":
            self._end_talk()
            self._step("leave", message, now_ms)
        elif name != "pong":
            self._events.append(Event(MESSAGE, message))

    def _handle_mute(self, message, now_ms):
        timestamp = message.get("rtp_timestamp")
        if timestamp is None:
            self.n_bad_messages += 1
        elif not message["muted"]:
            if self._end_timestamp is not None:  # pressed again before the end of the last talk was heard
                self._end_talk()
            self.is_muted = False  # it may be so already: a resume in the middle of a talk begins new timestamps
            self._heard_timestamp = None
            self._set_deadline(now_ms)
            self._events.append(Event(UNMUTED, timestamp))
        elif not self.is_muted:
            self._end_timestamp = timestamp
            self._end_ms = ms_after(now_ms, _END_OF_TALK_MS)
            self._end_talk_if_heard()

    def _end_talk_if_heard(self):
        """`mute` on TCP overtakes audio on UDP, so the talk ends once its last sample is here."""
        if self._end_timestamp is None or self._heard_timestamp is None:
            return
        if timestamp_between(self._end_timestamp, self._heard_timestamp) >= 0:
            self._end_talk()

    def _end_talk(self):
        self._end_timestamp = None
        if not self.is_muted:
            self.is_muted = True
            self._events.append(Event(MUTED))

    def _heard(self, now_ms):
        if self.state == READY:
            self._set_deadline(now_ms)

    def _has_deadline(self):
        return self.state == WAITING or self.state == READY or self.state == LOST

    def _set_deadline(self, now_ms):
        if self.state == READY:
            wait_ms = _SILENT_IDLE_MS if self.is_muted else _SILENT_TALKING_MS
        else:
            wait_ms = _KEPT_MS
        self._deadline_ms = ms_after(now_ms, wait_ms)

    def _on_deadline(self, now_ms):
        self._step("timeout", None, now_ms)
