"""Forwarding: what of a packet reaches the subscribers, byte for byte."""

from hypothesis import given
from livekit.protocol import models
from tests.net.mutations import fuzz, hostile

from pressroom_host.room.tracks import PublishedTrack

SSRC = 0xAABBCCDD
PLAIN = bytes.fromhex("806f12340000040001020304") + b"opus"


def track(payload_type: int = 111) -> tuple[PublishedTrack, list[bytes]]:
    published = PublishedTrack(None, models.TrackInfo(sid="TR_1"), SSRC)
    published.set_payload_type(payload_type)
    out: list[bytes] = []
    published.add_sink(out.append)
    return published, out


def test_only_the_ssrc_of_a_plain_packet_changes():
    published, out = track()
    published.forward(PLAIN)
    assert out == [bytes.fromhex("806f123400000400aabbccdd") + b"opus"]


def test_the_marker_is_kept():
    published, out = track()
    published.forward(b"\x80\xef" + PLAIN[2:])
    assert out[0][:2] == b"\x80\xef"


def test_the_publishers_payload_type_becomes_the_rooms_and_no_other_passes():
    published, out = track(payload_type=96)
    published.forward(b"\x80\x60" + PLAIN[2:])
    published.forward(PLAIN)
    assert [packet[1] for packet in out] == [111]
    assert published.n_malformed == 1


def test_csrcs_extension_and_padding_are_removed():
    published, out = track()
    csrcs, extension, padding = bytes(8), bytes.fromhex("bede000110ff0000"), b"\x00\x00\x03"
    published.forward(b"\xb2" + PLAIN[1:12] + csrcs + extension + b"opus" + padding)
    published.forward(PLAIN)
    assert out[0] == out[1]


def test_lengths_that_do_not_hold_are_counted_and_dropped():
    published, out = track()
    for packet in (
        b"",
        PLAIN[:12],
        b"\x40" + PLAIN[1:],  # version 1
        b"\x8f" + PLAIN[1:],  # 15 CSRCs
        b"\x90" + PLAIN[1:12] + b"\xbe\xde\xff\xff",  # an extension of 256 KiB
        b"\xa0" + PLAIN[1:12] + b"\x05\x05",  # more padding than payload
        b"\xa0" + PLAIN[1:12] + b"op\x00",  # no padding where there must be some
    ):
        published.forward(packet)
    assert out == []
    assert published.n_malformed == 7


def test_a_sink_that_is_removed_gets_nothing_more():
    published, out = track()
    other: list[bytes] = []
    published.add_sink(other.append)
    published.remove_sink(other.append)
    published.remove_sink(other.append)
    published.forward(PLAIN)
    assert (len(out), len(other)) == (1, 0)


@fuzz
@given(packet=hostile([PLAIN, b"\xb2" + PLAIN[1:12] + bytes(8) + bytes.fromhex("bede000110ff0000") + b"opus\x00\x02"]))
def test_a_hostile_packet_is_dropped_or_comes_out_plain(packet):
    published, out = track()
    published.forward(packet)
    assert published.n_packets + published.n_malformed == 1
    assert all(sent[:2] in (b"\x80\x6f", b"\x80\xef") and sent[8:12] == b"\xaa\xbb\xcc\xdd" for sent in out)
    assert all(12 < len(sent) <= len(packet) for sent in out)
