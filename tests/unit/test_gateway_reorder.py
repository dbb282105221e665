"""Packets in the order of their numbers, with one packet of slack."""

import random

from pressroom_host.gateway.reorder import Reorder

START = 65_530  # every test crosses the wrap


def put_all(order, numbers):
    """Return (lost before it, number) of what came out."""
    out = []
    for number in numbers:
        for n_lost, packet in order.put((START + number) & 0xFFFF, b"%d" % number):
            out.append((n_lost, int(packet)))
    return out


def test_packets_in_order_pass_at_once():
    assert put_all(Reorder(), range(20)) == [(0, number) for number in range(20)]


def test_two_that_changed_places_are_put_right():
    assert put_all(Reorder(), [0, 2, 1, 3]) == [(0, 0), (0, 1), (0, 2), (0, 3)]


def test_one_that_waits_goes_when_the_next_shows_that_it_waits_in_vain():
    order = Reorder()
    assert put_all(order, [0, 2]) == [(0, 0)]
    assert order.is_holding
    assert put_all(order, [3]) == [(1, 2), (0, 3)]
    assert not order.is_holding


def test_one_that_waits_goes_when_its_owner_gives_up():
    order = Reorder()
    put_all(order, [0, 2])
    assert [(n, int(packet)) for n, packet in order.give_up()] == [(1, 2)]
    assert list(order.give_up()) == []


def test_late_and_doubled_packets_are_dropped_and_counted():
    order = Reorder()
    assert put_all(order, [0, 1, 1, 0, 3, 3, 4, 2]) == [(0, 0), (0, 1), (1, 3), (0, 4)]
    assert order.n_late == 4


def test_two_holes_are_counted_where_they_are():
    assert put_all(Reorder(), [0, 2, 4, 6, 7]) == [(0, 0), (1, 2), (1, 4), (1, 6), (0, 7)]


def test_numbers_far_off_are_another_stream():
    order = Reorder()
    put_all(order, [0, 2])
    assert put_all(order, [30_000, 30_001]) == [(0, 30_000), (0, 30_001)]


def test_a_number_without_audio_leaves_no_hole():
    order = Reorder()
    order.put(START, b"0")
    order.put(START + 1, None)
    assert put_all(order, [2]) == [(0, 2)]


def test_any_order_gives_rising_numbers_and_loses_none_that_is_one_place_off():
    chance = random.Random(1)
    for _ in range(300):
        numbers = list(range(60))
        for at in range(0, 58, chance.choice((2, 3, 5))):
            numbers[at], numbers[at + 1] = numbers[at + 1], numbers[at]
        assert [number for _, number in put_all(Reorder(), [*numbers, 60])][-30:] == list(range(31, 61))
