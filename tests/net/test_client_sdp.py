"""SDP of a client, read by others: our own server, aiortc; and what servers answer, read by it."""

import pytest
from aiortc.sdp import SessionDescription
from hypothesis import given
from tests.net.mutations import fuzz, hostile_text
from tests.net.peers import Owner

from pressroom_host.webrtc.client_peer import ClientPeer
from pressroom_host.webrtc.client_sdp import ClientSection, RemoteSection, parse_remote, write_answer, write_offer
from pressroom_host.webrtc.sdp import AnsweredSection, SentTrack, Transport, parse_offer
from pressroom_host.webrtc.sdp import write_answer as write_server_answer
from pressroom_host.webrtc.sdp_lines import SdpError

SECTIONS = [
    ClientSection("r0", "recvonly"),
    ClientSection("p1", "sendonly", "TR_cid", 1_234),
    ClientSection("p2", "inactive"),
]
# What a LiveKit server 1.13.5 answers: data, a track it sends, one it takes. Credentials are of a session long over.
LIVEKIT_ANSWER = "\r\n".join(
    [
        "v=0",
        "o=- 1438484506734606959 1795611366 IN IP4 0.0.0.0",
        "s=-",
        "t=0 0",
        "a=msid-semantic:WMS *",
        "a=fingerprint:sha-256 " + ":".join(["C8"] * 32),
        "a=group:BUNDLE data r0 p1",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "c=IN IP4 0.0.0.0",
        "a=setup:active",
        "a=mid:data",
        "a=sendrecv",
        "a=sctp-port:5000",
        "a=max-message-size:65535",
        "a=ice-ufrag:cMefmtFjTVbhqbHb",
        "a=ice-pwd:nfLPPTWQONUwekVOsBHHjeOvHVlIRHgH",
        "a=candidate:2878742611 1 udp 2130706431 127.0.0.1 34102 typ host ufrag cMefmtFjTVbhqbHb",
        "a=end-of-candidates",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "c=IN IP4 0.0.0.0",
        "a=setup:active",
        "a=mid:r0",
        "a=rtcp-mux",
        "a=rtpmap:111 opus/48000/2",
        "a=ssrc:99 cname:PA_x|TR_y",
        "a=ssrc:99 msid:PA_x|TR_y TR_y",
        "a=sendonly",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "c=IN IP4 0.0.0.0",
        "a=setup:active",
        "a=mid:p1",
        "a=rtcp-mux",
        "a=rtpmap:111 opus/48000/2",
        "a=recvonly",
        "",
    ]
)


@pytest.fixture
async def peer():
    made = ClientPeer(Owner(), has_loopback=True)
    await made.gather()
    yield made
    await made.close()


async def test_our_server_reads_the_offer(peer):
    offer = parse_offer(write_offer(peer, 1, 1, SECTIONS))
    assert offer.ice_ufrag == peer.ice.ufrag
    assert offer.fingerprints == (peer.fingerprint,)
    assert (offer.sctp_port, offer.max_message_bytes) == (5_000, 262_144)
    assert [(section.mid, section.direction) for section in offer.sections] == [
        ("data", "sendrecv"),
        ("r0", "recvonly"),
        ("p1", "sendonly"),
        ("p2", "inactive"),
    ]
    sent = offer.sections[2]
    assert (sent.track_id, sent.ssrcs, sent.payload_type, sent.has_opus) == ("TR_cid", (1_234,), 111, True)


async def test_aiortc_reads_the_offer(peer):
    description = SessionDescription.parse(write_offer(peer, 1, 2, SECTIONS))
    assert [media.rtp.muxId for media in description.media] == ["data", "r0", "p1", "p2"]
    audio = description.media[2]
    assert [codec.name for codec in audio.rtp.codecs] == ["opus"]
    assert [feedback.type for feedback in audio.rtp.codecs[0].rtcpFeedback] == ["nack"]
    assert audio.rtp.headerExtensions[0].uri == "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
    assert len(description.media[0].ice_candidates) == len(peer.ice.candidates()) > 0


def test_what_a_livekit_server_answers_is_read():
    description = parse_remote(LIVEKIT_ANSWER)
    end = description.end
    assert (end.ice_ufrag, end.ice_pwd) == ("cMefmtFjTVbhqbHb", "nfLPPTWQONUwekVOsBHHjeOvHVlIRHgH")
    assert (end.is_lite, end.is_dtls_client, end.sctp_port, end.max_message_bytes) == (False, True, 5_000, 65_535)
    assert len(end.candidates) == 1
    assert end.has_all_candidates
    assert description.sections[1:] == (
        RemoteSection("audio", "r0", "sendonly", (99,)),
        RemoteSection("audio", "p1", "recvonly", ()),
    )


async def test_what_our_server_answers_is_read(peer):
    offer = parse_offer(write_offer(peer, 1, 1, SECTIONS))
    transport = Transport("127.0.0.1", 7_882, "ufraglong", "p" * 24, ("sha-256", ":".join(["AB"] * 32)))
    sections = [
        AnsweredSection(offer.sections[0], "sendrecv"),
        AnsweredSection(offer.sections[1], "sendonly", SentTrack(7, "PA_a|TR_b", "TR_b")),
        AnsweredSection(offer.sections[2], "recvonly"),
        AnsweredSection(offer.sections[3], "inactive"),
    ]
    description = parse_remote(write_server_answer(transport, 1, sections))
    assert description.end.is_lite
    assert not description.end.is_dtls_client
    assert description.sections[1] == RemoteSection("audio", "r0", "sendonly", (7,))


async def test_an_offer_of_the_server_is_answered_section_by_section(peer):
    offered = (
        RemoteSection("application", "0", "sendrecv", ()),
        RemoteSection("audio", "1", "sendonly", (9,)),
        RemoteSection("video", "2", "sendonly", (10,)),
        RemoteSection("audio", "3", "inactive", ()),
    )
    text = write_answer(peer, 1, 1, offered)
    answered = parse_remote(text)
    assert [(section.kind, section.mid, section.direction) for section in answered.sections] == [
        ("application", "0", "sendrecv"),
        ("audio", "1", "recvonly"),
        ("video", "2", "inactive"),
        ("audio", "3", "inactive"),
    ]
    assert "m=video 0 " in text


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (("a=setup:active", "a=setup:holdconn"), "setup"),
        (("a=ice-ufrag:cMefmtFjTVbhqbHb", "a=ice-ufrag:?"), "ice-ufrag"),
        (("nfLPPTWQONUwekVOsBHHjeOvHVlIRHgH", "short"), "ice-pwd"),
        (("a=fingerprint:sha-256 C8", "a=nothing:C8"), "fingerprint"),
        (("a=mid:r0", "a=mid:"), "mid"),
        (("a=sctp-port:5000", "a=sctp-port:99999"), "sctp-port"),
        (("a=ssrc:99 cname", "a=ssrc:x cname"), "ssrc"),
        (("m=", "x="), "no m= section"),
    ],
)
def test_the_line_that_cannot_be_used_is_named(change, what):
    with pytest.raises(SdpError, match=what):
        parse_remote(LIVEKIT_ANSWER.replace(*change))


@fuzz
@given(text=hostile_text([LIVEKIT_ANSWER.encode()]))
def test_hostile_text_is_an_sdp_error_or_a_description(text):
    try:
        parse_remote(text)
    except SdpError:
        return
