"""Sounds to judge the codec by: recordings of a voice, and made ones, each hard in a way. 16 kHz, mono, 16 bit."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pressroom_host.demo import speech as demo_speech
from pressroom_host.sim.sound import read_wav

RATE_HZ = 16_000
FRAME_SAMPLES = 320

Samples = npt.NDArray[np.int16]

_RECORDINGS = Path(demo_speech.__file__).parent / "recordings"


@cache
def recordings() -> dict[str, Samples]:
    """Return the demo's recordings by name, in whole frames."""
    return {path.stem: _whole(read_wav(path)) for path in sorted(_RECORDINGS.glob("*.wav"))}


def speech(n_frames: int) -> Samples:
    """Return the recordings one after the other, from the beginning again where they end."""
    return np.resize(np.concatenate(list(recordings().values())), n_frames * FRAME_SAMPLES)


def transients(n_frames: int) -> Samples:
    """Claps: noise that begins at once and dies away, at irregular times, on near silence."""
    chance = np.random.default_rng(1)
    n = n_frames * FRAME_SAMPLES
    sound = 20 * chance.standard_normal(n)
    at = 0
    while at < n:
        length = min(2_400, n - at)
        clap = chance.standard_normal(length) * np.exp(-np.arange(length) / chance.uniform(40, 400))
        sound[at : at + length] += chance.uniform(3_000, 20_000) * clap
        at += int(chance.integers(700, 5_000))
    return _saturated(sound)


def tones(n_frames: int) -> Samples:
    """Three sines at a time, other ones every 200 ms."""
    chance = np.random.default_rng(2)
    t = np.arange(n_frames * FRAME_SAMPLES) / RATE_HZ
    sound = np.zeros(len(t))
    for start in range(0, len(t), 3_200):
        part = slice(start, start + 3_200)
        for frequency_hz in chance.uniform(80, 7_000, 3):
            sound[part] += chance.uniform(1_000, 6_000) * np.sin(2 * np.pi * frequency_hz * t[part])
    return _saturated(sound)


def noise(n_frames: int) -> Samples:
    """White, and its loudness wanders."""
    chance = np.random.default_rng(3)
    n = n_frames * FRAME_SAMPLES
    loudness = 3_000 * 10 ** (np.sin(np.arange(n) / 9_000) * 0.8)
    return _saturated(loudness * chance.standard_normal(n))


def sweep(n_frames: int) -> Samples:
    """One sine from 50 Hz to 7.5 kHz."""
    t = np.arange(n_frames * FRAME_SAMPLES) / RATE_HZ
    rate = np.log(150) / t[-1]
    return _saturated(10_000 * np.sin(2 * np.pi * 50 * (np.exp(rate * t) - 1) / rate))


def sine(n_frames: int, frequency_hz: float = 997) -> Samples:
    """One sine."""
    return _saturated(10_000 * np.sin(2 * np.pi * frequency_hz * np.arange(n_frames * FRAME_SAMPLES) / RATE_HZ))


def brown(n_frames: int) -> Samples:
    """Noise that is loudest at the bottom."""
    chance = np.random.default_rng(4)
    steps = chance.standard_normal(n_frames * FRAME_SAMPLES)
    sound = np.zeros(len(steps))
    level = 0.0
    for i, step in enumerate(steps):
        level = 0.995 * level + step
        sound[i] = level
    return _saturated(800 * sound)


def silence(n_frames: int) -> Samples:
    """Nothing at all."""
    return np.zeros(n_frames * FRAME_SAMPLES, np.int16)


def square(n_frames: int) -> Samples:
    """Full scale, 220 Hz."""
    n = np.arange(n_frames * FRAME_SAMPLES)
    return np.where(n * 440 // RATE_HZ % 2, 32_767, -32_768).astype(np.int16)


def loud_noise(n_frames: int) -> Samples:
    """White, full scale, saturated."""
    return _saturated(40_000 * np.random.default_rng(5).standard_normal(n_frames * FRAME_SAMPLES))


def impulses(n_frames: int) -> Samples:
    """One sample of full scale, now and then."""
    sound = silence(n_frames)
    sound[::1_777] = 32_767
    sound[500::2_999] = -32_768
    return sound


def faint(n_frames: int) -> Samples:
    """One bit of noise."""
    return np.random.default_rng(6).integers(-1, 2, n_frames * FRAME_SAMPLES).astype(np.int16)


def voice_in_noise(n_frames: int) -> Samples:
    """The voice, 12 dB above noise."""
    voice = speech(n_frames).astype(float)
    hiss = np.random.default_rng(7).standard_normal(len(voice))
    return _saturated(voice + hiss * np.sqrt(np.mean(voice**2)) / 4)


ALL: dict[str, Callable[[int], Samples]] = {
    made.__name__: made
    for made in (
        *(speech, transients, tones, noise, sweep, sine, brown, silence, square, loud_noise, impulses, faint),
        voice_in_noise,
    )
}


def _saturated(sound: npt.NDArray[np.float64]) -> Samples:
    return np.clip(np.rint(sound), -32_768, 32_767).astype(np.int16)


def _whole(samples: Samples) -> Samples:
    return samples[: len(samples) // FRAME_SAMPLES * FRAME_SAMPLES]
