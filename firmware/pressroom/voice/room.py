"""What the device knows of the Room it is in: who is there, what they publish, what the agent does. No I/O."""

from ..wire.port import const

_MAX_PARTICIPANTS = const(16)
_MAX_TRACKS = const(16)


class Room:
    """Kept from the messages of the gateway, within bounds; what finds no place is counted: audio does not need it."""

    def __init__(self):
        self.name = None
        self.identity = None  # our own
        self.agent_state = None  # as livekit-agents name it: listening, thinking, speaking, ...
        self.n_agent_changes = 0
        self.n_failed_turns = 0  # that nobody heard, or that the agent did not answer
        self.is_away = False  # the gateway has lost the room, and is getting it back
        self.n_left_out = 0
        self.n_data = 0
        self._participants = {}  # sid -> message
        self._tracks = {}  # sid -> message

    def welcomed(self, message):
        """A welcome came: the gateway tells of everybody again."""
        self.name = message["room"]
        self.identity = message["identity"]
        self.is_away = False
        self._participants = {}
        self._tracks = {}

    @property
    def has_agent(self):
        """Is there somebody who answers?"""
        return self.agent_state is not None and self.agent_state != "disconnected"

    def handle(self, message):
        """Take a message."""
        name = message["t"]
        if name == "participant":
            is_gone = message["state"] in ("DISCONNECTED", "disconnected")
            self._keep(self._participants, message, is_gone, _MAX_PARTICIPANTS)
        elif name == "track":
            self._keep(self._tracks, message, not message["subscribed"], _MAX_TRACKS)
        elif name == "state":
            agent_state = message.get("agent", self.agent_state)
            if agent_state != self.agent_state:
                self.agent_state = agent_state
                self.n_agent_changes += 1
            if "turn" in message:
                self.n_failed_turns += 1
            if "room" in message:
                self.is_away = message["room"] != "connected"
        elif name == "data":
            self.n_data += 1

    def participants(self):
        """Return the messages that describe those who are there, ourselves not among them."""
        return list(self._participants.values())

    def tracks(self):
        """Return the messages that describe what they publish."""
        return list(self._tracks.values())

    def _keep(self, kept, message, is_gone, n_max):
        sid = message["sid"]
        if is_gone:
            kept.pop(sid, None)
        elif sid in kept or len(kept) < n_max:
            kept[sid] = message
        else:
            self.n_left_out += 1
