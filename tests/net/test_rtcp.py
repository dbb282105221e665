"""RTCP: bytes laid out by hand as in RFC 3550 section 6.4 and RFC 4585 section 6.2, aiortc as the judge, and noise."""

import pytest
from aiortc.rtp import (
    RtcpByePacket,
    RtcpPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSdesPacket,
    RtcpSenderInfo,
    RtcpSrPacket,
)
from hypothesis import given
from hypothesis import strategies as st
from tests.net.mutations import fuzz, hostile

from pressroom_host.webrtc.rtcp import (
    Goodbye,
    Nack,
    ReceptionBlock,
    RtcpError,
    SenderReport,
    ntp_time,
    parse,
    write_nack,
    write_report,
)

OURS, THEIRS = 0x01020304, 0xA1A2A3A4
# 3 of 256 lost since the last report, 5 in all; highest 0x00010007; the rest in the order of section 6.4.1.
BLOCK = ReceptionBlock(THEIRS, 3, 5, 0x00010007, 0x20, 0x30313233, 0x8000)
BLOCK_BYTES = bytes.fromhex("a1a2a3a4 03000005 00010007 00000020 30313233 00008000")
SENDER_INFO = bytes.fromhex("01020304 83aa7e80 40000000 00000abc 00000064 00001f40")  # 1970, and a quarter of a second
SENDER_REPORT = bytes.fromhex("81c8000c") + SENDER_INFO + BLOCK_BYTES
RECEIVER_REPORT = bytes.fromhex("81c90007 01020304") + BLOCK_BYTES
CNAME = bytes.fromhex("81ca0004 01020304 0109") + b"pressroom" + bytes(1)
NACK = bytes.fromhex("81cd0003 01020304 a1a2a3a4 00648001")  # 100, 101 and 116
BYE = bytes.fromhex("82cb0003 01020304 a1a2a3a4 03") + b"bye"  # with a reason
PICTURE_LOSS = bytes.fromhex("81ce0002 01020304 a1a2a3a4")
NEVER_OURS = bytes.fromhex("80cc0002 01020304") + b"test"  # APP
PADDED_NACK = bytes.fromhex("a1cd0004 01020304 a1a2a3a4 00640000 00000004")
SEEDS = [
    SENDER_REPORT + CNAME,
    RECEIVER_REPORT + CNAME,
    NACK,
    PADDED_NACK,
    RECEIVER_REPORT + BYE + PICTURE_LOSS + NEVER_OURS,
]


def of_aiortc(packet):
    return RtcpPacket.parse(packet)


def test_a_sender_report_is_laid_out_as_the_rfc_draws_it():
    assert write_report((OURS, 0.25, 0xABC, 100, 8_000), OURS, "pressroom", [BLOCK]) == SENDER_REPORT + CNAME


def test_a_receiver_report_is_laid_out_as_the_rfc_draws_it():
    assert write_report(None, OURS, "pressroom", [BLOCK]) == RECEIVER_REPORT + CNAME


def test_a_sender_report_says_whose_it_is_and_when_and_what_its_writer_heard():
    assert parse(SENDER_REPORT + CNAME) == [SenderReport(OURS, 0x7E804000), BLOCK]


def test_a_receiver_report_is_its_blocks():
    assert parse(RECEIVER_REPORT) == [BLOCK]


def test_another_implementation_reads_our_sender_report():
    report, sdes = of_aiortc(write_report((OURS, 0.25, 0xABC, 100, 8_000), OURS, "pressroom", [BLOCK]))
    assert isinstance(report, RtcpSrPacket) and isinstance(sdes, RtcpSdesPacket)
    assert report.ssrc == OURS
    assert report.sender_info == RtcpSenderInfo(0x83AA7E80_40000000, 0xABC, 100, 8_000)
    assert report.reports == [RtcpReceiverInfo(THEIRS, 3, 5, 0x00010007, 0x20, 0x30313233, 0x8000)]


@pytest.mark.parametrize("name", ["", "a", "ab", "abc", "abcd", "x" * 255])
def test_a_cname_of_any_length_fills_whole_words(name):
    packet = write_report(None, OURS, name, [])
    assert not len(packet) % 4
    report, sdes = of_aiortc(packet)
    assert isinstance(report, RtcpRrPacket) and not report.reports
    assert [(chunk.ssrc, chunk.items) for chunk in sdes.chunks] == [(OURS, [(1, name.encode())])]


def test_a_cname_too_long_for_its_length_byte_is_cut():
    _, sdes = of_aiortc(write_report(None, OURS, "x" * 300, []))
    assert sdes.chunks[0].items == [(1, b"x" * 255)]


def test_a_report_has_31_blocks_at_most():
    report, _ = of_aiortc(write_report(None, OURS, "x", [BLOCK] * 40))
    assert len(report.reports) == 31


@pytest.mark.parametrize(
    ("n_lost", "written"),
    [(0, 0), (-1, -1), (-300, -300), (2**23 - 1, 2**23 - 1), (2**23, 2**23 - 1), (-(2**23) - 7, -(2**23))],
)
def test_losses_are_signed_and_kept_within_24_bits(n_lost, written):
    packet = write_report(None, OURS, "x", [ReceptionBlock(THEIRS, 255, n_lost, 0, 0)])
    assert of_aiortc(packet)[0].reports[0].packets_lost == written
    (block,) = parse(packet)
    assert (block.fraction_lost, block.n_lost) == (255, written)


