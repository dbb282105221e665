"""The viper kernels of voice.dsp compute what their plain twins compute, to the bit, also with noise for input."""

import random
from array import array

from pressroom.voice import dsp_plain, dsp_viper

N_ROUNDS = 60


def noise(n_bytes):
    return bytearray(random.getrandbits(8) for _ in range(n_bytes))


def both(name, *arguments):
    """Call both twins with copies of the arguments; return what each returned, and what it made of its buffers."""
    outcomes = []
    for twin in (dsp_viper, dsp_plain):
        copies = [_copy(argument) for argument in arguments]
        outcomes.append((getattr(twin, name)(*copies), [bytes(c) if not isinstance(c, int) else c for c in copies]))
    return outcomes


def _copy(argument):
    if isinstance(argument, array):
        return array("i", argument)
    return argument if isinstance(argument, int) else bytearray(argument)


def assert_twins_agree(name, *arguments):
    by_viper, by_plain = both(name, *arguments)
    assert by_viper == by_plain, name


def test_capture_into():
    random.seed(1)
    state = array("i", (0, 97, 6, 0))
    for _ in range(N_ROUNDS):
        state[2] = random.randrange(7)
        words = noise(4 * 53)
        assert_twins_agree("capture_into", words, 53, bytearray(2 * 97), state)
        dsp_viper.capture_into(words, 53, bytearray(2 * 97), state)
        assert -(1 << 29) <= state[3] <= 1 << 29


def test_capture_into_at_full_scale():
    for word in (b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80"):
        state = array("i", (0, 97, 0, 0))
        for _ in range(N_ROUNDS):
            assert_twins_agree("capture_into", word * 53, 53, bytearray(2 * 97), state)
            dsp_viper.capture_into(word * 53, 53, bytearray(2 * 97), state)
            assert -(1 << 29) <= state[3] <= 1 << 29


def test_swap_bytes_into():
    random.seed(2)
    assert_twins_agree("swap_bytes_into", bytearray(640), noise(640), 640)


def test_scale_in_place():
    random.seed(3)
    for gain_q8 in (0, 1, 77, 255, 256):
        assert_twins_agree("scale_in_place", noise(640), 320, gain_q8)


def test_fade_into():
    random.seed(4)
    for is_reversed in (0, 1):
        for gain_q14 in (0, 8192, 16384):
            assert_twins_agree("fade_into", bytearray(640), noise(640), 320, is_reversed, gain_q14, 51)


def test_cross_fade_in_place():
    random.seed(5)
    for _ in range(N_ROUNDS):
        assert_twins_agree("cross_fade_in_place", noise(128), noise(128), 64)


def test_peak():
    random.seed(6)
    for n_samples in (0, 1, 2, 320):
        assert_twins_agree("peak", noise(640), n_samples)
    assert_twins_agree("peak", b"\x00\x80" * 320, 320)
