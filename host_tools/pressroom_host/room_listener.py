"""What happens in a room, told to whoever listens. Every method here does nothing: override what you need."""

from livekit.protocol import models, rtc


class RoomListener:
    """Called from the loop; must not block or raise. Who is there already is told before `connect` returns."""

    def on_participant(self, info: models.ParticipantInfo) -> None:
        """Another participant joined or changed."""

    def on_participant_left(self, info: models.ParticipantInfo) -> None:
        """Another participant is gone."""

    def on_track(self, info: models.ParticipantInfo, track: models.TrackInfo) -> None:
        """Another participant publishes a track."""

    def on_track_gone(self, track_sid: str) -> None:
        """A track is not published any more."""

    def on_track_muted(self, track_sid: str, muted: bool) -> None:
        """Another participant has muted or unmuted its track."""

    def on_rtp(self, track_sid: str, packet: bytes) -> None:
        """One RTP packet of a track: payload type 111 (Opus), without CSRCs, extensions and padding."""

    def on_data(self, packet: models.DataPacket) -> None:
        """Data, a call, a piece of a stream: everything that came on a data channel."""

    def on_user_data(self, payload: bytes, topic: str, sender_identity: str) -> None:
        """A message that somebody sent with `publish_data`."""

    def on_text(self, text: str, topic: str, sender_identity: str, attributes: dict[str, str]) -> None:
        """A whole text stream."""

    def on_mute_requested(self, track_sid: str, muted: bool) -> None:
        """The server asks this participant to mute or unmute its own track; it decides."""

    def on_speakers(self, speakers: list[models.SpeakerInfo]) -> None:
        """Who has begun or stopped to speak; the others are as before."""

    def on_connection_quality(self, updates: list[rtc.ConnectionQualityInfo]) -> None:
        """How well the server reaches participants, this one among them."""

    def on_reconnecting(self, why: str) -> None:
        """The connection is lost; it is being made anew, and everything sent meanwhile is dropped."""

    def on_reconnected(self) -> None:
        """The connection is there again; what has changed meanwhile was told just before."""

    def on_removed(self, reason: int) -> None:
        """The server has let go of this participant for good (models.DisconnectReason); nothing comes after it."""
