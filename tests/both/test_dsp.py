"""The passes over PCM, by arithmetic that can be done by hand; that both twins agree is a test of tests/device."""

from array import array

from pressroom.voice.dsp import (
    CAPTURE_DC,
    CAPTURE_POSITION,
    capture_into,
    cross_fade_in_place,
    fade_into,
    peak,
    scale_in_place,
    swap_bytes_into,
)

UNITY = 6


def pcm(*samples):
    return bytearray(array("h", samples))


def samples(pcm_bytes):
    return list(array("h", bytes(pcm_bytes)))


def words(*values):
    """24 bits left-justified in 32, little-endian, as an INMP441 delivers them."""
    packed = bytearray()
    for value in values:
        packed += (value & 0xFFFFFFFF).to_bytes(4, "little")
    return packed


def captured(word_values, shift=UNITY, state=None):
    if state is None:
        state = array("i", (0, len(word_values), shift, 0))
    ring = bytearray(2 * len(word_values))
    capture_into(words(*word_values), len(word_values), ring, state)
    return samples(ring)


def test_the_top_16_bits_of_a_word_are_taken_at_unity():
    assert captured([1000 << 16])[0] == 1000
    assert captured([-1000 << 16])[0] == -1000


def test_a_sample_is_rounded_to_the_nearest():
    assert captured([(1000 << 16) + 0x7FFF])[0] == 1000
    assert captured([(1000 << 16) + 0x8000])[0] == 1001


def test_each_step_of_gain_doubles():
    assert captured([1000 << 16], shift=5)[0] == 2000
    assert captured([(1 << 12) * 700], shift=2)[0] == 700


def test_what_is_too_loud_is_saturated():
    assert captured([0x7FFFFFFF, -0x80000000], shift=2) == [32767, -32768]
    assert captured([0x7FFF0000], shift=UNITY)[0] == 32767


def test_a_constant_level_fades_away():
    heard = captured([3000 << 16] * 5 * 256)
    assert heard[0] == 3000
    assert 1000 < heard[256] < 1200  # a time constant of 256 samples: 3000 / e
    assert abs(heard[-1]) < 25


def test_the_dc_level_survives_full_scale_for_a_second():
    state = array("i", (0, 16000, UNITY, 0))
    ring = bytearray(32000)
    for value in (0x7FFFFFFF, -0x80000000, 0x7FFFFFFF):
        capture_into(words(*[value] * 16000), 16000, ring, state)
        assert -(1 << 29) <= state[CAPTURE_DC] <= 1 << 29
    assert abs(samples(ring)[-1]) <= 1


def test_a_tone_passes_whole():
    square = [(5000 << 16) * (1 if i // 8 % 2 else -1) for i in range(3200)]  # 1 kHz
    heard = captured(square)[1600:]
    assert 4600 < max(heard) < 5400
    assert -5400 < min(heard) < -4600


def test_the_ring_comes_round():
    state = array("i", (3, 4, UNITY, 0))
    ring = bytearray(8)
    capture_into(words(100 << 16, 200 << 16), 2, ring, state)
    assert state[CAPTURE_POSITION] == 1
    assert samples(ring)[3] == 100
    assert samples(ring)[0] in (199, 200)


def test_bytes_are_swapped():
    swapped = bytearray(4)
    swap_bytes_into(swapped, b"\x01\x02\xfe\xff", 4)
    assert swapped == b"\x02\x01\xff\xfe"


def test_scaling_keeps_the_sign():
    frame = pcm(1000, -1000, 32767, -32768)
    scale_in_place(frame, 4, 128)
    assert samples(frame) == [500, -500, 16383, -16384]


def test_a_fade_grows_quieter_and_stops_at_silence():
    faded = bytearray(8)
    fade_into(faded, pcm(1000, 1000, 1000, 1000), 4, 0, 1 << 14, 1 << 13)
    assert samples(faded) == [1000, 500, 0, 0]


def test_a_reversed_fade_begins_at_the_end():
    faded = bytearray(8)
    fade_into(faded, pcm(1, 2, 3, 4), 4, 1, 1 << 14, 0)
    assert samples(faded) == [4, 3, 2, 1]


def test_a_cross_fade_begins_as_the_other_and_ends_as_itself():
    frame = pcm(1000, 1000, 1000, 1000, 1000)
    cross_fade_in_place(frame, pcm(-1000, -1000, -1000, -1000, 7), 4)
    assert samples(frame) == [-1000, -500, 0, 500, 1000]


def test_the_peak_is_the_largest_magnitude():
    assert peak(pcm(3, -9, 5), 3) == 9
    assert peak(pcm(0, -32768), 2) == 32768
    assert peak(pcm(9, 0, 0), 0) == 0
