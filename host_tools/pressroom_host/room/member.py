"""A participant in this process: no WebRTC leg, seen by all others like any participant. No I/O.

The gateway speaks and hears through a Member what its devices do.
"""

from livekit.protocol import models

from pressroom_host.room_listener import RoomListener

from .participant import Participant, State
from .room import Room
from .tokens import AccessClaims, GrantMissing
from .tracks import PublishedTrack, Sink

_OPUS_MIME_TYPE = "audio/opus"


class MemberTrack:
    """A track published by a Member."""

    __slots__ = ("sid", "_room", "_track")

    def __init__(self, room: Room, track: PublishedTrack) -> None:
        self.sid = track.sid
        self._room = room
        self._track = track

    def send_rtp(self, packet: bytes) -> None:
        """Forward one plain RTP packet (Opus). SSRC, payload type, CSRCs and extensions become the room's."""
        self._track.forward(packet)

    def set_muted(self, muted: bool) -> None:
        """Tell everybody that this track is silent, or that it is not."""
        self._room.set_muted(self._track, muted)

    def unpublish(self) -> None:
        """Take the track out of the room. Safe to call twice."""
        if self.sid in self._track.owner.tracks:
            self._room.unpublish(self._track)


class Member(Participant):
    """Made by `RoomServer.join`. Its methods do nothing once it has left or was removed."""

    def __init__(self, room: Room, claims: AccessClaims, listener: RoomListener) -> None:
        super().__init__(room, claims)
        self._listener = listener
        self._sinks: dict[str, Sink] = {}

    @property
    def room_name(self) -> str:
        """The name of the room it is, or was, in."""
        return self.room.name

    def join(self) -> None:
        """Enter the room and report what is there already."""
        self.state = State.ACTIVE
        self.room.join(self)
        for participant in self._others():
            self._listener.on_participant(participant.info())
            for track in participant.tracks.values():
                self.on_track(track)

    def participants(self) -> list[models.ParticipantInfo]:
        """The others in the room, as they are now."""
        return [participant.info() for participant in self._others()]

    def publish_audio(
        self,
        name: str,
        source: models.TrackSource = models.TrackSource.MICROPHONE,
        muted: bool = True,
    ) -> MemberTrack:
        """Publish an Opus track. Raises GrantMissing or TooManyTracks."""
        if not self.may_publish(source):
            raise GrantMissing(f"{self.identity}: grant canPublish is missing for {models.TrackSource.Name(source)}")
        track = self.room.new_track(
            self,
            models.TrackInfo(
                type=models.TrackType.AUDIO,
                name=name,
                source=source,
                muted=muted,
                mime_type=_OPUS_MIME_TYPE,
                disable_red=True,
            ),
        )
        if self._is_in():
            self.room.publish(track)
        return MemberTrack(self.room, track)

    def set_attributes(self, attributes: dict[str, str]) -> None:
        """Set these attributes; an empty value removes one. Raises MetadataError."""
        if self._is_in():
            self.room.update_metadata(self, "", "", attributes)

    def set_metadata(self, metadata: str) -> None:
        """Replace the metadata. Raises MetadataError."""
        if self._is_in():
            self.room.update_metadata(self, "", metadata, {})

    def send_data(self, packet: models.DataPacket, reliable: bool) -> None:
        """Send to packet.destination_identities, or to all others if it is empty. Needs canPublishData."""
        if self._is_in():
            self.room.send_data(self, packet, reliable)

    async def leave(self, reason: models.DisconnectReason = models.DisconnectReason.CLIENT_INITIATED) -> None:
        """Leave the room. Safe to call twice."""
        self.room.leave(self, reason)

    # What the room says, handed on to the listener.

    def on_participant(self, info: models.ParticipantInfo) -> None:
        if info.sid != self.sid:
            self._listener.on_participant(info)

    def on_participant_left(self, info: models.ParticipantInfo) -> None:
        self._listener.on_participant_left(info)

    def on_track(self, track: PublishedTrack) -> None:
        if not self.grants.can_subscribe:
            return
        sid, on_rtp = track.sid, self._listener.on_rtp

        def sink(packet: bytes) -> None:
            on_rtp(sid, packet)

        self._sinks[sid] = sink
        track.add_sink(sink)
        self._listener.on_track(track.owner.info(), track.info)
        self.room.subscribed(track)

    def on_track_gone(self, track: PublishedTrack) -> None:
        sink = self._sinks.pop(track.sid, None)
        if sink is not None:
            track.remove_sink(sink)
            self._listener.on_track_gone(track.sid)

    def on_track_muted(self, track: PublishedTrack) -> None:
        if track.sid in self._sinks:
            self._listener.on_track_muted(track.sid, track.info.muted)

    def on_track_subscribed(self, track: PublishedTrack) -> None:
        """Nothing: a Member speaks whether or not somebody listens."""

    def on_mute_requested(self, track: PublishedTrack, is_muted: bool) -> None:
        self._listener.on_mute_requested(track.sid, is_muted)

    def on_data(self, packet: models.DataPacket, payload: bytes, is_reliable: bool) -> None:
        self._listener.on_data(packet)

    def on_removed(self, reason: models.DisconnectReason) -> None:
        self._listener.on_removed(reason)

    def _is_in(self) -> bool:
        return self.state != State.DISCONNECTED

    def _others(self) -> list[Participant]:
        return [other for other in self.room.participants.values() if other is not self]
