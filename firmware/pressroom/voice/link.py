"""The signalling under a Session: one WebSocket after another, for as long as the device runs."""

import asyncio

from ..wire.port import const
from ..wire.reconnect import Reconnect
from ..wire.seq import ms_between
from ..wire.session import (
    GREETING,
    LINK_DEAD,
    LINK_DOWN,
    MESSAGE,
    READY,
    REFUSED,
    WELCOMED,
    DeviceSession,
)
from .log import quoted

_KIND_MEDIA = const(1)
_STABLE_MS = const(2_000)  # after a shorter one the tries are counted on: a gateway may refuse us by closing

# What to do about a refusal that did not bring its own sentence.
_ADVICE = {
    "UNAUTHORIZED": "make a token with `pressroom token create` and give it to the board",
    "TOKEN_EXPIRED": "make a new token with `pressroom token create` and give it to the board",
    "TOKEN_REVOKED": "make a new token with `pressroom token create` and give it to the board",
    "WRONG_ROOM": "make a token for a room of this gateway with `pressroom token create --room`",
    "WRONG_PIN": "the gateway shows another certificate than the one pinned; give the board the pin of this gateway",
    "UPGRADE_REQUIRED": "put the firmware of the gateway's version on the board",
    "DUPLICATE_IDENTITY": "give each board a token with an identity of its own",
}


class LinkRefused(Exception):
    """The gateway, or its certificate, says no: to dial again would not help. reason: as in a `leave`."""

    def __init__(self, reason, message):
        super().__init__(message)
        self.reason = reason


class LinkFailed(Exception):
    """There is no link, or no more; the text says why."""


