"""The Sessions of a gateway: found again at a resume, and ended together."""

import asyncio
import secrets
from typing import Final

from pressroom_host.room.tokens import AccessClaims

from .bridge import Bridge
from .room_view import Message

MAX_SESSIONS: Final = 1_000
_ID_BYTES: Final = 4


class Sessions:
    """Bridges by Session. One that is over leaves its room in a task that is awaited at the end."""

    def __init__(self) -> None:
        self.bridges: dict[str, Bridge] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def new_id(self) -> str:
        """Return an identifier that no Session has."""
        while (session_id := secrets.token_hex(_ID_BYTES)) in self.bridges:
            pass
        return session_id

    def to_resume(self, hello: Message, claims: AccessClaims) -> Bridge | None:
        """Return the Session a hello asks for, if it is that of the same device in the same room."""
        bridge = self.bridges.get(hello.get("resume", ""))
        if bridge is None or (bridge.claims.identity, bridge.claims.room) != (claims.identity, claims.room):
            return None
        return bridge

    def over(self, bridge: Bridge) -> None:
        """A Bridge is over: forget it, and have it leave its room."""
        if self.bridges.get(bridge.session_id) is bridge:
            del self.bridges[bridge.session_id]
        task = asyncio.get_running_loop().create_task(bridge.close(), name=f"close {bridge.session_id}")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def stop(self, action: str, reason: str, message: str) -> None:
        """End all, telling each device why and what to do. Safe to call twice."""
        for bridge in list(self.bridges.values()):
            bridge.leave(action, reason, message)
        if self._closing:
            await asyncio.wait(list(self._closing))
