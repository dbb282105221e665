"""WAV files for the simulated microphone: the good ones are read as they are, the bad ones named."""

import os
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pressroom_host.sim.sound import RATE_HZ, Recording, SoundUnusable, i2s_words, read_wav

N_EXAMPLES = 100_000 if os.environ.get("PRESSROOM_LONG") == "1" else 1_000
SAMPLES = np.arange(-800, 800, dtype=np.int16)


@pytest.fixture(scope="session")
def good_wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "good.wav"
    Recording(SAMPLES, 0.0, RATE_HZ).write_wav(path)
    return path


def test_what_was_written_is_read(good_wav: Path):
    assert np.array_equal(read_wav(good_wav), SAMPLES)


@pytest.mark.parametrize(("rate_hz", "n_channels", "n_bytes"), [(8_000, 1, 2), (16_000, 2, 2), (16_000, 1, 1)])
def test_another_format_is_named_with_the_right_one(rate_hz: int, n_channels: int, n_bytes: int, tmp_path: Path):
    with wave.open(str(tmp_path / "other.wav"), "wb") as file:
        file.setparams((n_channels, n_bytes, rate_hz, 0, "NONE", ""))
        file.writeframes(bytes(96))
    with pytest.raises(
        SoundUnusable, match=f"{rate_hz} Hz, {n_channels} channels, {8 * n_bytes} bits; .* 16000 Hz, mono"
    ):
        read_wav(tmp_path / "other.wav")


def test_a_folder_is_no_sound(tmp_path: Path):
    with pytest.raises(SoundUnusable):
        read_wav(tmp_path)


@pytest.mark.timeout(1_200)
@settings(max_examples=N_EXAMPLES, deadline=1_000)
@given(data=st.data())
def test_a_damaged_file_is_read_or_named(good_wav: Path, data: st.DataObject):
    wav = bytearray(good_wav.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        wav[data.draw(st.integers(0, 60))] = data.draw(st.integers(0, 255))
    damaged = good_wav.with_name("damaged.wav")
    damaged.write_bytes(wav[: data.draw(st.integers(0, len(wav)))])
    try:
        samples = read_wav(damaged)
    except SoundUnusable:
        return
    assert len(samples) <= len(wav)


@pytest.mark.timeout(1_200)
@settings(max_examples=N_EXAMPLES, deadline=1_000)
@given(noise=st.binary(max_size=200))
def test_noise_is_no_sound(good_wav: Path, noise: bytes):
    path = good_wav.with_name("noise.wav")
    path.write_bytes(noise)
    with pytest.raises(SoundUnusable):
        read_wav(path)


@pytest.mark.parametrize("shift", [8, 12, 16])
def test_words_hold_the_samples_left_of_eight_zero_bits(shift: int):
    extremes = np.array([-32768, -1, 0, 1, 32767], np.int16)
    words = np.frombuffer(i2s_words(extremes, shift), dtype="<i4")
    assert not (words & 0xFF).any()
    assert np.array_equal(words >> shift, extremes)
