"""A device whose crystal is off: jitter buffer, downlink and loudspeaker on a virtual clock. Runs under MicroPython."""

import struct

import chip as board

from pressroom.hal.speaker import Speaker
from pressroom.voice.downlink import Downlink
from pressroom.voice.l16 import L16
from pressroom.wire import rtp
from pressroom.wire.jitter import PLAYING, JitterBuffer

_POLL_US = 5_000
_ENTRY_BYTES = 9


class WatchedBuffer(JitterBuffer):
    """Remembers how far from its target the depth was when a frame was taken."""

    furthest_frames = 0

    def take_into(self, frame, now_ms):
        if self.state == PLAYING and self.depth_frames:
            off_frames = abs(self.depth_frames - self.target_frames)
            WatchedBuffer.furthest_frames = max(self.furthest_frames, off_frames)
        return super().take_into(frame, now_ms)


def play(schedule, clock_ppm):
    """Play what a gateway sends (entries of time in us, sequence number, marker) and print what became of it.

    Every sample that is sent is 1000, so that silence in speaker.raw is a hole.
    """
    chip = board.power_on(clock_ppm=int(clock_ppm), now_us=0)
    jitter = WatchedBuffer(16, L16.max_frame_bytes, 2, 1, 6)
    downlink = Downlink(jitter, L16(), Speaker({"id": 1, "sck": 15, "ws": 16, "sd": 7}))
    packet = bytearray(rtp.HEADER_BYTES + L16.max_frame_bytes)
    packet[rtp.HEADER_BYTES :] = struct.pack(">h", 1000) * 320
    n_sent = 0
    with open(schedule, "rb") as file:
        entry = file.read(_ENTRY_BYTES)
        while entry or jitter.state == PLAYING:
            now_us = chip.clock.now_us()
            while entry and struct.unpack("<I", entry)[0] <= now_us:
                write_header(packet, *struct.unpack("<IIB", entry))
                downlink.receive(packet, rtp.HEADER_BYTES, L16.max_frame_bytes, now_us // 1000)
                n_sent += 1
                entry = file.read(_ENTRY_BYTES)
            downlink.poll(now_us // 1000)
            chip.clock.advance_us(_POLL_US)
    chip.run_dma()
    counters = ("n_inserted", "n_dropped", "n_lost", "n_late", "n_overflow")
    found = ["%s=%d" % (name, getattr(jitter, name)) for name in counters]
    print("n_sent=%d n_played=%d furthest=%d" % (n_sent, downlink.n_played_frames, jitter.furthest_frames), *found)


def write_header(packet, at_us, seq, is_marked):
    packet[0] = 0x80
    packet[1] = rtp.PT_L16 | (is_marked << 7)
    packet[2] = seq >> 8 & 0xFF
    packet[3] = seq & 0xFF
