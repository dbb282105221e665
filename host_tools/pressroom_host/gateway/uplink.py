"""From a device to its room: one track whose time never goes back, whatever the device does. No I/O.

Opus is passed through as it is; L16 is put in order, with one frame of slack, and encoded. What comes before its unmute
waits for it: media over UDP overtakes the message over TCP.
"""

import struct
from collections import deque

from pressroom.wire import rtp
from pressroom.wire.seq import seq_between, timestamp_between

from .audio import FRAME_BYTES, OpusEncoder, swap_bytes
from .room_port import RoomTrack

_HEADER = struct.Struct("!BBHI4s")
_VERSION = 0x80  # RFC 3550 section 5.1
_MARKER = 0x80
_NO_SSRC = bytes(4)  # the room writes its own
_OPUS_CLOCK_HZ = 48_000  # RFC 7587 section 4.1
_OPUS_TICKS_PER_FRAME = 960
_L16_TICKS_PER_FRAME = 320
_OPUS_TICKS_PER_L16_TICK = 3
_BITRATE_BPS = 40_000  # of transcoded speech
_EARLY_PACKETS = 16  # a pre-roll and a bit
_STRAGGLER_PACKETS = 64  # so far behind, a packet is late; further, it is nonsense


class Uplink:
    """Writes what a device says into its track. now_s: seconds of a monotonic clock."""

    def __init__(self, track: RoomTrack) -> None:
        self.n_forwarded = 0
        self.n_lost = 0
        self.n_late = 0
        self.n_muted = 0  # said while muted, and no unmute followed
        self.n_unknown = 0
        self._track = track
        self._encoder: OpusEncoder | None = None
        self._is_open = False
        self._is_marked = True  # the next packet begins a talk
        self._early: deque[bytes] = deque(maxlen=_EARLY_PACKETS)
        self._held: bytes | None = None  # an L16 packet before whose turn one is missing
        self._newest_seq: int | None = None  # of the device's stream; None before its first audio
        self._first_timestamp = 0  # of the device's stream, and what it is in the track
        self._out_first = 0
        self._out_seq = 0  # the track's number for newest_seq
        self._out_end = 0  # the track's timestamp just past what was sent
        self._sent_s: float | None = None

    def begin_stream(self) -> None:
        """A new welcome: sequence numbers and timestamps of the device begin anew."""
        self._newest_seq = None
        self._held = None
        self._early.clear()

    def unmute(self, rtp_timestamp: int, now_s: float) -> None:
        """The talk begins with the sample of that timestamp; what waits of it is sent."""
        self._is_open = True
        self._is_marked = True
        early = list(self._early)
        self._early.clear()
        for packet in early:
            if timestamp_between(rtp_timestamp, rtp.timestamp(packet)) >= 0:
                self.receive(packet, now_s)
            else:
                self.n_muted += 1

    def mute(self, now_s: float) -> None:
        """The talk is over."""
        self._release_held(now_s)
        self._is_open = False

    def skip(self, seq: int, now_s: float) -> None:
        """That sequence number is no audio: nothing is missing there."""
        if self._newest_seq is None:
            return
        n_ahead = seq_between(self._newest_seq, seq)
        if n_ahead > 0:
            self.n_lost += n_ahead - 1
            self._advance(n_ahead, seq)
            self._out_seq = (self._out_seq - 1) & 0xFFFF
            self._release_next(now_s)

    def receive(self, packet: bytes, now_s: float) -> int | None:
        """Take one authentic RTP packet. Returns the timestamp just past its audio; None if it is not audio we know."""
        start, end = rtp.payload_start(packet, len(packet)), rtp.payload_end(packet, len(packet))
        payload_type = packet[1] & 0x7F
        is_l16 = payload_type == rtp.PT_L16 and end - start == FRAME_BYTES
        if not 0 < start < end or not (is_l16 or payload_type == rtp.PT_OPUS):
            self.n_unknown += 1
            return None
        if not self._is_open:
            self.n_muted += len(self._early) == _EARLY_PACKETS
            self._early.append(packet)
        elif is_l16:
            self._put_in_order(packet, now_s)
        else:
            self._forward(packet, packet[start:end], 1, _OPUS_TICKS_PER_FRAME, now_s)
        n_ticks = _L16_TICKS_PER_FRAME if is_l16 else _OPUS_TICKS_PER_FRAME
        return (rtp.timestamp(packet) + n_ticks) & 0xFFFFFFFF

    def _put_in_order(self, packet: bytes, now_s: float) -> None:
        n_ahead = 1 if self._newest_seq is None else seq_between(self._newest_seq, rtp.seq(packet))
        if n_ahead <= 0:
            self.n_late += 1
        elif n_ahead == 1:
            self._transcode(packet, now_s)
            self._release_next(now_s)
        elif self._held is None:
            self._held = packet
        else:  # the slack is used up: what is missing is lost
            held, self._held = self._held, None
            is_held_first = seq_between(rtp.seq(held), rtp.seq(packet)) > 0
            for each in (held, packet) if is_held_first else (packet, held):
                self._transcode(each, now_s)

    def _release_held(self, now_s: float) -> None:
        held, self._held = self._held, None
        if held is not None:
            self._transcode(held, now_s)

    def _release_next(self, now_s: float) -> None:
        if self._held is None or self._newest_seq is None:
            return
        if seq_between(self._newest_seq, rtp.seq(self._held)) == 1:
            self._release_held(now_s)

    def _transcode(self, packet: bytes, now_s: float) -> None:
        if self._newest_seq is not None and seq_between(self._newest_seq, rtp.seq(packet)) <= 0:
            self.n_late += 1  # an encoder cannot go back
            return
        if self._encoder is None:
            self._encoder = OpusEncoder(_BITRATE_BPS)
        start = rtp.payload_start(packet, len(packet))
        opus = self._encoder.encode(swap_bytes(packet[start : start + FRAME_BYTES]))
        self._forward(packet, opus, _OPUS_TICKS_PER_L16_TICK, _L16_TICKS_PER_FRAME, now_s)

    def _forward(self, packet: bytes, opus: bytes, ticks_scale: int, n_ticks: int, now_s: float) -> None:
        seq, timestamp = rtp.seq(packet), rtp.timestamp(packet)
        if self._newest_seq is None:
            self._join_streams(seq, timestamp, now_s)
        n_ahead = seq_between(self._newest_seq or 0, seq)
        if n_ahead < -_STRAGGLER_PACKETS:
            self.n_late += 1
            return
        if n_ahead > 0:
            self.n_lost += n_ahead - 1
            self._advance(n_ahead, seq)
        else:
            self.n_lost -= n_ahead < 0  # it was counted as lost when a later one came
        passed = timestamp_between(self._first_timestamp, timestamp) * ticks_scale
        out_timestamp = (self._out_first + passed) & 0xFFFFFFFF
        marker = _MARKER if self._is_marked else 0
        out_seq = (self._out_seq + min(n_ahead, 0)) & 0xFFFF
        header = _HEADER.pack(_VERSION, rtp.PT_OPUS | marker, out_seq, out_timestamp, _NO_SSRC)
        self._track.send_rtp(header + opus)
        self._is_marked = False
        self.n_forwarded += 1
        if n_ahead >= 0:
            self._out_end = (out_timestamp + n_ticks * ticks_scale) & 0xFFFFFFFF
            self._sent_s = now_s

    def _join_streams(self, seq: int, timestamp: int, now_s: float) -> None:
        """Go on in the track where the last stream ended, after the time that has passed since."""
        passed_s = 0.0 if self._sent_s is None else now_s - self._sent_s
        self._out_first = (self._out_end + round(passed_s * _OPUS_CLOCK_HZ)) & 0xFFFFFFFF
        self._first_timestamp = timestamp
        self._newest_seq = (seq - 1) & 0xFFFF

    def _advance(self, n_packets: int, seq: int) -> None:
        self._newest_seq = seq
        self._out_seq = (self._out_seq + n_packets) & 0xFFFF
