"""What a device says, on its way into the room. No I/O.

     state    a packet of audio comes                   start (unmuted)           stop (muted)
     CLOSED   it is kept: the newest second of them     -> OPEN; the kept ones
                                                        of this talk go out
     OPEN     it goes out, unless it is of an earlier   the same, for a talk      -> CLOSED
              talk                                      that follows at once

The message that opens a talk goes over TCP and its audio over UDP, so either may be first.
Opus goes through as it is; L16 becomes Opus. A lost packet leaves its hole: who listens conceals it best.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol

from pressroom.wire import opus_packet, rtp
from pressroom.wire.seq import timestamp_between

from .audio import FRAME_BYTES, FRAME_SAMPLES, SILENCE, OpusEncoder, swap_bytes
from .renumber import FRAME_TICKS, Renumber
from .reorder import Ordered, Reorder
from .room_port import RoomTrack
from .stats import SessionStats

_MAX_KEPT_PACKETS: Final = 50
_L16_SCALE: Final = FRAME_TICKS // FRAME_SAMPLES
_OPUS_BPS: Final = 64_000  # PESQ of the recordings: 4.5; at 32,000: 3.7 to 4.3


class Path(Protocol):
    """How packets of one codec become packets of the room."""

    scale: int

    def n_ticks(self, packet: bytes) -> int:
        """Return the duration of the packet in ticks of the device's clock; 0 if it is malformed."""

    def forward(self, packet: bytes, timestamp: int, now_ms: int) -> None:
        """Send a packet of the device to the room, now or when those before it are there. timestamp: the packet's."""

    def skip(self, seq: int, now_ms: int) -> None:
        """The packet with this number is none for the room."""

    def begin_talk(self) -> None:
        """What comes next begins a talk."""

    def end_talk(self, now_ms: int) -> None:
        """What has come is all there is."""


def _n_ticks(packet: bytes) -> int:
    return max(opus_packet.n_samples_48k(packet, rtp.HEADER_BYTES, len(packet) - rtp.HEADER_BYTES), 0)


# RFC 6716 section 3.1: first byte of a packet with one frame (code 0) -> its duration; looked up for each packet.
_TICKS_OF_ONE_FRAME: Final = {toc: _n_ticks(bytes(rtp.HEADER_BYTES) + bytes((toc,))) for toc in range(0, 256, 4)}


class OpusPath:
    """Opus of a device, undecoded."""

    scale = 1

    def __init__(self, numbers: Renumber, track: RoomTrack, stats: SessionStats) -> None:
        self._numbers = numbers
        self._send_rtp = track.send_rtp
        self._stats = stats

    def n_ticks(self, packet: bytes) -> int:
        """Return the duration of the packet at 48 kHz; 0 if it is malformed."""
        return _TICKS_OF_ONE_FRAME.get(packet[rtp.HEADER_BYTES]) or _n_ticks(packet)

    def forward(self, packet: bytes, timestamp: int, now_ms: int) -> None:
        """Send the packet at once, under the room's numbers."""
        header = self._numbers.header(packet[2] << 8 | packet[3], timestamp, packet[1] >= 0x80, now_ms)
        self._send_rtp(header + packet[rtp.HEADER_BYTES :])
        self._stats.n_up_passed += 1

    def skip(self, seq: int, now_ms: int) -> None:
        """The packet with this number is none for the room."""
        self._numbers.skip(seq)

    def begin_talk(self) -> None:
        """Nothing: the device's encoder knows."""

    def end_talk(self, now_ms: int) -> None:
        """Nothing: the device's encoder has sent its last."""


