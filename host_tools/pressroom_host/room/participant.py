"""A participant of a room, whatever it hears and speaks with. No I/O.

Subclasses: ClientParticipant (a LiveKit client over WebRTC) and Member (in this process).
"""

import secrets
import string
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING

from livekit.protocol import models

from .tokens import AccessClaims
from .tracks import PublishedTrack

if TYPE_CHECKING:
    from .room import Room

MAX_TRACKS = 16  # published by one participant
_MAX_METADATA_BYTES = 65_536  # metadata, and the attributes together: LiveKit's own limit
_MAX_NAME_BYTES = 1_024
_SID_ALPHABET = string.ascii_letters + string.digits
_SID_CHARS = 12  # after the prefix, as LiveKit's
_KINDS = {"agent": models.ParticipantInfo.Kind.AGENT}

State = models.ParticipantInfo.State


class MetadataError(ValueError):
    """Metadata, attributes or a name that a room does not keep."""


def new_sid(prefix: str) -> str:
    """Return a fresh identifier such as PA_x8Tb..., TR_..., RM_..."""
    return prefix + "".join(secrets.choice(_SID_ALPHABET) for _ in range(_SID_CHARS))


class Participant(ABC):
    """What every participant has, and what the room tells it.

    The room calls the on_* methods; none of them may block or raise.
    """

    client_protocol = 0  # features of the client's own RPC and streams; 0: none beyond the first version

    def __init__(self, room: "Room", claims: AccessClaims) -> None:
        self.room = room
        self.sid = new_sid("PA_")
        self.identity = claims.identity
        self.name = claims.name
        self.metadata = claims.metadata
        self.attributes = dict(claims.attributes)
        self.kind = _KINDS.get(claims.kind.lower(), models.ParticipantInfo.Kind.STANDARD)
        self.grants = claims.grants
        self.state = State.JOINED
        self.tracks: dict[str, PublishedTrack] = {}
        self._version = 0
        self._joined_at_ms = int(time.time() * 1000)

    def changed(self) -> None:
        """Count a change: clients ignore an update that is not newer than what they have."""
        self._version += 1

    def update_metadata(self, name: str, metadata: str, attributes: Mapping[str, str]) -> None:
        """Take over what is not empty; an empty attribute is removed. Raises MetadataError and changes nothing."""
        merged = {key: value for key, value in {**self.attributes, **attributes}.items() if value}
        n_attribute_bytes = sum(_n_bytes(key) + _n_bytes(value) for key, value in merged.items())
        if max(n_attribute_bytes, _n_bytes(metadata)) > _MAX_METADATA_BYTES or _n_bytes(name) > _MAX_NAME_BYTES:
            raise MetadataError(f"{self.identity}: metadata and attributes may have {_MAX_METADATA_BYTES} bytes each")
        self.attributes = merged
        self.metadata = metadata or self.metadata
        self.name = name or self.name

    def may_publish(self, source: models.TrackSource) -> bool:
        """True if the grants allow a track of this source."""
        sources = self.grants.can_publish_sources
        return self.grants.can_publish and (not sources or models.TrackSource.Name(source).lower() in sources)

    def info(self) -> models.ParticipantInfo:
        """Return this participant as the others see it now."""
        return models.ParticipantInfo(
            sid=self.sid,
            identity=self.identity,
            name=self.name,
            state=self.state,
            metadata=self.metadata,
            attributes=self.attributes,
            joined_at=self._joined_at_ms // 1000,
            joined_at_ms=self._joined_at_ms,
            version=self._version,
            kind=self.kind,
            is_publisher=bool(self.tracks),
            client_protocol=self.client_protocol,
            tracks=[track.info for track in self.tracks.values()],
            permission=models.ParticipantPermission(
                can_publish=self.grants.can_publish,
                can_subscribe=self.grants.can_subscribe,
                can_publish_data=self.grants.can_publish_data,
                can_update_metadata=self.grants.can_update_own_metadata,
                agent=self.kind == models.ParticipantInfo.Kind.AGENT,
            ),
        )

    @abstractmethod
    def on_participant(self, info: models.ParticipantInfo) -> None:
        """A participant, perhaps this one, joined or changed."""

    @abstractmethod
    def on_participant_left(self, info: models.ParticipantInfo) -> None:
        """Another participant is gone; info.disconnect_reason says why."""

    @abstractmethod
    def on_track(self, track: PublishedTrack) -> None:
        """Another participant has published a track, which this one may subscribe to."""

    @abstractmethod
    def on_track_gone(self, track: PublishedTrack) -> None:
        """A track of another participant is not published any more."""

    @abstractmethod
    def on_track_muted(self, track: PublishedTrack) -> None:
        """track.info.muted of another participant's track has changed."""

    @abstractmethod
    def on_track_subscribed(self, track: PublishedTrack) -> None:
        """Somebody hears this participant's track for the first time."""

    @abstractmethod
    def on_mute_requested(self, track: PublishedTrack, is_muted: bool) -> None:
        """The room asks this participant to mute its own track, or to unmute it."""

    @abstractmethod
    def on_data(self, packet: models.DataPacket, payload: bytes, is_reliable: bool) -> None:
        """Another participant sent data; payload is the packet, serialized."""

    @abstractmethod
    def on_removed(self, reason: models.DisconnectReason) -> None:
        """The room has let go of this participant."""


def _n_bytes(text: str) -> int:
    """Return the length on the wire. Raises MetadataError for what JSON can hold and UTF-8 cannot."""
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        raise MetadataError("metadata: half a surrogate pair is not text") from None
