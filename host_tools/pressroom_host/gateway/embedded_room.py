"""The RoomPort to the room in this process."""

from pressroom_host.room.member import Member
from pressroom_host.room.server import RoomServer
from pressroom_host.room.tokens import AccessClaims

from .room_port import RoomListener


class EmbeddedRoom:
    """Joins devices to the rooms of a RoomServer, which it owns."""

    def __init__(self, server: RoomServer) -> None:
        self.server = server

    async def join(self, claims: AccessClaims, listener: RoomListener) -> Member:
        """Join the room of the claims. Raises room.tokens.GrantMissing."""
        return self.server.join(claims, listener)

    async def stop(self) -> None:
        """Close the rooms. Safe to call twice."""
        await self.server.stop()
