"""The room's door: HTTP, WebSocket, tokens. Everything behind it is in room.py and client.py.

    GET /                   OK
    GET /rtc/validate       \\ 200 if the token lets its holder in, else 401 with the reason
    GET /rtc/v1/validate    /
    GET /rtc/v1             the signalling WebSocket, version 1: one peer connection
    GET /rtc                404: version 0 is not spoken, and clients of either version understand that

It listens on loopback only: there is no TLS here yet, and tokens would pass in the clear.
"""

import ipaddress

from livekit.protocol import models

from .member import Member, MemberListener
from .room import Room
from .tokens import AccessClaims, require_join


class NotLoopback(Exception):
    """The room was asked to listen where others can hear it."""


class RoomServer:
    """Rooms by name, made when the first participant joins and dropped when the last has left."""

    def __init__(self, api_key: str, api_secret: str) -> None:
        self._api_key = api_key
        self._api_secret = api_secret
        self._rooms: dict[str, Room] = {}
        self.url = ""

    @classmethod
    async def start(
        cls, *, api_key: str, api_secret: str, host: str = "127.0.0.1", port: int = 0, udp_port: int = 0
    ) -> "RoomServer":
        """Listen on host; port 0 takes a free one. Raises NotLoopback, or OSError if a port is taken."""
        if not ipaddress.ip_address(host).is_loopback:
            raise NotLoopback(f"room: {host} is not loopback; the room has no TLS yet, so use 127.0.0.1")
        return cls(api_key, api_secret)

    async def stop(self) -> None:
        """Disconnect everybody. Safe to call twice."""
        for room in list(self._rooms.values()):
            for participant in list(room.participants.values()):
                room.leave(participant, models.DisconnectReason.SERVER_SHUTDOWN)

    def join(self, claims: AccessClaims, listener: MemberListener) -> Member:
        """Let a participant of this process into its room. Raises GrantMissing."""
        require_join(claims)
        member = Member(self._room(claims.room), claims, listener)
        member.join()
        return member

    def _room(self, name: str) -> Room:
        if name not in self._rooms:
            self._rooms[name] = Room(name)
        return self._rooms[name]
