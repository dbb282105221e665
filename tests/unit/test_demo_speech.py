import contextlib
import wave

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pressroom_host.demo import speech
from pressroom_host.demo.speech import RATE_HZ, NoVoice
from pressroom_host.sim.sound import SoundUnusable

MS = RATE_HZ // 1000


def write_wav(path, samples, rate_hz=RATE_HZ, n_channels=1):
    with wave.open(str(path), "wb") as file:
        file.setparams((n_channels, 2, rate_hz, 0, "NONE", ""))
        file.writeframes(samples.astype("<i2").tobytes())
    return path


def tone(n_ms, volume=8_000):
    return (volume * np.sin(np.arange(n_ms * MS) / 5)).astype(np.int16)


def silence(n_ms):
    return np.zeros(n_ms * MS, dtype=np.int16)


@pytest.mark.parametrize("said", speech.script(), ids=lambda said: said.name)
def test_voice_begins_within_10_ms_and_ends_within_20_ms_of_a_recording(said):
    rms = [
        np.sqrt(np.mean(said.samples[at : at + 20 * MS].astype(float) ** 2))
        for at in range(len(said.samples) - 20 * MS)
    ]
    with_voice = np.flatnonzero(np.array(rms) >= max(rms) / 10)  # 20 dB
    assert with_voice[0] <= 10 * MS
    assert len(said.samples) - (with_voice[-1] + 20 * MS) <= 20 * MS


def test_the_script_is_three_recordings_with_words():
    assert [said.name for said in speech.script()] == ["go-forward", "ill-disposed", "leisure-to-consider"]
    assert all(said.words and 1 < said.duration_s < 7 for said in speech.script())


def test_silence_around_voice_is_cut_off(tmp_path):
    samples = np.concatenate((silence(300), tone(1_500), silence(700)))
    said = speech.load(write_wav(tmp_path / "hello.wav", samples))
    assert said.name == "hello"
    assert 1_500 <= len(said.samples) / MS <= 1_560


def test_a_pause_between_words_stays(tmp_path):
    samples = np.concatenate((tone(800), silence(400), tone(800)))
    assert len(speech.load(write_wav(tmp_path / "pause.wav", samples)).samples) == len(samples)


@pytest.mark.parametrize(
    ("samples", "says"),
    [(silence(3_000), "silent"), (tone(400), "0.4 s"), (tone(31_000), "31.0 s"), (silence(0), "silent")],
)
def test_a_recording_without_enough_voice_is_refused_with_a_sentence(tmp_path, samples, says):
    with pytest.raises(NoVoice, match=says):
        speech.load(write_wav(tmp_path / "it.wav", samples))


def test_a_recording_of_another_rate_is_refused_with_the_command_that_converts_it(tmp_path):
    with pytest.raises(SoundUnusable, match=r"44100 Hz.*ffmpeg"):
        speech.load(write_wav(tmp_path / "cd.wav", tone(1_000), rate_hz=44_100))


def test_a_file_that_is_not_there_is_one_clear_line(tmp_path):
    with pytest.raises(SoundUnusable, match="does not exist"):
        speech.load(tmp_path / "nothing.wav")


@given(st.binary(max_size=200), st.integers(0, 300), st.integers(0, 7))
def test_a_damaged_wav_is_read_or_refused_by_name(tmp_path_factory, junk, cut, bit):
    folder = tmp_path_factory.getbasetemp()
    whole = bytearray(write_wav(folder / "whole.wav", tone(20)).read_bytes())
    whole[cut % 44] ^= 1 << bit
    for data in (junk, bytes(whole), bytes(whole[:cut])):
        path = folder / "damaged.wav"
        path.write_bytes(data)
        with contextlib.suppress(SoundUnusable, NoVoice):
            speech.load(path)
