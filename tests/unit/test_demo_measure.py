"""The ear of the demo must hear what is wrong: every rule is broken here by as little as it forbids."""

import numpy as np
import opuslib_next as opuslib
import pytest

from pressroom_host.demo.alignment import find_in
from pressroom_host.demo.measure import first_sample_back, judge
from pressroom_host.demo.speech import RATE_HZ, script

MS = RATE_HZ // 1000
SAID = {speech.name: speech.samples for speech in script()}


@pytest.fixture(params=SAID)
def said(request):
    return SAID[request.param]


def delayed(samples, n_ms):
    quiet = np.zeros(n_ms * MS, dtype=np.int16)
    return np.concatenate((quiet, samples, quiet))


def voiced_at(samples):
    """Return where 200 ms begin in which every 10 ms are loud."""
    levels = np.sqrt(np.convolve(samples.astype(float) ** 2, np.ones(10 * MS) / (10 * MS), "valid"))
    floors = np.array([levels[at : at + 200 * MS].min() for at in range(0, len(levels) - 200 * MS, MS)])
    return int(floors.argmax()) * MS


def through_opus(samples, *applications):
    for application in applications:
        encoder = opuslib.Encoder(RATE_HZ, 1, application)
        decoder = opuslib.Decoder(RATE_HZ, 1)
        whole = samples[: len(samples) // 320 * 320]
        frames = [encoder.encode(frame.tobytes(), 320) for frame in whole.reshape(-1, 320)]
        samples = np.frombuffer(b"".join(decoder.decode(frame, 320) for frame in frames), dtype=np.int16)
    return samples


def with_noise(samples, snr_db):
    noise = np.random.default_rng(7).standard_normal(len(samples))
    volume = np.sqrt(np.mean(samples.astype(float) ** 2)) * 10 ** (-snr_db / 20)
    return (samples + volume * noise).clip(-32768, 32767).astype(np.int16)


@pytest.mark.parametrize("delay_ms", [0, 1, 333, 2_000])
def test_a_delay_is_measured_to_the_sample(said, delay_ms):
    heard = delayed(said, delay_ms)
    assert find_in(heard.astype(float), said.astype(float)).at_sample == delay_ms * MS
    assert judge(said, heard).at_sample == delay_ms * MS
    assert judge(said, heard).reasons == ()


def test_the_first_sample_of_voice_is_found_where_it_is(said):
    at = first_sample_back(said, delayed(said, 400))
    assert 400 * MS <= at <= 410 * MS


def test_the_first_sample_back_is_none_where_the_first_100_ms_did_not_come_back(said):
    assert first_sample_back(said, delayed(said[150 * MS :], 400)) is None
    assert first_sample_back(said, np.zeros(RATE_HZ, dtype=np.int16)) is None


@pytest.mark.parametrize("volume", [0.05, 0.5, 2.0])
def test_volume_does_not_matter(said, volume):
    heard = (delayed(said, 100) * volume).clip(-32768, 32767).astype(np.int16)
    assert judge(said, heard).is_good


def test_two_passes_through_opus_are_still_what_was_said(said):
    padded = np.concatenate((said, np.zeros(600, dtype=np.int16)))
    heard = through_opus(padded, opuslib.APPLICATION_RESTRICTED_LOWDELAY, opuslib.APPLICATION_VOIP)
    judgement = judge(said, delayed(heard, 200))
    assert judgement.reasons == ()
    assert judgement.correlation_p10 > 0.8


def test_a_jitter_buffer_that_stretches_time_by_10_ms_does_no_harm(said):
    at = voiced_at(said)
    heard = np.concatenate((said[:at], said[at - 10 * MS :]))
    assert judge(said, delayed(heard, 100)).reasons == ()


def test_a_jitter_buffer_that_skips_10_ms_does_no_harm(said):
    at = voiced_at(said)
    heard = np.concatenate((said[:at], said[at + 10 * MS :]))
    assert judge(said, delayed(heard, 100)).reasons == ()


def test_a_jitter_buffer_that_catches_up_with_a_preroll_does_no_harm(said):
    at = 150 * MS
    pieces = [
        said[begin : begin + 90 * MS] for begin in range(at, at + 1_000 * MS, 100 * MS)
    ]  # 10 % faster for a second
    heard = np.concatenate((said[:at], *pieces, said[at + 1_000 * MS :]))
    assert judge(said, delayed(heard, 100)).reasons == ()


def test_a_frame_of_20_ms_may_be_missing(said):
    heard = said.copy()
    at = voiced_at(said) + 50 * MS
    heard[at : at + 20 * MS - 8] = 0
    assert judge(said, delayed(heard, 100)).reasons == ()


@pytest.mark.parametrize("hole_ms", [30, 40, 100])
def test_a_hole_in_the_voice_is_found_and_measured(said, hole_ms):
    heard = said.copy()
    at = voiced_at(said) + 50 * MS
    heard[at : at + hole_ms * MS] = 0
    judgement = judge(said, delayed(heard, 100))
    assert judgement.longest_hole_ms == pytest.approx(hole_ms, abs=15)
    assert any("hole" in reason for reason in judgement.reasons)


def test_silence_put_in_between_is_a_hole_too(said):
    at = voiced_at(said) + 80 * MS
    heard = np.concatenate((said[:at], np.zeros(60 * MS, dtype=np.int16), said[at:]))
    assert any("hole" in reason for reason in judge(said, delayed(heard, 100)).reasons)


def test_a_pause_that_was_made_longer_is_no_hole():
    said = SAID["go-forward"]
    at = 690 * MS  # between "forward" and "ten"
    assert np.abs(said[at - 10 * MS : at + 10 * MS]).max() < 110
    heard = np.concatenate((said[:at], np.zeros(60 * MS, dtype=np.int16), said[at:]))
    assert judge(said, delayed(heard, 100)).reasons == ()


@pytest.mark.parametrize("missing_ms", [160, 250, 500])
def test_what_was_left_out_at_once_is_a_hole(said, missing_ms):
    heard = np.concatenate((said[: 400 * MS], said[(400 + missing_ms) * MS :]))
    assert any("hole" in reason for reason in judge(said, delayed(heard, 100)).reasons)


@pytest.mark.parametrize("clipped_ms", [40, 100, 150])
def test_a_clipped_beginning_is_missed(said, clipped_ms):
    judgement = judge(said, delayed(said[clipped_ms * MS :], 300))
    assert not judgement.has_first
    assert "the first 100 ms are missing" in judgement.reasons
    assert judgement.has_last


@pytest.mark.parametrize("clipped_ms", [70, 100, 150])
def test_a_clipped_end_is_missed(said, clipped_ms):
    judgement = judge(said, delayed(said[: -clipped_ms * MS], 300))
    assert not judgement.has_last
    assert "the last 100 ms are missing" in judgement.reasons
    assert judgement.has_first


def test_noise_as_loud_as_the_voice_is_not_the_voice(said):
    assert not judge(said, with_noise(delayed(said, 100), -3)).is_good


def test_noise_far_below_the_voice_does_no_harm(said):
    assert judge(said, with_noise(delayed(said, 100), 40)).is_good


def test_another_recording_is_not_this_one(said):
    for other in SAID.values():
        if other is not said:
            judgement = judge(said, delayed(other, 100))
            assert judgement.correlation_p10 < 0.5
            assert not judgement.has_first
            assert not judgement.has_last


def test_the_recording_backwards_is_not_this_one(said):
    assert not judge(said, delayed(said[::-1], 100)).is_good


@pytest.mark.parametrize("n_samples", [0, 1, 100, RATE_HZ])
def test_silence_is_judged_and_never_good(said, n_samples):
    judgement = judge(said, np.zeros(n_samples, dtype=np.int16))
    assert not judgement.is_good
    assert (judgement.correlation_p10, judgement.has_first, judgement.has_last) == (0.0, False, False)


def test_nothing_can_be_found_in_less_than_it():
    assert find_in(np.ones(10), np.ones(11)).correlation == 0.0
    assert find_in(np.ones(10), np.ones(0)).correlation == 0.0
