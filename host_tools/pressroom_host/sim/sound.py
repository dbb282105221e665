"""What a simulated board hears and plays, as arrays of 16-bit samples at the board's rate."""

import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pressroom_host.errors import UserError

RATE_HZ = 16_000

Samples = npt.NDArray[np.int16]


class SoundUnusable(UserError):
    """A recording cannot be played into a microphone."""


@dataclass(frozen=True)
class Recording:
    """What the loudspeaker has played since the board started it, silence included.

    started_at_s: when sample 0 was played, on the clock of time.monotonic().
    rate_hz: of the board's own crystal: RATE_HZ, off by its clock_ppm.
    """

    samples: Samples
    started_at_s: float
    rate_hz: float

    def time_of(self, sample: int) -> float:
        """Return when that sample was played, on the clock of time.monotonic()."""
        return self.started_at_s + sample / self.rate_hz

    def sample_at(self, at_s: float) -> int:
        """Return which sample was played then; negative if it was before the first."""
        return int((at_s - self.started_at_s) * self.rate_hz // 1)

    def write_wav(self, path: Path) -> None:
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
            file.writeframes(self.samples.tobytes())


def read_wav(path: Path) -> Samples:
    """Return the samples of a WAV file. Raises SoundUnusable unless it is 16 kHz, mono, 16 bit."""
    try:
        with wave.open(str(path), "rb") as file:
            found = (file.getframerate(), file.getnchannels(), 8 * file.getsampwidth())
            data = file.readframes(file.getnframes())
    except FileNotFoundError:
        raise SoundUnusable(f"{path} does not exist; name a WAV file") from None
    except (OSError, wave.Error, EOFError, RuntimeError) as error:  # RuntimeError: a length that lies
        raise SoundUnusable(f"{path} is not a WAV file that can be read ({error or 'it is cut off'})") from None
    if found != (RATE_HZ, 1, 16):
        raise SoundUnusable(
            f"{path} has {found[0]} Hz, {found[1]} channels, {found[2]} bits; the microphone hears {RATE_HZ} Hz, mono, "
            f"16 bits: convert it, for instance with: ffmpeg -i IN -ar {RATE_HZ} -ac 1 -sample_fmt s16 OUT.wav"
        )
    return np.frombuffer(data[: len(data) // 2 * 2], dtype="<i2")


def i2s_words(samples: Samples, shift: int) -> bytes:
    """Return samples as a microphone's I2S words: 24 bits, left-justified in 32.

    shift: how far a sample stands from the word's low end: 16 is the loudest that fits, 8 the quietest without loss.
    """
    return (samples.astype("<i4") << shift).tobytes()
