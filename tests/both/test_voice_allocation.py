"""The audio path allocates nothing per frame. Fed with 16-bit frames: small integers may end at 2**30."""

from portable import allocates_nothing

from pressroom.voice.downlink import Downlink
from pressroom.voice.l16 import L16
from pressroom.voice.uplink import TALKING, Uplink
from pressroom.wire.jitter import JitterBuffer
from pressroom.wire.rtp import PT_L16, RtpOut
from pressroom.wire.seq import ms_after


class Clock:
    """20 ms a step, and it wraps on the way."""

    def __init__(self):
        self.now_ms = (1 << 30) - 1_000

    def advance(self):
        self.now_ms = ms_after(self.now_ms, 20)


class FakeCapture:
    """A new frame in every poll, always the same."""

    n_frames_kept = 15

    def __init__(self):
        self._frame = bytes(range(64)) * 10

    def poll(self, now_ms):
        return 1

    def frame(self, n_back):
        return self._frame

    def n_frames_unread(self, now_ms):
        return 1


class FakeMedia:
    """Keeps nothing."""

    def __init__(self):
        self.rtp_out = RtpOut(b"\xff\xff\xff\xff", PT_L16, 65_500, b"\xff\xff\xff\x00", 320)
        self.n_sent = 0

    def send(self, packet, n_bytes):
        self.n_sent += 1


class FakeSpeaker:
    """Takes a frame in each poll."""

    def __init__(self):
        self.n_room_bytes = 0
        self.n_bytes = 0

    def write(self, pcm, start=0):
        n_bytes = min(len(pcm) - start, self.n_room_bytes)
        self.n_room_bytes -= n_bytes
        self.n_bytes += n_bytes
        return n_bytes


class Talking:
    def __init__(self):
        self.media = FakeMedia()
        self.uplink = Uplink(FakeCapture(), L16(), 10)
        self.uplink.open(self.media, L16())
        self.uplink.start_talk(0)
        assert self.uplink.state == TALKING

    def step(self, now_ms):
        self.uplink.poll(now_ms)


class Muted(Talking):
    def __init__(self):
        super().__init__()
        self.uplink.end_talk(0)


class Listening:
    """A packet comes and a frame is played in each step; with n_lossy, every n-th packet is lost."""

    def __init__(self, n_lossy=0):
        self.speaker = FakeSpeaker()
        self.downlink = Downlink(JitterBuffer(16, 640), L16(), self.speaker)
        self.downlink.set_volume(50)
        self._rtp_out = RtpOut(b"\xff\xff\xff\xff", PT_L16, 65_500, b"\xff\xff\xff\x00", 320)
        self._packet = bytearray(12) + bytes(range(64)) * 10
        self._n_lossy = n_lossy
        self._n_steps = 0

    def step(self, now_ms):
        self._rtp_out.write_header_into(self._packet, self._n_steps == 0)
        self._n_steps += 1
        if not self._n_lossy or self._n_steps % self._n_lossy:
            self.downlink.receive(self._packet, 12, 640, now_ms)
        self.speaker.n_room_bytes += 640
        self.downlink.poll(now_ms)


def nothing_is_allocated(path):
    """Whether 500 steps of 20 ms allocate nothing, across a wrap of the clock."""
    clock = Clock()

    def step():
        path.step(clock.now_ms)
        clock.advance()

    return allocates_nothing(step)


def test_the_uplink_allocates_nothing_while_it_talks():
    path = Talking()
    assert nothing_is_allocated(path)
    assert path.media.n_sent >= 30


def test_the_uplink_allocates_nothing_while_it_is_muted():
    path = Muted()
    assert nothing_is_allocated(path)
    assert path.media.n_sent < 20


def test_the_downlink_allocates_nothing():
    path = Listening()
    assert nothing_is_allocated(path)
    assert path.downlink.n_played_frames >= 20


def test_the_downlink_allocates_nothing_when_packets_are_lost():
    path = Listening(n_lossy=7)
    assert nothing_is_allocated(path)
    assert path.downlink.jitter.n_lost >= 3
