"""Five minutes in which the board's crystal runs faster or slower than the gateway's, on a virtual clock.

The gateway sends 20 ms of a constant every 20 ms of its own time; downlink, jitter buffer, codec, and loudspeaker down
to the stand-in I2S are the device's own.
"""

import chip as board
from micropython import const

from pressroom.hal.speaker import Speaker
from pressroom.voice.downlink import Downlink
from pressroom.voice.l16 import L16
from pressroom.wire.jitter import JitterBuffer
from pressroom.wire.rtp import PT_L16, RtpOut

PINS = {"id": 1, "sck": 15, "ws": 16, "sd": 7}
FRAME_US = const(20_000)
PUMP_US = const(5_000)
MINUTES = const(5)
N_FRAMES = const(MINUTES * 60 * 50)
LEVEL = const(1000)
HOLE_SAMPLES = const(320)


class Drift:
    """One run of five minutes."""

    def __init__(self, clock_ppm):
        self.chip = board.power_on(clock_ppm)
        self.jitter = JitterBuffer(16, 640)
        self.downlink = Downlink(self.jitter, L16(), Speaker(PINS))
        self.worst_off_target = 0
        self._rtp_out = RtpOut(b"\x01\x02\x03\x04", PT_L16, 0, bytes(4), 320)
        self._packet = bytearray(12) + LEVEL.to_bytes(2, "big") * 320

    def run(self):
        clock = self.chip.clock
        due_us = clock.now_us()
        n_sent = 0
        while n_sent < N_FRAMES:
            now_ms = clock.now_us() // 1000 & 0x3FFFFFFF
            if clock.now_us() >= due_us:
                self._rtp_out.write_header_into(self._packet, n_sent == 0)
                self.downlink.receive(self._packet, 12, 640, now_ms)
                due_us += FRAME_US
                n_sent += 1
                if n_sent > 250:  # after five seconds it is no longer the beginning
                    off = abs(self.jitter.depth_frames - self.jitter.target_frames)
                    self.worst_off_target = max(self.worst_off_target, off)
            self.downlink.poll(now_ms)
            clock.advance_us(PUMP_US)


def longest_hole(path):
    """Return the longest run of samples below a tenth of the level, between the first and the last that is loud."""
    longest = run = 0
    has_begun = False
    with open(path, "rb") as file:
        block = bytearray(512)
        while file.readinto(block) == len(block):
            i = 0
            while i < len(block):
                sample = block[i] | block[i + 1] << 8
                if LEVEL // 10 < sample < 0x8000:
                    longest = max(longest, run if has_begun else 0)
                    has_begun = True
                    run = 0
                else:
                    run += 1
                i += 2
    return longest


def assert_drift_is_steered(clock_ppm):
    drift = Drift(clock_ppm)
    drift.run()
    jitter = drift.jitter
    steered = jitter.n_inserted if clock_ppm > 0 else jitter.n_dropped
    assert 1 <= steered <= 4, jitter  # 100 ppm of five minutes are 30 ms
    assert (jitter.n_dropped if clock_ppm > 0 else jitter.n_inserted) <= 1, jitter
    assert jitter.n_lost == jitter.n_late == jitter.n_overflow == 0, jitter
    assert drift.worst_off_target <= 1, drift.worst_off_target
    assert jitter.n_received == N_FRAMES
    assert drift.downlink.n_played_frames >= N_FRAMES - steered - 10
    assert longest_hole("speaker.raw") < HOLE_SAMPLES


def test_a_board_that_runs_fast():
    assert_drift_is_steered(100)


def test_a_board_that_runs_slow():
    assert_drift_is_steered(-100)
