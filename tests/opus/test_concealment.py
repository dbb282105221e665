"""What is heard in place of lost packets: no click where it begins and ends, no hole, the same pitch, then silence."""

from itertools import pairwise

import numpy as np
import pytest
from tests.opus.libopus import encode
from tests.opus.machines.unix import Unix
from tests.opus.signals import FRAME_SAMPLES, RATE_HZ, Samples, speech

FADED_FRAMES = 5  # then there is silence
STEPS = 40  # 2.5 ms


def heard(said: Samples, lost: set[int]) -> np.ndarray:
    """Return what the decoder makes of the sound with these packets lost, in frames."""
    packets = [None if n in lost else packet for n, packet in enumerate(encode(said, 32_000))]
    frames = Unix().decode(packets)
    assert {frame.error for frame in frames} == {""}
    pcm = np.frombuffer(b"".join(frame.pcm for frame in frames), "<i2")
    return pcm.astype(np.float64).reshape(-1, FRAME_SAMPLES)


def vowel(n_frames: int, frequency_hz: float = 130.0) -> Samples:
    """A voice that holds a tone: a pitch with its harmonics."""
    t = np.arange(n_frames * FRAME_SAMPLES) / RATE_HZ
    harmonics = range(1, 20)
    sound = sum(np.sin(2 * np.pi * k * frequency_hz * t + k) / k for k in harmonics)
    return (6_000 * sound).astype(np.int16)


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(samples**2)))


def steps(samples: np.ndarray) -> np.ndarray:
    """Return how far neighbouring samples are apart."""
    return np.abs(np.diff(samples))


def is_voiced(frames: np.ndarray, n: int) -> bool:
    return all(rms(frames[k]) > 300 for k in (n - 1, n, n + 1))


@pytest.mark.parametrize("said", ["speech", "vowel"])
def test_where_lost_packets_begin_and_end_nothing_clicks(said):
    sound = speech(400) if said == "speech" else vowel(100)
    lost = set(range(10, len(sound) // FRAME_SAMPLES - 2, 9))
    whole, with_losses = heard(sound, set()), heard(sound, lost)
    checked = 0
    for n in sorted(lost):
        if not is_voiced(whole, n):
            continue
        checked += 1
        around = steps(whole[n - 2 : n + 3].ravel()).max()  # as it is without a loss
        for border in (n, n + 1):
            joint = np.concatenate((with_losses[border - 1][-4:], with_losses[border][:4]))
            assert steps(joint).max() <= 1.5 * around, f"a click at frame {border}"
    assert checked >= 9


@pytest.mark.parametrize("said", ["speech", "vowel"])
def test_a_single_lost_packet_leaves_no_hole(said):
    sound = speech(400) if said == "speech" else vowel(100)
    lost = set(range(10, len(sound) // FRAME_SAMPLES - 2, 9))
    whole, with_losses = heard(sound, set()), heard(sound, lost)
    checked = 0
    for n in sorted(lost):
        if not is_voiced(whole, n):
            continue
        checked += 1
        quarters = with_losses[n].reshape(4, -1)
        assert min(rms(part) for part in quarters) > 0.2 * min(rms(whole[n - 1]), rms(whole[n])), f"a hole in frame {n}"
    assert checked >= 9


def test_the_pitch_of_a_voice_goes_on_in_place_of_a_lost_packet():
    whole, with_losses = heard(vowel(40), set()), heard(vowel(40), {20})
    correlation = np.corrcoef(whole[20], with_losses[20])[0, 1]
    assert correlation > 0.9


def test_after_a_tenth_of_a_second_of_losses_there_is_silence_and_then_the_voice_again():
    whole = heard(vowel(60), set())
    with_losses = heard(vowel(60), set(range(20, 40)))
    loudness = [rms(frame) for frame in with_losses[20:40]]
    assert all(later <= 1.05 * earlier for earlier, later in pairwise(loudness))
    assert loudness[0] > 0.5 * rms(whole[19])
    assert max(loudness[FADED_FRAMES + 2 :]) < 2
    assert rms(with_losses[44] - whole[44]) < 0.3 * rms(whole[44])
