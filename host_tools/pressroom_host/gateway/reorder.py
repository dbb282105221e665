"""Puts packets back in order, with one packet of slack: the playout buffer is the device's, not here. No I/O."""

from collections.abc import Sequence
from typing import Final

from pressroom.wire.seq import seq_after, seq_between

_RESTART_PACKETS: Final = 1_000  # 20 s: so far off, it is not late or early but another stream

Ordered = tuple[int, bytes | None]  # packets lost just before it; the packet


class Reorder:
    """One that comes before its turn waits for those missing, until another packet comes or `give_up` is called."""

    __slots__ = ("n_late", "_held", "_held_seq", "_is_holding", "_next_seq")

    def __init__(self) -> None:
        self.n_late = 0  # after their turn, or twice
        self._next_seq: int | None = None
        self._is_holding = False
        self._held_seq = 0
        self._held: bytes | None = None

    @property
    def is_holding(self) -> bool:
        """Does a packet wait?"""
        return self._is_holding

    def put(self, seq: int, packet: bytes | None) -> Sequence[Ordered]:
        """Return the packets whose turn it is now. packet: None if this number carries no audio."""
        ahead = 0 if self._next_seq is None else seq_between(self._next_seq, seq)
        if abs(ahead) > _RESTART_PACKETS:
            self.restart()
            ahead = 0
        if ahead == 0 and not self._is_holding:
            self._next_seq = seq_after(seq, 1)
            return ((0, packet),)
        if ahead < 0 or (self._is_holding and seq == self._held_seq):
            self.n_late += 1
            return ()
        if not self._is_holding:
            self._hold(seq, packet)
            return ()
        if seq_between(seq, self._held_seq) > 0:
            return (self._pass(seq, packet), *self._held_if_due())
        return (*self.give_up(), *self._pass_or_hold(seq, packet))

    def give_up(self) -> Sequence[Ordered]:
        """Return the packet that waits: what it waits for is lost."""
        if not self._is_holding:
            return ()
        self._is_holding = False
        return (self._pass(self._held_seq, self._held),)

    def restart(self) -> None:
        """Forget everything but the counters; the next packet is the first."""
        self._next_seq = None
        self._is_holding = False
        self._held = None

    def _hold(self, seq: int, packet: bytes | None) -> None:
        self._is_holding = True
        self._held_seq = seq
        self._held = packet

    def _pass(self, seq: int, packet: bytes | None) -> Ordered:
        assert self._next_seq is not None
        n_lost = seq_between(self._next_seq, seq)
        self._next_seq = seq_after(seq, 1)
        return n_lost, packet

    def _pass_or_hold(self, seq: int, packet: bytes | None) -> Sequence[Ordered]:
        if seq == self._next_seq:
            return (self._pass(seq, packet),)
        self._hold(seq, packet)
        return ()

    def _held_if_due(self) -> Sequence[Ordered]:
        return self.give_up() if self._held_seq == self._next_seq else ()
