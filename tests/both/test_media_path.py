"""wire.media_path: the rules of design, "Liveness of media"."""

from pressroom.wire.media_path import UDP, WEBSOCKET, MediaPath
from pressroom.wire.seq import ms_after

START_MS = (1 << 30) - 50  # every test crosses the wrap of the clock


def at(ms):
    return ms_after(START_MS, ms)


def on_udp():
    path = MediaPath(at(0))
    path.poll(at(0))
    path.heard(at(10))
    path.poll(at(10))
    return path


def keepalives_between(path, start_ms, end_ms):
    return [ms for ms in range(start_ms, end_ms, 10) if path.poll(at(ms))]


def test_media_starts_inside_the_websocket():
    assert MediaPath(at(0)).way == WEBSOCKET


def test_an_answered_keepalive_moves_media_to_udp():
    assert on_udp().way == UDP


def test_taking_udp_is_told_at_once():
    path = MediaPath(at(0))
    path.poll(at(0))
    path.heard(at(10))
    assert path.next_timeout_ms(at(10)) == 0
    assert path.poll(at(10))


def test_udp_is_probed_at_once_then_rarely():
    path = MediaPath(at(0))
    assert keepalives_between(path, 0, 2_000) == list(range(0, 2_000, 200))
    assert keepalives_between(path, 2_000, 40_000) == [31_800]


def test_silence_is_normal_while_nobody_talks():
    path = on_udp()
    assert keepalives_between(path, 20, 60_000) == [15_010, 30_010, 45_010]
    assert path.way == UDP


def test_silence_while_talking_is_probed_then_leaves_udp():
    path = on_udp()
    path.set_talking(True, at(5_000))
    assert keepalives_between(path, 5_000, 7_000) == [6_000, 6_200, 6_400, 6_600, 6_800]
    assert path.way == UDP
    assert path.poll(at(7_000))
    assert path.way == WEBSOCKET
    assert path.n_fallbacks == 1


def test_udp_is_taken_again_when_it_works_again():
    path = on_udp()
    path.set_talking(True, at(5_000))
    keepalives_between(path, 5_000, 8_000)
    path.heard(at(8_000))
    assert path.way == UDP


def test_a_packet_in_time_keeps_udp():
    path = on_udp()
    path.set_talking(True, at(5_000))
    keepalives_between(path, 5_000, 6_990)
    path.heard(at(6_990))
    path.poll(at(7_000))
    assert path.way == UDP


def test_the_timeout_is_never_late():
    path = on_udp()
    path.set_talking(True, at(5_000))
    now_ms = 5_000
    while path.way == UDP:
        now_ms += path.next_timeout_ms(at(now_ms))
        path.poll(at(now_ms))
        assert now_ms <= 7_000
    assert now_ms == 7_000