class L16Path:
    """L16 of a device, encoded in the order of its numbers."""

    scale = _L16_SCALE

    def __init__(self, numbers: Renumber, track: RoomTrack, stats: SessionStats) -> None:
        self._numbers = numbers
        self._send_rtp = track.send_rtp
        self._stats = stats
        self._order = Reorder()
        self._encoder = OpusEncoder(_OPUS_BPS)
        self._has_tail = False  # the end of the last frame is still in the encoder

    def n_ticks(self, packet: bytes) -> int:
        """Return 320; 0 if it is not a frame."""
        return FRAME_SAMPLES if len(packet) == rtp.HEADER_BYTES + FRAME_BYTES else 0

    def forward(self, packet: bytes, timestamp: int, now_ms: int) -> None:
        """Encode and send what is in order now."""
        self._put(rtp.seq(packet), packet, now_ms)

    def skip(self, seq: int, now_ms: int) -> None:
        """The packet with this number is none for the room."""
        self._numbers.skip(seq)
        self._put(seq, None, now_ms)

    def begin_talk(self) -> None:
        """The end of the last talk must not be heard in the beginning of this one."""
        self._encoder.reset()

    def end_talk(self, now_ms: int) -> None:
        """Send what waits, and a frame of silence that carries the last 2.5 ms out of the encoder."""
        self._send_all(self._order.give_up(), now_ms)
        if self._has_tail:
            self._has_tail = False
            self._send_rtp(self._numbers.appended_header() + self._encoder.encode(SILENCE))

    def _put(self, seq: int, packet: bytes | None, now_ms: int) -> None:
        n_late = self._order.n_late
        self._send_all(self._order.put(seq, packet), now_ms)
        self._stats.n_up_late += self._order.n_late - n_late

    def _send_all(self, packets: Sequence[Ordered], now_ms: int) -> None:
        for _, packet in packets:
            if packet is None:
                continue
            header = self._numbers.header(rtp.seq(packet), rtp.timestamp(packet), packet[1] >= 0x80, now_ms)
            self._send_rtp(header + self._encoder.encode(swap_bytes(packet[rtp.HEADER_BYTES :])))
            self._stats.n_up_transcoded += 1
            self._has_tail = True


_PATHS: Final[dict[str, type[OpusPath] | type[L16Path]]] = {"opus": OpusPath, "l16": L16Path}
UPLINK_CODECS: Final = tuple(_PATHS)


class Uplink:
    """Made once a Session, with the track its device speaks into."""

    def __init__(self, track: RoomTrack, numbers: Renumber, stats: SessionStats) -> None:
        self.is_open = False
        self._track = track
        self._numbers = numbers
        self._stats = stats
        self._path: Path | None = None
        self._start_timestamp = 0  # of the talk
        self._kept: deque[bytes] = deque()  # at most _MAX_KEPT_PACKETS, keepalives among them

    def open_link(self, codec: str, now_ms: int) -> None:
        """A new link, with numbers of its own. A talk that goes on stays unmuted, and is opened again with `start`."""
        is_talking = self.is_open
        self._close(now_ms)
        self._kept.clear()
        path = self._path = _PATHS[codec](self._numbers, self._track, self._stats)
        self._numbers.open_link(path.scale, is_talking)

    def start(self, timestamp: int, now_ms: int) -> int | None:
        """The device was unmuted; timestamp: of its first sample.

        Returns as `audio_came` does, for the packets that came before.
        """
        if self._path is None:
            return None
        self._close(now_ms)
        self._track.set_muted(False)
        self.is_open = True
        self._start_timestamp = timestamp
        self._path.begin_talk()
        kept = list(self._kept)
        self._kept.clear()
        end = None
        for packet in kept:
            if rtp.payload_type(packet) == rtp.PT_KEEPALIVE:
                self.keepalive_came(packet, now_ms)
            else:
                end = self.audio_came(packet, now_ms) or end
        return end

    def stop(self, now_ms: int) -> None:
        """The device is muted. Safe to call twice."""
        self._close(now_ms)
        self._track.set_muted(True)

    def audio_came(self, packet: bytes, now_ms: int) -> int | None:
        """Take a plain packet of audio.

        Returns the timestamp just past its last sample, or None if it does not belong to this talk.
        """
        path = self._path
        n_ticks = path.n_ticks(packet) if path is not None else 0
        if path is None or not n_ticks:
            self._stats.n_up_malformed += 1
            return None
        if not self.is_open:
            self._keep(packet, now_ms)
            return None
        timestamp = int.from_bytes(packet[4:8], "big")
        if timestamp_between(self._start_timestamp, timestamp) < 0:
            self._stats.n_up_late += 1
            path.skip(rtp.seq(packet), now_ms)
            return None
        path.forward(packet, timestamp, now_ms)
        self._stats.n_up_bytes += len(packet) - rtp.HEADER_BYTES
        return (timestamp + n_ticks) & 0xFFFFFFFF

    def keepalive_came(self, packet: bytes, now_ms: int) -> None:
        """Take a keepalive: it has a sequence number, but no audio."""
        if self.is_open and self._path is not None:
            self._path.skip(rtp.seq(packet), now_ms)
        else:
            self._keep(packet, now_ms)

    def _keep(self, packet: bytes, now_ms: int) -> None:
        if len(self._kept) == _MAX_KEPT_PACKETS and self._path is not None:
            oldest = self._kept.popleft()
            self._stats.n_up_muted += rtp.payload_type(oldest) != rtp.PT_KEEPALIVE
            self._path.skip(rtp.seq(oldest), now_ms)
        self._kept.append(packet)

    def _close(self, now_ms: int) -> None:
        if self.is_open and self._path is not None:
            self._path.end_talk(now_ms)
        self.is_open = False
