"""The demo's line about the codec is what the gateway counted."""

from pressroom_host.demo.codec_line import as_json, line
from pressroom_host.gateway.stats import SessionStats


def told(codec_up, codec_dn, **counters):
    return line(as_json(codec_up, codec_dn, SessionStats(**counters)))


def test_opus_that_went_up_as_it_came_and_down_encoded_anew():
    text = told("opus", "opus", n_up_passed=100, n_up_bytes=8_000, n_dn_transcoded=90)
    assert text == "opus 32 kbit/s: up passed through, down transcoded"


def test_a_spurt_of_a_talker_that_the_device_could_decode():
    text = told("opus", "opus", n_up_passed=10, n_up_bytes=600, n_dn_passed=30)
    assert text == "opus 24 kbit/s: up passed through, down passed through"


def test_both_in_one_conversation():
    text = told("opus", "opus", n_up_passed=10, n_up_bytes=800, n_dn_passed=30, n_dn_transcoded=10)
    assert text == "opus 32 kbit/s: up passed through, down 30 of 40 passed through"


def test_codecs_that_differ_and_a_direction_without_sound():
    text = told("l16", "opus", n_up_transcoded=10, n_up_bytes=6_400)
    assert text == "l16 256 kbit/s up: transcoded; opus down: nothing"
