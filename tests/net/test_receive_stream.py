"""Streams that come in: what is missing is asked for, three times at most; what is reported; what cannot grow."""

import random
import struct

from pressroom_host.webrtc.receive_stream import ReceiveStream

SSRC = 5


def rtp(seq: int, timestamp: int = 0) -> bytes:
    return struct.pack(">BBHII", 0x80, 111, seq & 0xFFFF, timestamp & 0xFFFFFFFF, SSRC) + b"."


def stream() -> tuple[ReceiveStream, list[int]]:
    heard: list[int] = []
    return ReceiveStream(SSRC, lambda packet: heard.append(int.from_bytes(packet[2:4], "big"))), heard


def test_packets_in_order_are_handed_on_and_nothing_is_missing():
    made, heard = stream()
    for seq in (65_534, 65_535, 0, 1):
        assert not made.packet_came(rtp(seq), 0.0)
    assert heard == [65_534, 65_535, 0, 1]
    assert made.due(1.0) == []


def test_a_hole_is_asked_for_at_once_and_twice_again_and_then_given_up():
    made, _ = stream()
    made.packet_came(rtp(10), 0.0)
    assert made.packet_came(rtp(13), 0.0)
    assert made.due(0.0) == [11, 12]
    assert made.due(0.01) == []
    assert made.due(0.02) == [11, 12]
    assert made.due(0.06) == [11, 12]
    assert made.due(0.07) == []
    assert made.has_missing
    made.due(0.2)
    assert not made.has_missing
    assert (made.n_asked, made.n_recovered) == (2, 0)


def test_what_comes_again_is_handed_on_and_not_asked_for_any_more():
    made, heard = stream()
    for seq in (10, 12, 11):
        made.packet_came(rtp(seq), 0.0)
    assert heard == [10, 12, 11]
    assert made.due(0.0) == []
    assert made.n_recovered == 1


def test_a_hole_over_the_end_of_the_numbers_is_seen():
    made, _ = stream()
    made.packet_came(rtp(65_535), 0.0)
    made.packet_came(rtp(2), 0.0)
    assert made.due(0.0) == [0, 1]


def test_a_stall_is_not_asked_for_in_whole():
    made, _ = stream()
    made.packet_came(rtp(0), 0.0)
    made.packet_came(rtp(500), 0.0)
    asked = made.due(0.0)
    assert len(asked) == 64
    assert asked[-1] == 499


def test_a_stream_that_begins_anew_is_heard_on():
    made, heard = stream()
    for seq in (100, 101, 40_000, 40_001):
        made.packet_came(rtp(seq), 0.0)
    assert heard == [100, 101, 40_000, 40_001]
    assert made.due(0.0) == []


def test_a_report_counts_losses_as_rfc_3550_does():
    made, _ = stream()
    for seq in range(100):
        if seq % 4 != 3:
            made.packet_came(rtp(seq), 0.0)
    made.packet_came(rtp(100), 0.0)
    block = made.block(0.0)
    assert (block.n_lost, block.highest_seq) == (25, 100)
    assert block.fraction_lost == 25 * 256 // 101
    for seq in range(101, 201):
        made.packet_came(rtp(seq), 0.0)
    block = made.block(0.0)
    assert (block.fraction_lost, block.n_lost) == (0, 25)


def test_a_report_says_when_the_last_sender_report_came():
    made, _ = stream()
    made.packet_came(rtp(0), 0.0)
    assert (made.block(1.0).last_report, made.block(1.0).since_last_report) == (0, 0)
    made.sender_reported(0xABCD1234, 2.0)
    block = made.block(2.5)
    assert (block.last_report, block.since_last_report) == (0xABCD1234, 32_768)


def test_the_jitter_of_packets_on_time_is_none_and_of_others_some():
    steady, _ = stream()
    shaken, _ = stream()
    for number in range(50):
        steady.measure_jitter(rtp(number, 960 * number), 0.02 * number)
        shaken.measure_jitter(rtp(number, 960 * number), 0.02 * number + 0.01 * (number % 2))
        for each in (steady, shaken):
            each.packet_came(rtp(number), 0.0)
    assert steady.block(0.0).jitter == 0
    assert 300 < shaken.block(0.0).jitter < 480


def test_whatever_numbers_come_little_is_kept_and_every_new_packet_is_heard():
    numbers = random.Random(1)
    made, heard = stream()
    for n in range(5_000):
        made.packet_came(rtp(numbers.randrange(65_536)), n / 1_000)
        made.due(n / 1_000)
        assert len(made._missing) <= 64
    assert len(heard) > 4_900
    block = made.block(5.0)
    assert 0 <= block.fraction_lost <= 255
