"""wire.reconnect: the rules of design, "Reconnect"."""

from pressroom.wire.reconnect import Reconnect
from pressroom.wire.seq import ms_after

START_MS = (1 << 30) - 50  # every test crosses the wrap of the clock


def at(ms):
    return ms_after(START_MS, ms)


def waits(reconnect, n_tries, ms, is_held=False, random_byte=0):
    return [reconnect.wait_ms(is_held, random_byte, at(ms)) for _ in range(n_tries)]


def test_the_first_try_comes_at_once():
    assert Reconnect(at(0)).wait_ms(False, 128, at(0)) == 0


def test_for_thirty_seconds_the_wait_is_at_most_half_a_second():
    reconnect = Reconnect(at(0))
    assert waits(reconnect, 3, 100) == [0, 500, 500]
    assert 250 <= reconnect.wait_ms(False, 255, at(29_999)) <= 500
    assert reconnect.connect_timeout_ms(False, at(29_999)) == 1_000


def test_afterwards_the_wait_doubles_up_to_fifteen_seconds():
    reconnect = Reconnect(at(0))
    waits(reconnect, 1, 0)
    assert waits(reconnect, 7, 30_000) == [500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000]
    assert reconnect.connect_timeout_ms(False, at(30_000)) == 5_000


def test_a_fifth_of_a_long_wait_is_random():
    reconnect = Reconnect(at(0))
    waits(reconnect, 10, 30_000)
    assert 12_000 <= reconnect.wait_ms(False, 255, at(30_000)) <= 12_100


def test_a_held_button_keeps_it_eager():
    reconnect = Reconnect(at(0))
    waits(reconnect, 8, 40_000)
    assert reconnect.wait_ms(True, 0, at(40_000)) == 500
    assert reconnect.connect_timeout_ms(True, at(40_000)) == 1_000


def test_a_press_retries_at_once():
    reconnect = Reconnect(at(0))
    waits(reconnect, 8, 40_000)
    reconnect.pressed(at(41_000))
    assert waits(reconnect, 2, 41_000) == [0, 500]


def test_an_old_loss_stays_old_when_the_clock_wraps():
    reconnect = Reconnect(at(0))
    waits(reconnect, 8, 40_000)
    now_ms = 40_000
    while now_ms < (1 << 30) + 20_000:  # half a wrap later the subtraction turns negative
        now_ms += 1 << 27
        assert reconnect.connect_timeout_ms(False, at(now_ms)) == 5_000
