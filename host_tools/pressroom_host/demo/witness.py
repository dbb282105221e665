"""A silent participant who notes when packets of the board come into the room, and how many are missing."""

import time
from collections.abc import Callable

from livekit.protocol import models

from pressroom.wire.seq import seq_between
from pressroom_host.room_listener import RoomListener


class Witness(RoomListener):
    """After `begin_turn`, `first_packet_s`, `n_packets`, `n_lost` are of that turn.

    on_first_packet is called with its time.
    """

    def __init__(self, identity: str, on_first_packet: Callable[[float], None]) -> None:
        self._identity = identity
        self._on_first_packet = on_first_packet
        self._track_sid: str | None = None
        self.begin_turn()

    def begin_turn(self) -> None:
        """Forget what was."""
        self.first_packet_s: float | None = None
        self.n_packets = 0
        self._first_seq = 0
        self._last_seq = 0

    @property
    def n_lost(self) -> int:
        """Packets missing between the first and the last of the turn."""
        if self.n_packets == 0:
            return 0
        return max(seq_between(self._first_seq, self._last_seq) + 1 - self.n_packets, 0)

    def on_track(self, info: models.ParticipantInfo, track: models.TrackInfo) -> None:
        """The board publishes its microphone."""
        if info.identity == self._identity:
            self._track_sid = track.sid

    def on_rtp(self, track_sid: str, packet: bytes) -> None:
        """A packet in the room."""
        if track_sid != self._track_sid:
            return
        seq = packet[2] << 8 | packet[3]
        if self.first_packet_s is None:
            self.first_packet_s = time.monotonic()
            self._first_seq = self._last_seq = seq
            self._on_first_packet(self.first_packet_s)
        self.n_packets += 1
        if seq_between(self._last_seq, seq) > 0:
            self._last_seq = seq
