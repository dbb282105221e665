"""The room of this process (pressroom_host.room), as a RoomPort."""

from collections.abc import Mapping

from livekit.protocol import models

from pressroom_host.room.member import Member, MemberTrack
from pressroom_host.room.server import RoomServer
from pressroom_host.room.tokens import AccessClaims
from pressroom_host.room_listener import RoomListener

from .room_port import RoomParticipant


class EmbeddedParticipant:
    """A Member of a room in this process."""

    def __init__(self, member: Member) -> None:
        self._member = member
        self.sid = member.sid

    async def publish_audio(self, name: str, source: models.TrackSource, muted: bool) -> MemberTrack:
        """Publish an Opus track. Raises room.tokens.GrantMissing."""
        return self._member.publish_audio(name, source, muted)

    def set_attributes(self, attributes: Mapping[str, str]) -> None:
        """Set these attributes; an empty value removes one."""
        self._member.set_attributes(dict(attributes))

    def send_data(self, packet: models.DataPacket, reliable: bool) -> None:
        """Send to packet.destination_identities, or to all others if it is empty."""
        self._member.send_data(packet, reliable)

    async def leave(self, reason: models.DisconnectReason) -> None:
        """Leave the room. Safe to call twice."""
        await self._member.leave(reason)


class EmbeddedRoom:
    """The rooms of a RoomServer, which takes tokens of this key; it is stopped with this."""

    def __init__(self, server: RoomServer, api_key: str, api_secret: str) -> None:
        self.server = server
        self.api_key = api_key
        self.api_secret = api_secret

    @property
    def url(self) -> str:
        """Where LiveKit clients join."""
        return self.server.url

    async def join(self, claims: AccessClaims, listener: RoomListener) -> RoomParticipant:
        """Let a device into its room."""
        return EmbeddedParticipant(self.server.join(claims, listener))

    async def stop(self) -> None:
        """Let everybody go and close the room's ports. Safe to call twice."""
        await self.server.stop()
