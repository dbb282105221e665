"""What a device is told of its room, as messages of the link: who is there, what they publish, what the agent does.

Only what has changed is told; after a resume, everything again. A device keeps little, so there is a bound. No I/O.
"""

from collections.abc import Mapping
from typing import Any, Final

from livekit.protocol import models

from .stats import SessionStats

Message = dict[str, Any]

_AGENT_STATE: Final = "lk.agent.state"  # an attribute, set by livekit-agents
_MAX_PARTICIPANTS: Final = 16
_MAX_TRACKS: Final = 16
_GONE: Final = "DISCONNECTED"
_NO_AGENT: Final = "disconnected"
_OF_THE_PRESENT: Final = ("attributes", "metadata", "is_speaking", "quality")

State = models.ParticipantInfo.State


class RoomView:
    """Each method takes an event of the room and returns the messages it is worth."""

    def __init__(self, stats: SessionStats) -> None:
        self._stats = stats
        self._participants: dict[str, Message] = {}
        self._tracks: dict[str, Message] = {}
        self._agent_sid = ""
        self._agent_state = ""
        self._more: dict[str, Message] = {}  # by sid: what a participant's own description does not say of it
        self._is_away = False

    def everything(self) -> list[Message]:
        """Return all of it, for a new link."""
        agent = [self._agent_message()] if self._agent_state else []
        away = [self._room_message()] if self._is_away else []
        return [*away, *self._participants.values(), *self._tracks.values(), *agent]

    def identities(self) -> list[str]:
        """Return who is there, ourselves not among them."""
        return [message["identity"] for message in self._participants.values()]

    def participant(self, info: models.ParticipantInfo) -> list[Message]:
        """Somebody joined or changed."""
        message: Message = {
            "t": "participant",
            "identity": info.identity,
            "sid": info.sid,
            "state": State.Name(info.state),
            "name": info.name,
            "attributes": dict(info.attributes),
            **({"metadata": info.metadata} if info.metadata else {}),
            **self._more.get(info.sid, {}),
        }
        return self._keep(self._participants, message, _MAX_PARTICIPANTS) + self._follow_agent(info)

    def participant_left(self, info: models.ParticipantInfo) -> list[Message]:
        """Somebody is gone."""
        message = self._participants.pop(info.sid, None)
        self._more.pop(info.sid, None)
        if message is None:
            return []
        gone = [{key: value for key, value in message.items() if key not in _OF_THE_PRESENT} | {"state": _GONE}]
        if info.sid != self._agent_sid:
            return gone
        self._agent_sid, self._agent_state = "", _NO_AGENT
        return [*gone, self._agent_message()]

    def speakers(self, speaking: Mapping[str, bool]) -> list[Message]:
        """Participants have begun or stopped to speak."""
        return [said for sid, is_so in speaking.items() for said in self._tell_more(sid, {"is_speaking": is_so})]

    def qualities(self, qualities: Mapping[str, str]) -> list[Message]:
        """Participants are reached better or worse."""
        return [said for sid, quality in qualities.items() for said in self._tell_more(sid, {"quality": quality})]

    def away(self, is_away: bool) -> list[Message]:
        """The room is out of reach, or there again."""
        if self._is_away == is_away:
            return []
        self._is_away = is_away
        return [self._room_message()]

    def track(self, info: models.ParticipantInfo, track: models.TrackInfo) -> list[Message]:
        """Somebody publishes a track."""
        message: Message = {
            "t": "track",
            "sid": track.sid,
            "participant": info.sid,
            "kind": models.TrackType.Name(track.type),
            "source": models.TrackSource.Name(track.source),
            "name": track.name,
            "muted": track.muted,
            "subscribed": True,
        }
        return self._keep(self._tracks, message, _MAX_TRACKS)

    def track_gone(self, track_sid: str) -> list[Message]:
        """A track is not there any more."""
        message = self._tracks.pop(track_sid, None)
        return [{**message, "subscribed": False}] if message is not None else []

    def track_muted(self, track_sid: str, is_muted: bool) -> list[Message]:
        """Somebody has muted or unmuted a track."""
        message = self._tracks.get(track_sid)
        return self._keep(self._tracks, {**message, "muted": is_muted}, _MAX_TRACKS) if message is not None else []

    def _tell_more(self, sid: str, more: Message) -> list[Message]:
        message = self._participants.get(sid)
        if message is None:
            return []
        self._more[sid] = {**self._more.get(sid, {}), **more}
        return self._keep(self._participants, {**message, **more}, _MAX_PARTICIPANTS)

    def _room_message(self) -> Message:
        return {"t": "state", "room": "reconnecting" if self._is_away else "connected"}

    def _keep(self, kept: dict[str, Message], message: Message, n_max: int) -> list[Message]:
        sid = message["sid"]
        if sid not in kept and len(kept) >= n_max:
            self._stats.n_left_out += 1
            return []
        if kept.get(sid) == message:
            return []
        kept[sid] = message
        return [message]

    def _follow_agent(self, info: models.ParticipantInfo) -> list[Message]:
        state = info.attributes.get(_AGENT_STATE, "")
        if not state or (state == self._agent_state and info.sid == self._agent_sid):
            return []
        self._agent_sid, self._agent_state = info.sid, state
        return [self._agent_message()]

    def _agent_message(self) -> Message:
        return {"t": "state", "agent": self._agent_state}
