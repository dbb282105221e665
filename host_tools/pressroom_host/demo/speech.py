"""What is said in the demo: recordings of humans, cut so that voice begins and ends with them.

Voice is where the RMS of 20 ms is within 20 dB of the loudest 20 ms. A recording that begins with voice makes the demo
hard: a device that sends only what comes after the press loses the first word. What is below 300 Hz does not count: the
breath on a microphone and the hum of a room can be as loud as a voice, and no word is told by them.
"""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pressroom_host.errors import UserError
from pressroom_host.sim.sound import RATE_HZ, Samples, read_wav

Wave = npt.NDArray[np.float64]

WINDOW_SAMPLES = RATE_HZ // 50  # 20 ms
VOICE_BELOW_LOUDEST_DB = 20.0

# In the order they are said: name of the WAV, words.
SCRIPT = (
    ("go-forward", "go forward ten meters"),
    ("ill-disposed", "he was not an ill disposed young man"),
    (
        "leisure-to-consider",
        "and mister john dashwood had then leisure to consider how much there might be "
        "prudently in his power to do for them",
    ),
)

_RUMBLE_HZ = 150.0  # nothing below counts,
_VOICE_HZ = 300.0  # everything above does (ITU-T G.712: a telephone begins here)

_BEFORE_VOICE_SAMPLES = RATE_HZ // 200  # 5 ms
_AFTER_VOICE_SAMPLES = RATE_HZ // 100  # 10 ms
_MIN_SAMPLES = RATE_HZ  # below a second there is too little to measure
_MAX_SAMPLES = 30 * RATE_HZ
_QUIETEST_RMS = 33.0  # -60 dBFS


class NoVoice(UserError):
    """A recording in which nobody speaks, or not long enough, or too long."""


@dataclass(frozen=True)
class Speech:
    """Something to say: 16 kHz, mono, 16 bit."""

    name: str
    words: str  # empty if nobody told
    samples: Samples

    @property
    def title(self) -> str:
        """How it is called in what a person reads."""
        return f"“{self.words}”" if self.words else self.name

    @property
    def duration_s(self) -> float:
        return len(self.samples) / RATE_HZ


def script() -> list[Speech]:
    """Return the three recordings of the demo."""
    folder = resources.files(__package__) / "recordings"
    with resources.as_file(folder) as path:
        return [Speech(name, words, read_wav(path / f"{name}.wav")) for name, words in SCRIPT]


def load(path: Path) -> Speech:
    """Return a user's own recording, trimmed. Raises SoundUnusable or NoVoice."""
    samples = read_wav(path)
    if len(samples) < WINDOW_SAMPLES or float(window_rms(without_rumble(samples)).max()) < _QUIETEST_RMS:
        raise NoVoice(f"{path} is silent; choose a recording in which somebody speaks")
    trimmed = trim(samples)
    if not _MIN_SAMPLES <= len(trimmed) <= _MAX_SAMPLES:
        raise NoVoice(
            f"{path} has {len(trimmed) / RATE_HZ:.1f} s of voice; choose a recording of "
            f"{_MIN_SAMPLES // RATE_HZ} to {_MAX_SAMPLES // RATE_HZ} s"
        )
    return Speech(path.stem, "", trimmed)


def trim(samples: Samples) -> Samples:
    """Return the recording from 5 ms before its first voice to 10 ms after its last."""
    first, end = voice_span(without_rumble(samples))
    return samples[max(first - _BEFORE_VOICE_SAMPLES, 0) : end + _AFTER_VOICE_SAMPLES]


def without_rumble(samples: npt.NDArray[np.generic]) -> Wave:
    """Return what is above 300 Hz."""
    return filtered(samples.astype(np.float64), (_RUMBLE_HZ, _VOICE_HZ), (0.0, 1.0))


def filtered(wave: Wave, frequencies_hz: tuple[float, ...], gains: tuple[float, ...]) -> Wave:
    """Weigh the frequencies, straight lines between those given; nothing moves in time."""
    weights = np.interp(np.fft.rfftfreq(len(wave), 1 / RATE_HZ), frequencies_hz, gains)
    return np.fft.irfft(np.fft.rfft(wave) * weights, len(wave))


def voice_span(wave: Wave) -> tuple[int, int]:
    """Return where the first 20 ms with voice begin and where the last end. At least 20 ms, without rumble."""
    with_voice = np.flatnonzero(is_voice_at(wave))
    return int(with_voice[0]), int(with_voice[-1]) + WINDOW_SAMPLES


def is_voice_at(wave: Wave) -> npt.NDArray[np.bool_]:
    """Say of every 20 ms, one starting at each sample, whether it has voice."""
    rms = window_rms(wave)
    return rms >= quietest_voice(wave)


def quietest_voice(wave: Wave) -> float:
    """Return the RMS from which on it is voice."""
    return float(window_rms(wave).max()) * 10 ** (-VOICE_BELOW_LOUDEST_DB / 20)


def window_rms(wave: Wave, window_samples: int = WINDOW_SAMPLES) -> Wave:
    """Return the RMS of every window of that many samples, one starting at each sample."""
    energy = np.concatenate(([0.0], np.cumsum(wave**2)))
    # A sum of squares that should be 0 may come out a little below it.
    mean_squares = np.maximum(energy[window_samples:] - energy[:-window_samples], 0) / window_samples
    rms: Wave = np.sqrt(mean_squares)
    return rms
