"""What became of the last talk: is the agent's answer awaited, or did the talk fail a moment ago? No I/O.

the talk ends, an agent is there      is_awaited, until
the agent changes what it does, or something is played        neither
10 s pass, or the gateway says that the turn has failed       has_failed, for a second
"""

from ..wire.port import const
from ..wire.seq import ms_between

_PATIENCE_MS = const(10_000)
_FAILED_MS = const(1_000)


class Answer:
    """room: of voice/room.py, which tells what the agent does."""

    def __init__(self, room):
        self.is_awaited = False
        self.has_failed = False
        self._room = room
        self._ended_ms = 0
        self._failed_ms = 0
        self._n_agent_changes = 0
        self._n_failed_turns = 0

    def talk_began(self):
        """Whatever became of the last talk, this is another one."""
        self.is_awaited = False
        self.has_failed = False
        self._n_failed_turns = self._room.n_failed_turns

    def talk_ended(self, now_ms):
        """The button was let go."""
        self.is_awaited = self._room.has_agent
        self._ended_ms = now_ms
        self._n_agent_changes = self._room.n_agent_changes

    def poll(self, is_playing, now_ms):
        """Look at the room; return whether the talk has just failed."""
        room = self._room
        if self.has_failed and ms_between(self._failed_ms, now_ms) > _FAILED_MS:
            self.has_failed = False
        if self.is_awaited and (is_playing or room.n_agent_changes != self._n_agent_changes):
            self.is_awaited = False
        is_late = self.is_awaited and ms_between(self._ended_ms, now_ms) > _PATIENCE_MS
        if not is_late and room.n_failed_turns == self._n_failed_turns:
            return False
        self._n_failed_turns = room.n_failed_turns
        self.is_awaited = False
        self.has_failed = True
        self._failed_ms = now_ms
        return True
