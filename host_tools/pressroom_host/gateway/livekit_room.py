"""The rooms of a LiveKit server somewhere, as a RoomPort: one connection a device, made by our own client."""

import asyncio
import datetime
from collections.abc import Mapping
from typing import Final

from livekit import api
from livekit.protocol import models

from pressroom_host.livekit_client.errors import JoinError, PublishRefused
from pressroom_host.livekit_client.publication import Publication
from pressroom_host.livekit_client.room import LiveKitRoom
from pressroom_host.room.tokens import AccessClaims, GrantMissing
from pressroom_host.room_listener import RoomListener

from .level import LevelMeter
from .room_port import RoomParticipant, RoomUnavailable

_PUBLISH_TIMEOUT_S: Final = 10.0
_TOKEN_LIFE: Final = datetime.timedelta(minutes=10)  # to join with; a new one is made for each join


class LiveKitTrack:
    """A track published for a device; it stays while the room is joined anew."""

    def __init__(self, publication: Publication) -> None:
        self._publication = publication
        self._meter = LevelMeter()

    @property
    def sid(self) -> str:
        """LiveKit's identifier, TR_..."""
        return self._publication.sid

    def send_rtp(self, packet: bytes) -> None:
        """Send one plain RTP packet, and how loud it is."""
        self._publication.send_rtp(packet, self._meter.level_dbov(packet))

    def set_muted(self, muted: bool) -> None:
        """Tell everybody that the track is silent, or that it is not."""
        self._publication.set_muted(muted)


class LiveKitParticipant:
    """A device in a LiveKit room."""

    def __init__(self, room: LiveKitRoom, claims: AccessClaims) -> None:
        self._room = room
        self._claims = claims

    @property
    def sid(self) -> str:
        """LiveKit's identifier, PA_..."""
        return self._room.me.sid

    async def publish_audio(self, name: str, source: models.TrackSource, muted: bool) -> LiveKitTrack:
        """Publish an Opus track. Raises room.tokens.GrantMissing or RoomUnavailable."""
        if not self._claims.grants.can_publish:
            raise GrantMissing(f"{self._claims.identity}: grant canPublish is missing")
        publication = self._room.publish_opus(name, source, muted)
        try:
            async with asyncio.timeout(_PUBLISH_TIMEOUT_S):
                await publication.published()
        except PublishRefused as error:
            raise GrantMissing(str(error)) from None
        except TimeoutError:
            raise RoomUnavailable("the LiveKit server does not take the device's track") from None
        return LiveKitTrack(publication)

    def set_attributes(self, attributes: Mapping[str, str]) -> None:
        """Set these attributes; an empty value removes one."""
        self._room.set_attributes(attributes)

    def send_data(self, packet: models.DataPacket, reliable: bool) -> None:
        """Send to packet.destination_identities, or to all others if it is empty."""
        self._room.send_packet(packet, reliable)

    async def leave(self, reason: models.DisconnectReason) -> None:
        """Leave the room. Safe to call twice."""
        await self._room.disconnect()


class LiveKitRooms:
    """The rooms of the server at `url`, as LIVEKIT_URL has it. The secret is in no repr and no log."""

    def __init__(self, url: str, api_key: str, api_secret: str) -> None:
        self.url = url
        self.api_key = api_key
        self.api_secret = api_secret

    async def join(self, claims: AccessClaims, listener: RoomListener) -> RoomParticipant:
        """Let a device into its room. Raises RoomUnavailable."""
        room = LiveKitRoom(self.url, lambda: self._token(claims), listener, handles_calls=False)
        try:
            await room.connect()
        except JoinError as error:
            raise RoomUnavailable(str(error)) from None
        return LiveKitParticipant(room, claims)

    async def stop(self) -> None:
        """Nothing: each device leaves by itself."""

    def _token(self, claims: AccessClaims) -> str:
        """Return a room token that says of the device what its own token says."""
        grants = api.VideoGrants(
            room_join=True,
            room=claims.room,
            can_publish=claims.grants.can_publish,
            can_publish_sources=list(claims.grants.can_publish_sources),
            can_subscribe=claims.grants.can_subscribe,
            can_publish_data=claims.grants.can_publish_data,
            can_update_own_metadata=claims.grants.can_update_own_metadata,
        )
        token = api.AccessToken(self.api_key, self.api_secret).with_identity(claims.identity).with_name(claims.name)
        token = token.with_metadata(claims.metadata).with_attributes(dict(claims.attributes))
        return token.with_ttl(_TOKEN_LIFE).with_grants(grants).to_jwt()

    def __repr__(self) -> str:
        return f"LiveKitRooms({self.url})"
