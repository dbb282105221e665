"""SDP: offers of the official client, the answers to them, and text that is no offer."""

import re

import pytest
from hypothesis import given
from tests.net.mutations import captures, fuzz, hostile_text

from pressroom_host.webrtc.sdp import (
    AnsweredSection,
    SdpError,
    SentTrack,
    Transport,
    parse_offer,
    write_answer,
)

OFFERS = {name: (captures("sdp", name)[0]).decode() for name in ("join.sdp", "publish.sdp", "unpublish-second.sdp")}
TRANSPORT = Transport("127.0.0.1", 50000, "ufragabc", "p" * 24, ("sha-256", "AA:" * 31 + "AA"))


def test_the_offer_of_a_joining_client_has_three_sections_to_receive_and_data():
    offer = parse_offer(OFFERS["join.sdp"])
    assert [section.kind for section in offer.sections] == ["audio"] * 3 + ["video"] * 3 + ["application"]
    assert [section.direction for section in offer.sections[:3]] == ["recvonly"] * 3
    assert all(section.has_opus and section.payload_type == 111 for section in offer.sections[:3])
    assert offer.sctp_port == 5000
    assert offer.max_message_bytes == 262_144
    assert [algorithm for algorithm, _ in offer.fingerprints] == ["sha-256"]


def test_a_published_track_is_named_with_its_ssrc():
    sending = [section for section in parse_offer(OFFERS["publish.sdp"]).sections if section.direction == "sendonly"]
    assert len(sending) == 1
    assert re.fullmatch(r"[0-9a-f-]{36}", sending[0].track_id)
    assert len(sending[0].ssrcs) == 1


@pytest.mark.parametrize("name", OFFERS)
def test_an_answer_has_the_sections_of_its_offer_in_order(name):
    offer = parse_offer(OFFERS[name])
    answer = write_answer(TRANSPORT, 1, [AnsweredSection(section, "inactive") for section in offer.sections])
    assert re.findall(r"^a=mid:(.*)\r$", answer, re.MULTILINE) == [section.mid for section in offer.sections]
    assert answer.count("a=setup:passive\r\n") == len(offer.sections)
    assert answer.count("a=candidate:") == 1
    assert "extmap" not in answer


def test_a_sent_track_is_described_by_msid_and_ssrc():
    section = parse_offer(OFFERS["join.sdp"]).sections[0]
    sent = SentTrack(ssrc=77, stream_id="PA_a|TR_b", track_id="TR_b")
    answer = write_answer(TRANSPORT, 3, [AnsweredSection(section, "sendonly", sent)])
    assert "o=- 1 3 IN IP4 127.0.0.1\r\n" in answer
    assert "a=sendonly\r\n" in answer
    assert "a=msid:PA_a|TR_b TR_b\r\n" in answer
    assert "a=ssrc:77 msid:PA_a|TR_b TR_b\r\n" in answer


def test_opus_is_found_under_any_payload_type():
    text = OFFERS["join.sdp"].replace("RTP/SAVPF 111 63", "RTP/SAVPF 63 99").replace("111 opus", "99 opus")
    assert parse_offer(text).sections[0].payload_type == 99


def test_a_section_without_opus_is_parsed_and_not_chosen():
    text = OFFERS["join.sdp"].replace("opus/48000/2", "speex/16000")
    assert not parse_offer(text).sections[0].has_opus


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("a=setup:actpass", "a=setup:passive", "setup"),
        ("a=fingerprint:sha-256 ", "a=fingerprint:sha-256 zz", "fingerprint"),
        ("a=mid:1\r\n", "a=mid:0\r\n", "same mid"),
        ("a=mid:1\r\n", "a=mid:a b\r\n", "mid is"),
        ("a=ice-ufrag:", "a=ice-ufrag:%", "ice-ufrag"),
        ("m=audio 9 UDP/TLS/RTP/SAVPF 111", "m=audio 9 UDP/TLS/RTP/SAVPF 999", "payload type"),
        ("m=audio 9 ", "m=text 9 ", "kind"),
        ("m=", "x=", "no m= section"),
    ],
)
def test_an_offer_that_cannot_be_answered_says_why(old, new, what):
    with pytest.raises(SdpError, match=what):
        parse_offer(OFFERS["join.sdp"].replace(old, new))


def test_nothing_of_an_offer_is_unbounded():
    for text in ("m=audio 9 x 0\r\na=mid:1\r\n" * 300, "a=" + "x" * 5_000, "v=0\r\n" * 60_000):
        with pytest.raises(SdpError):
            parse_offer(text)


@fuzz
@given(text=hostile_text(captures("sdp", ".sdp")))
def test_hostile_text_is_an_sdp_error_or_an_offer_whose_answer_has_only_clean_lines(text):
    try:
        offer = parse_offer(text)
    except SdpError:
        return
    answer = write_answer(TRANSPORT, 1, [AnsweredSection(section, "inactive") for section in offer.sections])
    assert all(re.fullmatch(r"[a-z]=[ -~]*", line) for line in answer.split("\r\n")[:-1])
    assert len(answer) < 2_000 + 600 * len(offer.sections)
