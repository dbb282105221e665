"""What was said before the agent had come: kept, and played into its first turn. No I/O but the track's.

talk without the agent     kept, at most 10 s of it
the agent comes            `play`: one packet every 20 ms, under the track's next numbers
another talk               what was kept is dropped
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from pressroom.wire import rtp
from pressroom.wire.seq import ms_after, ms_between

from .room_port import RoomTrack

_FRAME_MS: Final = 20
_MAX_PACKETS: Final = 500
_STALE_MS: Final = 30_000  # nobody wants to be answered later
_FOREVER_MS: Final = 60_000


class FirstWords:
    """A RoomTrack: everything for the track goes through here. next_header: of a packet of ours that is said now."""

    def __init__(self, track: RoomTrack, next_header: Callable[[int], bytes]) -> None:
        self.is_playing = False
        self._track = track
        self._next_header = next_header
        self._kept: deque[bytes] = deque()
        self._is_keeping = False
        self._ended_ms = 0
        self._next_ms = 0

    @property
    def sid(self) -> str:
        """LiveKit's identifier, TR_..."""
        return self._track.sid

    def send_rtp(self, packet: bytes) -> None:
        """Send one plain RTP packet."""
        if self._is_keeping and len(self._kept) < _MAX_PACKETS:
            self._kept.append(packet[rtp.HEADER_BYTES :])
        self._track.send_rtp(packet)

    def set_muted(self, muted: bool) -> None:
        """Tell everybody that the track is silent, or that it is not."""
        self._track.set_muted(muted)

    # The talk.

    def talk_began(self, is_kept: bool) -> None:
        """A talk begins; what was kept of the last one is stale."""
        self._kept.clear()
        self._is_keeping = is_kept
        self.is_playing = False

    def talk_ended(self, now_ms: int) -> None:
        """It is over."""
        self._is_keeping = False
        self._ended_ms = now_ms

    def has_words(self, now_ms: int) -> bool:
        """Return whether there is something to play."""
        return bool(self._kept) and not self._is_keeping and ms_between(self._ended_ms, now_ms) < _STALE_MS

    # Playing.

    def play(self, now_ms: int) -> None:
        """Begin to play what was kept."""
        self.is_playing = True
        self._next_ms = now_ms
        self._track.set_muted(False)

    def poll(self, now_ms: int) -> bool:
        """Send what is due; return whether the last packet has gone out just now."""
        while self.is_playing and ms_between(self._next_ms, now_ms) >= 0:
            self._track.send_rtp(self._next_header(now_ms) + self._kept.popleft())
            self._next_ms = ms_after(self._next_ms, _FRAME_MS)
            if not self._kept:
                self.is_playing = False
                self._track.set_muted(True)
                return True
        return False

    def next_timeout_ms(self, now_ms: int) -> int:
        """Milliseconds until `poll` has something to do, at most 60,000."""
        return max(0, ms_between(now_ms, self._next_ms)) if self.is_playing else _FOREVER_MS
