"""Who else is in the room and what they publish, as the server tells it; each change is told once. No I/O."""

from collections.abc import Iterable

from livekit.protocol import models

from pressroom_host.room_listener import RoomListener

_GONE = models.ParticipantInfo.State.DISCONNECTED


class Roster:
    """`participants` by sid, this participant not among them."""

    def __init__(self, listener: RoomListener) -> None:
        self.me = models.ParticipantInfo()  # as the server sees this participant
        self.participants: dict[str, models.ParticipantInfo] = {}
        self._listener = listener

    def joined(self, me: models.ParticipantInfo, others: Iterable[models.ParticipantInfo]) -> list[str]:
        """The server has told of all that are there; returns the identities of those who have left meanwhile."""
        self.me = me
        present = {info.sid: info for info in others if info.identity != me.identity}  # its own one before is no other
        gone = [info for sid, info in self.participants.items() if sid not in present]
        for info in gone:
            self._left(info)
        for info in present.values():
            self._changed(info)
        return [info.identity for info in gone]

    def updated(self, info: models.ParticipantInfo) -> str | None:
        """Somebody joined, changed or left; returns its identity if it left."""
        if info.sid == self.me.sid:
            self.me = info
        elif info.state == _GONE:
            known = self.participants.get(info.sid)
            if known is not None:
                known.disconnect_reason = info.disconnect_reason
                self._left(known)
                return known.identity
        elif info.identity != self.me.identity:
            self._changed(info)
        return None

    def owner_of(self, track_sid: str) -> str:
        """Return the sid of who publishes a track; "" if nobody does."""
        return next((sid for sid, info in self.participants.items() if track_sid in _sids(info)), "")

    def _changed(self, info: models.ParticipantInfo) -> None:
        before = self.participants.get(info.sid)
        for other in [other for other in self.participants.values() if other.identity == info.identity]:
            if other.sid != info.sid:  # it came back before its end was told
                self._left(other)
        self.participants[info.sid] = info
        self._listener.on_participant(info)
        tracks_before = {track.sid: track for track in before.tracks} if before is not None else {}
        for sid in tracks_before.keys() - _sids(info):
            self._listener.on_track_gone(sid)
        for track in info.tracks:
            known = tracks_before.get(track.sid)
            if known is None:
                self._listener.on_track(info, track)
            elif known.muted != track.muted:
                self._listener.on_track_muted(track.sid, track.muted)

    def _left(self, info: models.ParticipantInfo) -> None:
        self.participants.pop(info.sid, None)
        for track in info.tracks:
            self._listener.on_track_gone(track.sid)
        info.state = _GONE
        self._listener.on_participant_left(info)


def _sids(info: models.ParticipantInfo) -> set[str]:
    return {track.sid for track in info.tracks}
