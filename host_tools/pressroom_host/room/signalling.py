"""What a client is told: the outbox its messages wait in, the first of them and the last.

Source: LiveKit protocol, livekit_rtc.proto.
"""

import asyncio
from collections.abc import Iterable

from aiohttp import web
from livekit.protocol import models, rtc

from .participant import Participant

_MAX_WAITING = 1_024  # messages that a client has not taken yet
_PING_INTERVAL_S = 5
_PING_TIMEOUT_S = 15
_SERVER_VERSION = "1.9.0"  # the LiveKit server whose protocol this speaks
_PROTOCOL = 16

# A client that is sent away for one of these comes back at once, with everything fresh.
_RECONNECT_REASONS = (models.DisconnectReason.STATE_MISMATCH, models.DisconnectReason.CONNECTION_TIMEOUT)


class OutboxFull(Exception):
    """The client does not read. What was waiting for it is dropped, so it has to start anew."""


class Outbox:
    """Messages in order, until `end`; what is put later goes nowhere."""

    def __init__(self) -> None:
        self.has_ended = False
        self._waiting: asyncio.Queue[rtc.SignalResponse | None] = asyncio.Queue()  # bounded by put

    def put(self, response: rtc.SignalResponse) -> None:
        """Raises OutboxFull; then it is empty, so that a goodbye fits."""
        if self.has_ended:
            return
        if self._waiting.qsize() >= _MAX_WAITING:
            while not self._waiting.empty():
                self._waiting.get_nowait()
            raise OutboxFull(f"signalling: {_MAX_WAITING} messages not read")
        self._waiting.put_nowait(response)

    def end(self) -> None:
        """Let `write_to` return after what is waiting. Safe to call twice."""
        if not self.has_ended:
            self.has_ended = True
            self._waiting.put_nowait(None)

    async def write_to(self, socket: web.WebSocketResponse) -> None:
        """Write every message, then close the socket. Returns early if the connection is lost."""
        try:
            while (response := await self._waiting.get()) is not None:
                await socket.send_bytes(response.SerializeToString())
        except ConnectionError:
            self.has_ended = True
        await socket.close()

    def __len__(self) -> int:
        return self._waiting.qsize()


def join_response(participant: Participant, others: Iterable[Participant]) -> rtc.SignalResponse:
    """Return the first message to a client: its room, itself, and who is there already."""
    return rtc.SignalResponse(
        join=rtc.JoinResponse(
            room=participant.room.info(),
            participant=participant.info(),
            other_participants=[other.info() for other in others],
            server_version=_SERVER_VERSION,
            ping_interval=_PING_INTERVAL_S,
            ping_timeout=_PING_TIMEOUT_S,
            fast_publish=True,
            enabled_publish_codecs=[models.Codec(mime="audio/opus")],
            server_info=models.ServerInfo(
                edition=models.ServerInfo.Edition.Standard, version=_SERVER_VERSION, protocol=_PROTOCOL
            ),
        )
    )


def leave_response(reason: models.DisconnectReason) -> rtc.SignalResponse:
    """Return the last message to a client: why, and whether to come back."""
    is_welcome_back = reason in _RECONNECT_REASONS
    action = rtc.LeaveRequest.Action.RECONNECT if is_welcome_back else rtc.LeaveRequest.Action.DISCONNECT
    return rtc.SignalResponse(leave=rtc.LeaveRequest(reason=reason, action=action, can_reconnect=is_welcome_back))
