"""Streams that go out: their numbers never go back, whatever the source does; what is asked for again comes again."""

import struct

import pytest
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpParameters
from aiortc.rtp import HeaderExtensionsMap, RtpPacket
from hypothesis import given
from hypothesis import strategies as st
from tests.net.mutations import fuzz

from pressroom_host.webrtc.send_stream import AUDIO_LEVEL_ID, SendStream

SSRC = 0x12345678
PAYLOAD_TYPE = 111
FRAME_TICKS = 960


def rtp(seq: int, timestamp: int, payload: bytes = b"opus", marker: bool = False) -> bytes:
    return struct.pack(">BBHII", 0x80, 0x80 if marker else 0, seq & 0xFFFF, timestamp & 0xFFFFFFFF, 99) + payload


def parsed(packet: bytes) -> RtpPacket:
    """Read a packet as somebody else does."""
    extensions = HeaderExtensionsMap()
    uri = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
    extensions.configure(
        RTCRtpParameters(headerExtensions=[RTCRtpHeaderExtensionParameters(id=AUDIO_LEVEL_ID, uri=uri)])
    )
    return RtpPacket.parse(packet, extensions)


@pytest.fixture
def sent() -> list[bytes]:
    return []


@pytest.fixture
def stream(sent: list[bytes]) -> SendStream:
    return SendStream(SSRC, PAYLOAD_TYPE, sent.append)


def test_a_packet_goes_out_as_it_came_under_its_own_ssrc_and_with_its_level(stream, sent):
    stream.send_rtp(rtp(7, 960, b"payload", marker=True), 42, 0.0)
    packet = parsed(sent[0])
    assert (packet.ssrc, packet.payload_type, packet.marker) == (SSRC, PAYLOAD_TYPE, 1)
    assert (packet.sequence_number, packet.timestamp, packet.payload) == (7, 960, b"payload")
    assert packet.extensions.audio_level == (False, 42)
    assert (stream.n_packets, stream.n_bytes) == (1, 7)


def test_late_packets_of_the_same_run_keep_their_numbers(stream, sent):
    for number in (0, 1, 3, 2, 4):
        stream.send_rtp(rtp(number, 960 * number), 30, 0.02 * number)
    assert [parsed(packet).sequence_number for packet in sent] == [0, 1, 3, 2, 4]
    assert stream.n_restarts == 0


def test_numbers_go_round(stream, sent):
    for number in range(4):
        stream.send_rtp(rtp(65_534 + number, 2**32 - 1_920 + 960 * number), 30, 0.02 * number)
    assert [parsed(packet).sequence_number for packet in sent] == [65_534, 65_535, 0, 1]
    assert [parsed(packet).timestamp for packet in sent] == [2**32 - 1_920, 2**32 - 960, 0, 960]
    assert stream.n_restarts == 0


def test_a_source_that_begins_anew_goes_on_from_the_last_number_and_the_time_between(stream, sent):
    stream.send_rtp(rtp(40_000, 3_000_000_000), 30, 0.0)
    stream.send_rtp(rtp(7, 5_000), 30, 2.0)
    first, second = (parsed(packet) for packet in sent)
    assert second.sequence_number == first.sequence_number + 1
    assert second.timestamp == first.timestamp + 96_000
    stream.send_rtp(rtp(8, 5_960), 30, 2.02)
    assert parsed(sent[2]).timestamp == second.timestamp + FRAME_TICKS
    assert stream.n_restarts == 1


def test_what_is_asked_for_comes_again_as_it_was_and_what_is_gone_does_not(stream, sent):
    for number in range(300):
        stream.send_rtp(rtp(number, 960 * number, b"%d" % number), 30, 0.02 * number)
    before = list(sent)
    stream.resend([299, 100, 99, 5, 400])
    assert sent[300:] == [before[299], before[100]]
    assert stream.n_resent == 2


def test_a_report_knows_the_time_of_now(stream):
    stream.send_rtp(rtp(1, 1_000), 30, 10.0)
    assert stream.rtp_time(10.5) == 25_000


@fuzz
@given(
    st.lists(
        st.tuples(st.integers(0, 65_535), st.integers(0, 2**32 - 1), st.integers(1, 40), st.floats(0, 5)), max_size=8
    )
)
def test_whatever_the_source_does_numbers_never_go_back(runs):
    sent: list[bytes] = []
    stream, now_s = SendStream(SSRC, PAYLOAD_TYPE, sent.append), 0.0
    newest: tuple[int, int] | None = None
    for seq, timestamp, n_packets, pause_s in runs:
        now_s += pause_s
        for number in range(n_packets):
            n_before = stream._last_seq, stream._last_timestamp
            stream.send_rtp(rtp(seq + number, timestamp + 960 * number), 30, now_s)
            now_s += 0.02
            last = stream._last_seq, stream._last_timestamp
            if newest is not None and last != n_before:
                assert 0 < (last[0] - newest[0]) & 0xFFFF < 0x8000
                assert (last[1] - newest[1]) & 0xFFFFFFFF < 2**31
            newest = last
