"""voice.l16: what is sent is RFC 3551's, and a lost frame makes no click."""

from array import array

from pressroom.voice.l16 import L16

N_SAMPLES = 320
LOUDEST_STEP = 1100  # of the tone below: 10000 * 2 pi * 250 / 16000, and a margin


def pcm_of(values):
    return bytearray(array("h", values))


def samples(pcm):
    return list(array("h", bytes(pcm)))


def triangle(first):
    """A frame of a 250 Hz triangle of 10000, as sample numbers first to first + 319."""
    return [_triangle_at(first + i) for i in range(N_SAMPLES)]


def _triangle_at(i):
    phase = i % 64
    return (phase - 16) * 625 if phase < 32 else (48 - phase) * 625


def steps(values):
    return [abs(later - earlier) for earlier, later in zip(values, values[1:])]


def decoded(codec, frame):
    pcm = bytearray(640)
    codec.decode_into(frame, len(frame), pcm)
    return samples(pcm)


def concealed(codec):
    pcm = bytearray(640)
    codec.conceal_into(pcm)
    return samples(pcm)


def encoded(values):
    payload = bytearray(640)
    assert L16().encode_into(pcm_of(values), payload) == 640
    return payload


def playing():
    """A codec in the middle of a spurt: its last frame ended with sample 639 of the triangle."""
    codec = L16()
    decoded(codec, encoded(triangle(0)))
    decoded(codec, encoded(triangle(320)))
    return codec


def test_samples_are_sent_big_endian():
    assert encoded([1, -2] * 160)[:4] == b"\x00\x01\xff\xfe"


def test_what_is_encoded_is_decoded():
    assert decoded(playing(), encoded(triangle(640))) == triangle(640)


def test_a_spurt_fades_in():
    heard = decoded(L16(), encoded([10_000] * N_SAMPLES))
    assert heard[0] == 0
    assert max(steps(heard)) < 200
    assert heard[64:] == [10_000] * 256


def test_a_lost_frame_makes_no_click():
    codec = playing()
    heard = triangle(320) + concealed(codec) + decoded(codec, encoded(triangle(960)))
    assert max(steps(heard)) < LOUDEST_STEP


def test_two_lost_frames_fade_to_silence():
    codec = playing()
    heard = triangle(320) + concealed(codec) + concealed(codec) + concealed(codec)
    assert max(steps(heard)) < LOUDEST_STEP
    assert max(heard[-320:]) == 0
    assert max(heard[320:640]) > max(heard[640:960]) > 3_000


def test_one_lost_frame_is_not_a_hole():
    heard = concealed(playing())
    assert all(max(heard[i : i + 64]) > 4_000 for i in range(0, 320, 64))


def test_a_frame_of_a_wrong_length_is_concealed_and_counted():
    codec = playing()
    expected = concealed(playing())
    assert decoded(codec, b"\x01" * 638) == expected
    assert codec.n_malformed == 1
    decoded(codec, b"")
    assert codec.n_malformed == 2


def test_after_a_reset_the_past_is_not_heard():
    codec = playing()
    codec.reset()
    assert concealed(codec) == [0] * N_SAMPLES