class Link:
    """Keeps a DeviceSession talking to its gateway: dials, greets, receives, and dials again.

    socket: `async connect(url, pins, token, timeout_ms)` and `async receive()` -> str or bytes-like raise LinkFailed,
    the first also LinkRefused; `send_text(text)`; `close()`, after which receive raises.
    listener, given to `run`: `welcomed(message, now_ms)`, `link_down(now_ms)`, `message_came(message, now_ms)`,
    `media_came(packet, now_ms)`.
    """

    def __init__(self, hello, socket, settings, log, now_ms, random_bytes):
        self.session = DeviceSession(hello, now_ms())
        self.is_held = False  # somebody waits: try eagerly
        self.n_links = 0
        self.n_unknown_frames = 0
        self._socket = socket
        self._settings = settings
        self._log = log
        self._now_ms = now_ms
        self._random_bytes = random_bytes
        self._reconnect = Reconnect(now_ms())
        self._nudged = asyncio.Event()  # do not wait for the next try
        self._attempt = None  # the task that dials
        self._told = None  # the last failure in the log: each is told once
        self._listener = None

    @property
    def is_ready(self):
        """Is there a gateway that hears us?"""
        return self.session.state == READY

    async def run(self, listener):
        """Until cancelled."""
        self._listener = listener
        while True:
            await self._wait_for_try()
            if await self._dial():
                await self._receive()

    def pressed(self, now_ms):
        """The button went down: whatever keeps the next try waiting is over."""
        self.is_held = True
        if self.is_ready:
            return
        self._reconnect.pressed(now_ms)
        self.session.retry(now_ms)
        self._nudged.set()
        if self._attempt is not None:
            self._attempt.cancel()  # it may have seconds to go before it gives up

    def set_muted(self, is_muted, rtp_timestamp, now_ms):
        """Tell the gateway, now or as soon as there is one."""
        self.session.set_muted(is_muted, rtp_timestamp, now_ms)
        self._settle(now_ms)

    def flush(self, now_ms):
        """Ask the gateway to drop what is on its way to us."""
        self.session.flush()
        self._settle(now_ms)

    def send(self, message, now_ms):
        """Send a message if there is a gateway; see wire/messages.py."""
        self.session.send(message)
        self._settle(now_ms)

    def poll(self, now_ms):
        """Do what time asks for. Allocates only if there is something."""
        if self.session.next_timeout_ms(now_ms) == 0:
            self.session.poll(now_ms)
            self._settle(now_ms)

    def leave(self, reason, now_ms):
        """Say good-bye; whoever runs `run` cancels it then."""
        self.session.leave(reason, now_ms)
        self._settle(now_ms)

    async def _wait_for_try(self):
        while self.session.state == REFUSED:
            await self._nudged.wait()
            self._nudged.clear()
        wait_ms = self._reconnect.wait_ms(self.is_held, self._random_bytes(1)[0], self._now_ms())
        if wait_ms and not self._nudged.is_set():
            try:
                await asyncio.wait_for_ms(self._nudged.wait(), wait_ms)
            except asyncio.TimeoutError:
                pass
        self._nudged.clear()

    async def _dial(self):
        """Open a WebSocket; return whether there is one now."""
        settings = self._settings
        timeout_ms = self._reconnect.connect_timeout_ms(self.is_held, self._now_ms())
        self._attempt = asyncio.create_task(
            self._socket.connect(settings.url, settings.pins, settings.token, timeout_ms)
        )
        try:
            await self._attempt
        except LinkRefused as error:
            self.session.refused(error.reason, str(error), self._now_ms())
        except LinkFailed as error:
            self._tell_failure("connecting", str(error))
        except asyncio.CancelledError:
            if not self._nudged.is_set():  # nobody pressed: it is this task that shall end
                self._attempt.cancel()
                raise
        else:
            self.session.link_opened(self._now_ms())
        finally:
            self._attempt = None
        self._settle(self._now_ms())
        return self.session.state == GREETING

    async def _receive(self):
        """Until the link is lost."""
        opened_ms = self._now_ms()
        was_ready = False
        try:
            while True:
                frame = await self._socket.receive()
                now_ms = self._now_ms()
                if isinstance(frame, str):
                    self.session.receive(frame, now_ms)
                    self._settle(now_ms)
                    was_ready = was_ready or self.is_ready
                elif len(frame) > 1 and frame[0] == _KIND_MEDIA:
                    self._listener.media_came(frame[1:], now_ms)
                else:
                    self.n_unknown_frames += 1
        except LinkFailed as error:
            self._tell_failure("lost", str(error))
        finally:
            now_ms = self._now_ms()
            self._socket.close()
            self.session.link_lost(now_ms)
            self._settle(now_ms)
            if was_ready and ms_between(opened_ms, now_ms) >= _STABLE_MS:
                self._reconnect.lost(now_ms)

    def _settle(self, now_ms):
        """After every call that changes the Session: send what it has to say, hear what happened."""
        while True:
            texts = self.session.messages_to_send()
            events = self.session.events()
            if not texts and not events:
                return
            for text in texts:
                self._socket.send_text(text)
            for event in events:
                self._handle(event, now_ms)

    def _handle(self, event, now_ms):
        if event.kind == MESSAGE:
            self._listener.message_came(event.value, now_ms)
        elif event.kind == WELCOMED:
            self.n_links += 1
            self._told = None
            self._listener.welcomed(event.value, now_ms)
        elif event.kind == REFUSED:
            self._refused(event.value, now_ms)
        elif event.kind in (LINK_DEAD, LINK_DOWN):
            if event.kind == LINK_DEAD:
                self._tell_failure("lost", "the gateway does not answer, or asks for a new connection")
            self._socket.close()
            self._listener.link_down(now_ms)

    def _refused(self, leave, now_ms):
        reason = leave["reason"]
        advice = leave.get("message") or _ADVICE.get(reason, "ask the gateway's log")
        self._log.line("state=refused reason=%s message=%s" % (reason, quoted(advice)), now_ms)
        self._socket.close()
        self._listener.link_down(now_ms)

    def _tell_failure(self, state, text):
        if text != self._told and self.session.state != REFUSED:
            self._told = text
            self._log.line("state=%s error=%s" % (state, quoted(text)), self._now_ms())
