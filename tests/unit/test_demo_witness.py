import pytest
from livekit.protocol import models

from pressroom_host.demo.witness import Witness


def packet(seq):
    return bytes((0x80, 111, seq >> 8 & 0xFF, seq & 0xFF)) + bytes(60)


@pytest.fixture
def firsts():
    return []


@pytest.fixture
def witness(firsts):
    witness = Witness("kitchen", firsts.append)
    witness.on_track(models.ParticipantInfo(identity="parrot"), models.TrackInfo(sid="TR_other"))
    witness.on_track(models.ParticipantInfo(identity="kitchen"), models.TrackInfo(sid="TR_kitchen"))
    return witness


def test_the_first_packet_of_each_turn_is_told_once(witness, firsts):
    for _ in range(2):
        witness.begin_turn()
        for seq in range(3):
            witness.on_rtp("TR_kitchen", packet(seq))
    assert len(firsts) == 2
    assert witness.first_packet_s == firsts[1]
    assert witness.n_packets == 3


def test_packets_of_others_do_not_count(witness, firsts):
    witness.on_rtp("TR_other", packet(1))
    assert (witness.n_packets, witness.n_lost, firsts) == (0, 0, [])


def test_missing_packets_are_counted_across_the_wrap_of_the_sequence(witness):
    for seq in (65_533, 65_534, 0, 1, 3):
        witness.on_rtp("TR_kitchen", packet(seq))
    assert witness.n_lost == 2


def test_a_packet_out_of_order_is_not_lost(witness):
    for seq in (1, 3, 2, 4):
        witness.on_rtp("TR_kitchen", packet(seq))
    assert witness.n_lost == 0
