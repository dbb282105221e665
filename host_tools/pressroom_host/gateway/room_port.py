"""What the gateway asks of a room, whichever room it is. LiveKit's vocabulary; no I/O here.

embedded_room.py is the room in this process; a LiveKit server stands behind the same face.
"""

from typing import Protocol

from livekit.protocol import models

from pressroom_host.room.tokens import AccessClaims


class RoomListener(Protocol):
    """What a room tells a device's bridge. Called from the loop; must not block or raise."""

    def on_participant(self, info: models.ParticipantInfo) -> None:
        """Another participant joined or changed."""

    def on_participant_left(self, info: models.ParticipantInfo) -> None:
        """Another participant is gone."""

    def on_track(self, info: models.ParticipantInfo, track: models.TrackInfo) -> None:
        """Another participant publishes a track, and its packets come from now on."""

    def on_track_gone(self, track_sid: str) -> None:
        """No packet of this track will come any more."""

    def on_track_muted(self, track_sid: str, muted: bool) -> None:
        """Another participant muted or unmuted its track."""

    def on_rtp(self, track_sid: str, packet: bytes) -> None:
        """One RTP packet with Opus, without CSRCs and extensions."""

    def on_data(self, packet: models.DataPacket) -> None:
        """Data for this participant, or for all. Not to be changed."""

    def on_mute_requested(self, track_sid: str, muted: bool) -> None:
        """The room asks for our own track to be muted or unmuted."""

    def on_removed(self, reason: int) -> None:
        """The room has let go of us (models.DisconnectReason); no other call comes after it."""


class RoomTrack(Protocol):
    """A track of ours in the room."""

    sid: str

    def send_rtp(self, packet: bytes) -> None:
        """Send one plain RTP packet with Opus; sequence and timestamp go on as they are."""

    def set_muted(self, muted: bool) -> None:
        """Tell everybody that this track is silent, or that it is not."""


class RoomParticipant(Protocol):
    """Ourselves in the room."""

    identity: str
    sid: str

    @property
    def room_name(self) -> str:
        """The name of the room."""

    def publish_audio(self, name: str) -> RoomTrack:
        """Publish an Opus track, muted."""

    def send_data(self, packet: models.DataPacket, reliable: bool) -> None:
        """Send to packet.destination_identities, or to all others if it is empty."""

    async def leave(self, reason: models.DisconnectReason = ...) -> None:
        """Leave the room. Safe to call twice."""


class RoomPort(Protocol):
    """A door to rooms."""

    async def join(self, claims: AccessClaims, listener: RoomListener) -> RoomParticipant:
        """Join the room of the claims. Raises room.tokens.GrantMissing."""

    async def stop(self) -> None:
        """Leave everything. Safe to call twice."""
