"""What a device is told of its room, as messages of the link: who is there, what they publish, what the agent does.

Only what has changed is told; after a resume, everything again. A device keeps little, so there is a bound. No I/O.
"""

from typing import Any, Final

from livekit.protocol import models

from .stats import SessionStats

Message = dict[str, Any]

_AGENT_STATE: Final = "lk.agent.state"  # an attribute, set by livekit-agents
_MAX_PARTICIPANTS: Final = 16
_MAX_TRACKS: Final = 16
_GONE: Final = "DISCONNECTED"
_NO_AGENT: Final = "disconnected"

State = models.ParticipantInfo.State


class RoomView:
    """Each method takes an event of the room and returns the messages it is worth."""

    def __init__(self, stats: SessionStats) -> None:
        self._stats = stats
        self._participants: dict[str, Message] = {}
        self._tracks: dict[str, Message] = {}
        self._agent_sid = ""
        self._agent_state = ""

    def everything(self) -> list[Message]:
        """Return all of it, for a new link."""
        agent = [self._agent_message()] if self._agent_state else []
        return [*self._participants.values(), *self._tracks.values(), *agent]

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
        }
        return self._keep(self._participants, message, _MAX_PARTICIPANTS) + self._follow_agent(info)

    def participant_left(self, info: models.ParticipantInfo) -> list[Message]:
        """Somebody is gone."""
        message = self._participants.pop(info.sid, None)
        if message is None:
            return []
        gone = [{key: value for key, value in message.items() if key != "attributes"} | {"state": _GONE}]
        if info.sid != self._agent_sid:
            return gone
        self._agent_sid, self._agent_state = "", _NO_AGENT
        return [*gone, self._agent_message()]

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
