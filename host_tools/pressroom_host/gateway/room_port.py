"""The seam behind which a room stands: what the gateway asks of a LiveKit room, whatever serves it.

The words are LiveKit's. Events come back through `RoomListener`, from the loop, and may come before `join` has
returned: what is in the room already is reported first.
"""

from collections.abc import Mapping
from typing import Protocol

from livekit.protocol import models

from pressroom_host.room.tokens import AccessClaims
from pressroom_host.room_listener import RoomListener


class RoomTrack(Protocol):
    """A track published for a device."""

    @property
    def sid(self) -> str:
        """LiveKit's identifier, TR_...; it changes when the room is joined anew."""

    def send_rtp(self, packet: bytes) -> None:
        """Send one plain RTP packet: 12 bytes of header, payload type 111 (Opus). The SSRC becomes the room's."""

    def set_muted(self, muted: bool) -> None:
        """Tell everybody that the track is silent, or that it is not."""


class RoomParticipant(Protocol):
    """A device as the room sees it. Nothing here waits or raises for a room that is gone, unless it says so."""

    @property
    def sid(self) -> str:
        """LiveKit's identifier, PA_...; it changes when the room is joined anew."""

    async def publish_audio(self, name: str, source: models.TrackSource, muted: bool) -> RoomTrack:
        """Publish an Opus track. Raises room.tokens.GrantMissing or RoomUnavailable."""

    def set_attributes(self, attributes: Mapping[str, str]) -> None:
        """Set these attributes; an empty value removes one."""

    def send_data(self, packet: models.DataPacket, reliable: bool) -> None:
        """Send to packet.destination_identities, or to all others if it is empty."""

    async def leave(self, reason: models.DisconnectReason) -> None:
        """Leave the room. Safe to call twice."""


class RoomPort(Protocol):
    """The rooms of one server."""

    @property
    def url(self) -> str:
        """Where LiveKit clients join."""

    @property
    def api_key(self) -> str:
        """Names the secret."""

    @property
    def api_secret(self) -> str:
        """Signs the tokens of those who join; for programs of this machine only."""

    async def join(self, claims: AccessClaims, listener: RoomListener) -> RoomParticipant:
        """Let a device into its room. Raises RoomUnavailable."""

    async def stop(self) -> None:
        """Let go of the rooms. Safe to call twice."""


class RoomUnavailable(Exception):
    """The room cannot be joined now; the text says why."""
