"""One room: who is in it, what they publish, and who is told what. No I/O.

Every change is made here and announced from here: to the room's other participants and, where LiveKit does so,
to the one that changed. Participants leave by `leave`, in whatever way they were lost.
"""

import secrets
import time
from collections.abc import Callable, Iterator, Mapping

import structlog
from livekit.protocol import models

from .participant import MAX_TRACKS, Participant, State, new_sid
from .tracks import PublishedTrack

log = structlog.get_logger(__name__)

_RELIABLE = models.DataPacket.Kind.RELIABLE
_LOSSY = models.DataPacket.Kind.LOSSY
_EMPTY_TIMEOUT_S = 300
_DEPARTURE_TIMEOUT_S = 20


class TooManyTracks(Exception):
    """A participant wants to publish more tracks than a room keeps for one."""


class Room:
    """Participants by identity; at most one of each. on_empty is called when the last one has left."""

    def __init__(self, name: str, on_empty: Callable[["Room"], None]) -> None:
        self.name = name
        self.sid = new_sid("RM_")
        self.participants: dict[str, Participant] = {}
        self.n_data_refused = 0  # sent without canPublishData, or of a kind only servers send
        self._on_empty = on_empty
        self._created_at_ms = int(time.time() * 1000)

    def info(self) -> models.Room:
        """Return the room as LiveKit's message."""
        return models.Room(
            sid=self.sid,
            name=self.name,
            empty_timeout=_EMPTY_TIMEOUT_S,
            departure_timeout=_DEPARTURE_TIMEOUT_S,
            creation_time=self._created_at_ms // 1000,
            creation_time_ms=self._created_at_ms,
            num_participants=len(self.participants),
            num_publishers=sum(bool(participant.tracks) for participant in self.participants.values()),
        )

    def join(self, participant: Participant) -> None:
        """Let the participant in; one of the same identity has to go first."""
        previous = self.participants.get(participant.identity)
        if previous is not None:
            self._let_go(previous, models.DisconnectReason.DUPLICATE_IDENTITY)
        self.participants[participant.identity] = participant
        self._announce(participant, to_itself=False)
        log.info("participant joined", room=self.name, identity=participant.identity, sid=participant.sid)

    def leave(self, participant: Participant, reason: models.DisconnectReason) -> None:
        """Let go of the participant, its tracks and its subscriptions. Safe to call twice."""
        self._let_go(participant, reason)
        if not self.participants:
            self._on_empty(self)

    def activate(self, participant: Participant) -> None:
        """The participant's media is connected."""
        participant.state = State.ACTIVE
        self._announce(participant)

    def new_track(self, owner: Participant, info: models.TrackInfo) -> PublishedTrack:
        """Return a track with an identity of its own, to be handed to `publish` once packets can come."""
        if len(owner.tracks) >= MAX_TRACKS:
            raise TooManyTracks(f"{owner.identity}: publishes {MAX_TRACKS} tracks already; unpublish one first")
        info.sid = new_sid("TR_")
        return PublishedTrack(owner, info, ssrc=1 + secrets.randbelow(2**32 - 1))

    def publish(self, track: PublishedTrack) -> None:
        """Announce the track; the announcement comes before anything that carries it."""
        track.owner.tracks[track.sid] = track
        self._announce(track.owner)
        for other in self._others(track.owner):
            other.on_track(track)

    def unpublish(self, track: PublishedTrack) -> None:
        """Take the track out of the room."""
        self._withdraw(track)
        self._announce(track.owner)

    def set_muted(self, track: PublishedTrack, is_muted: bool) -> None:
        """The owner has muted or unmuted its track."""
        if track.info.muted == is_muted:
            return
        track.info.muted = is_muted
        self._announce(track.owner)
        for other in self._others(track.owner):
            other.on_track_muted(track)

    def request_mute(self, track_sid: str, is_muted: bool) -> None:
        """Ask the owner of the track to mute it, or to unmute it."""
        track = self.track(track_sid)
        if track is not None:
            track.owner.on_mute_requested(track, is_muted)

    def subscribed(self, track: PublishedTrack) -> None:
        """Packets of the track now reach somebody: agents wait for this before they speak."""
        if not track.was_heard:
            track.was_heard = True
            track.owner.on_track_subscribed(track)

    def update_metadata(
        self, participant: Participant, name: str, metadata: str, attributes: Mapping[str, str]
    ) -> None:
        """Change how a participant describes itself and tell everybody. Raises MetadataError."""
        participant.update_metadata(name, metadata, attributes)
        self._announce(participant)

    def track(self, track_sid: str) -> PublishedTrack | None:
        """Return the published track, or None."""
        return next((track for track in self.tracks() if track.sid == track_sid), None)

    def tracks(self) -> Iterator[PublishedTrack]:
        """Every published track."""
        for participant in self.participants.values():
            yield from participant.tracks.values()

    def send_data(self, source: Participant, packet: models.DataPacket, is_reliable: bool) -> None:
        """Stamp the packet with its source and hand it to its destinations, or to all others if it names none."""
        kind = packet.WhichOneof("value")
        if not source.grants.can_publish_data or kind == "speaker":  # only a server knows who speaks
            self.n_data_refused += 1
            return
        destinations = _stamp(source, packet, is_reliable)
        payload = packet.SerializeToString()
        for other in self._others(source):
            if not destinations or other.identity in destinations:
                other.on_data(packet, payload, is_reliable)

    def _let_go(self, participant: Participant, reason: models.DisconnectReason) -> None:
        if participant.state == State.DISCONNECTED or self.participants.get(participant.identity) is not participant:
            return
        del self.participants[participant.identity]
        participant.state = State.DISCONNECTED
        for track in list(participant.tracks.values()):
            self._withdraw(track)
        for track in self.tracks():
            participant.on_track_gone(track)
        participant.changed()
        info = participant.info()
        info.disconnect_reason = reason
        for other in self._others(participant):
            other.on_participant_left(info)
        participant.on_removed(reason)
        reason_name = models.DisconnectReason.Name(reason)
        log.info("participant left", room=self.name, identity=participant.identity, reason=reason_name)

    def _withdraw(self, track: PublishedTrack) -> None:
        track.owner.tracks.pop(track.sid, None)
        for other in self._others(track.owner):
            other.on_track_gone(track)

    def _announce(self, participant: Participant, to_itself: bool = True) -> None:
        participant.changed()
        info = participant.info()
        for other in self._others(participant):
            other.on_participant(info)
        if to_itself:
            participant.on_participant(info)

    def _others(self, participant: Participant) -> Iterator[Participant]:
        """Everybody else who is still in: telling one may make it leave."""
        for other in list(self.participants.values()):
            if other is not participant and other.state != State.DISCONNECTED:
                yield other


def _stamp(source: Participant, packet: models.DataPacket, is_reliable: bool) -> frozenset[str]:
    """Write what the sender may not choose, and return the destinations."""
    packet.kind = _RELIABLE if is_reliable else _LOSSY
    if packet.WhichOneof("value") == "user":  # old clients name source and destinations inside
        packet.user.participant_sid = source.sid
        packet.user.participant_identity = source.identity
        if not packet.destination_identities:
            packet.destination_identities.extend(packet.user.destination_identities)
        packet.user.ClearField("destination_identities")
        packet.user.destination_identities.extend(packet.destination_identities)
    if not _speaks_for_another(source, packet):
        packet.participant_identity = source.identity
    packet.participant_sid = source.sid
    return frozenset(packet.destination_identities)


def _speaks_for_another(source: Participant, packet: models.DataPacket) -> bool:
    """Return True if an agent writes in the name of the one it listens to, as in a transcription; so does LiveKit."""
    return (
        source.kind == models.ParticipantInfo.Kind.AGENT
        and packet.participant_identity != ""
        and packet.WhichOneof("value") in ("stream_header", "chat_message")
    )
