"""voice.capture: the newest frames are always at hand, however the driver hands them over."""

from array import array

from pressroom.voice.capture import Capture
from pressroom.wire.seq import ms_after

START_MS = (1 << 30) - 50


def at(ms):
    return ms_after(START_MS, ms)


def numbered(i):
    """A tone without DC, louder in each frame of 320."""
    level = 100 * (i // 320 + 1)
    return -level if i % 2 else level


class FakeMic:
    """Hands out words as far as `n_ready` says."""

    def __init__(self, sample_at=numbered):
        self.n_ready = 0
        self._n_read = 0
        self._sample_at = sample_at

    def read_into(self, words):
        n_words = min(len(words) // 4, self.n_ready)
        for i in range(n_words):
            word = self._sample_at(self._n_read + i) << 16 & 0xFFFFFFFF
            words[4 * i : 4 * i + 4] = word.to_bytes(4, "little")
        self.n_ready -= n_words
        self._n_read += n_words
        return 4 * n_words


def first_sample(frame):
    return array("h", bytes(frame[:2]))[0]


def capture_of(mic):
    return Capture(mic, n_slots=8)


def test_a_frame_is_there_once_320_samples_are():
    mic = FakeMic()
    capture = capture_of(mic)
    mic.n_ready = 319
    assert capture.poll(at(0)) == 0
    mic.n_ready = 1
    assert capture.poll(at(1)) == 1
    assert capture.poll(at(2)) == 0


def test_descriptors_of_256_come_as_frames_of_320():
    mic = FakeMic()
    capture = capture_of(mic)
    n_new = []
    for i in range(10):
        mic.n_ready = 256
        n_new.append(capture.poll(at(16 * i)))
    assert n_new == [0, 1, 1, 1, 1, 0, 1, 1, 1, 1]


def test_earlier_frames_can_be_looked_back_at():
    mic = FakeMic()
    capture = capture_of(mic)
    for i in range(11):
        mic.n_ready = 320
        assert capture.poll(at(20 * i)) == 1
    levels = [first_sample(capture.frame(n_back)) for n_back in range(7)]
    assert [round(level / 100) for level in levels] == [11, 10, 9, 8, 7, 6, 5]


def test_what_the_driver_kept_back_comes_as_several_frames():
    mic = FakeMic()
    capture = capture_of(mic)
    mic.n_ready = 1000
    assert capture.poll(at(0)) == 3


def test_a_microphone_that_never_runs_dry_does_not_hold_up_the_loop():
    mic = FakeMic()
    capture = capture_of(mic)
    mic.n_ready = 1 << 20
    assert capture.poll(at(0)) == 4


def test_gain_is_bounded():
    for gain_bits, expected in ((-1, 100), (0, 100), (3, 800), (6, 6400), (99, 6400)):
        mic = FakeMic()
        capture = Capture(mic, 8, gain_bits)
        mic.n_ready = 320
        capture.poll(at(0))
        assert first_sample(capture.frame(0)) == expected


def test_what_is_still_in_the_driver_counts_as_unread():
    mic = FakeMic()
    capture = capture_of(mic)
    mic.n_ready = 100
    capture.poll(at(0))
    assert capture.n_frames_unread(at(0)) == 1  # 100 samples, and 80 that may be on their way
    assert capture.n_frames_unread(at(8)) == 1
    assert capture.n_frames_unread(at(9)) == 2  # 100 + 224
    mic.n_ready = 200
    capture.poll(at(20))
    assert capture.n_frames_unread(at(500)) == 2  # never more than one descriptor