@given(
    blocks=st.lists(
        st.builds(
            ReceptionBlock,
            st.integers(0, 2**32 - 1),
            st.integers(0, 255),
            st.integers(-(2**23), 2**23 - 1),
            *[st.integers(0, 2**32 - 1)] * 4,
        ),
        max_size=31,
    )
)
def test_what_is_written_is_what_is_read(blocks):
    assert parse(write_report(None, OURS, "pressroom", blocks)) == blocks


@pytest.mark.parametrize(
    ("seqs", "entries"),
    [
        ([100], "0064 0000"),
        ([100, 101], "0064 0001"),
        ([100, 116], "0064 8000"),
        ([100, 117], "0064 0000 0075 0000"),
        ([100, 101, 116, 117], "0064 8001 0075 0000"),
        (list(range(100, 117)), "0064 ffff"),
        ([65_535, 0, 15], "ffff 8001"),
        ([65_520, 65_535, 0], "fff0 c000"),
        ([100, 100], "0064 0000 0064 0000"),
    ],
)
def test_a_nack_has_one_entry_for_17_sequence_numbers_across_the_wrap(seqs, entries):
    packet = write_nack(OURS, THEIRS, seqs)
    assert packet[12:] == bytes.fromhex(entries)
    assert parse(packet) == [Nack(THEIRS, tuple(seqs))]
    (judged,) = of_aiortc(packet)
    assert isinstance(judged, RtcpRtpfbPacket)
    assert (judged.fmt, judged.ssrc, judged.media_ssrc) == (1, OURS, THEIRS)
    assert [seq & 0xFFFF for seq in judged.lost] == seqs  # it does not wrap them itself


@given(start=st.integers(0, 65_535), steps=st.lists(st.integers(1, 40), max_size=64))
def test_a_nack_asks_for_what_it_was_given(start, steps):
    seqs = [start]
    for step in steps:
        seqs.append((seqs[-1] + step) & 0xFFFF)
    assert parse(write_nack(OURS, THEIRS, seqs)) == [Nack(THEIRS, tuple(seqs))]


def test_a_nack_of_another_implementation_is_read():
    lost = [65_518, 65_519, 65_534, 65_535]
    assert parse(bytes(RtcpRtpfbPacket(fmt=1, ssrc=OURS, media_ssrc=THEIRS, lost=lost))) == [Nack(THEIRS, tuple(lost))]


def test_padding_of_a_nack_asks_for_nothing():
    assert parse(PADDED_NACK) == [Nack(THEIRS, (100,))]


def test_padding_longer_than_its_packet_is_refused():
    with pytest.raises(RtcpError, match="padding"):
        parse(PADDED_NACK[:-1] + b"\x11")


def test_a_goodbye_names_its_streams():
    assert parse(BYE) == [Goodbye((OURS, THEIRS))]
    assert parse(bytes(RtcpByePacket(sources=[THEIRS]))) == [Goodbye((THEIRS,))]


def test_kinds_that_are_not_known_are_stepped_over():
    assert parse(PICTURE_LOSS + NEVER_OURS + CNAME + RECEIVER_REPORT + BYE) == [BLOCK, Goodbye((OURS, THEIRS))]


@pytest.mark.parametrize(
    ("time_s", "seconds", "fraction"),
    [
        (0, 2_208_988_800, 0),  # RFC 868: the seconds from 1900 to 1970
        (0.5, 2_208_988_800, 2**31),
        (1_000_000_000, 3_208_988_800, 0),
        (2_085_978_496, 0, 0),  # the era ends in February 2036
    ],
)
def test_ntp_counts_from_1900_and_wraps_in_2036(time_s, seconds, fraction):
    assert ntp_time(time_s) == seconds << 32 | fraction


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        RECEIVER_REPORT[:3],
        RECEIVER_REPORT[:-1],
        RECEIVER_REPORT + b"\x80",
        b"\x41" + RECEIVER_REPORT[1:],  # version 1
        b"\x82" + RECEIVER_REPORT[1:],  # two blocks said, one there
        b"\x82" + SENDER_REPORT[1:],
        bytes.fromhex("80c80005") + SENDER_INFO[:20],
        bytes.fromhex("81cd0001 01020304"),
        bytes.fromhex("82cb0001 01020304"),
        bytes.fromhex("a0c90000"),
        NACK * 100,  # 1,600 bytes
    ],
)
def test_a_packet_whose_lengths_do_not_hold_is_refused(packet):
    with pytest.raises(RtcpError):
        parse(packet)


@fuzz
@given(packet=hostile(SEEDS))
def test_a_hostile_packet_is_an_rtcp_error_or_items_within_their_ranges(packet):
    try:
        items = parse(packet)
    except RtcpError:
        return
    assert len(items) <= len(packet) // 4
    for item in items:
        if isinstance(item, Nack):
            assert len(item.seqs) <= 17 * len(packet) // 4
            assert all(0 <= seq <= 0xFFFF for seq in item.seqs)
        if isinstance(item, ReceptionBlock):
            assert -(2**23) <= item.n_lost < 2**23


def test_every_cut_of_a_real_packet_is_an_rtcp_error_or_its_beginning():
    whole = parse(SENDER_REPORT + NACK + BYE)
    for end in range(len(SENDER_REPORT + NACK + BYE)):
        try:
            items = parse((SENDER_REPORT + NACK + BYE)[:end])
        except RtcpError:
            continue
        assert items == whole[: len(items)]
        assert end in (len(SENDER_REPORT), len(SENDER_REPORT + NACK))
