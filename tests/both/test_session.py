"""wire.session: two Sessions talking through lists, and each row of their tables."""

from pressroom.wire import session
from pressroom.wire.messages import encode, parse
from pressroom.wire.seq import ms_after
from pressroom.wire.session import DeviceSession, GatewaySession

START_MS = (1 << 30) - 50  # every test crosses the wrap of the clock
KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd"
HELLO = {"fw": "0.1.0", "board": "devkit", "caps": {"up": ["l16"], "dn": ["l16"], "max_message_bytes": 2048}}


def at(ms):
    return ms_after(START_MS, ms)


def welcome(resumed=False):
    return {
        "t": "welcome",
        "proto": 1,
        "session": "s1",
        "resumed": resumed,
        "room": "kitchen",
        "identity": "box",
        "media": {
            "host": "192.0.2.1",
            "port": 7882,
            "ssrc_up": "0000cafe",
            "ssrc_dn": "0000babe",
            "key_up": KEY,
            "key_dn": KEY,
            "codec_up": "l16",
            "codec_dn": "l16",
            "dn_len": 662,
        },
    }


def kinds(core):
    return [event.kind for event in core.events()]


def sent(core):
    return [parse(text) for text in core.messages_to_send()]


def pass_on(source, sink, ms):
    for text in source.messages_to_send():
        sink.receive(text, at(ms))


def ready_pair():
    device, gateway = DeviceSession(HELLO, at(0)), GatewaySession("s1", at(0))
    device.link_opened(at(0))
    assert sent(device)[0]["t"] == "hello"
    gateway.welcome(welcome(), True, at(0))
    pass_on(gateway, device, 0)
    assert kinds(device) == [session.WELCOMED]
    return device, gateway


def talking_pair(ms=100, timestamp=1_000):
    device, gateway = ready_pair()
    device.set_muted(False, timestamp, at(ms))
    pass_on(device, gateway, ms)
    assert kinds(gateway) == [session.UNMUTED]
    return device, gateway


def test_hello_and_welcome_make_both_ready():
    device, gateway = ready_pair()
    assert device.state == gateway.state == session.READY
    assert device.session_id == "s1"


def test_no_welcome_in_three_seconds_is_a_dead_link():
    device = DeviceSession(HELLO, at(0))
    device.link_opened(at(0))
    assert device.next_timeout_ms(at(0)) == 3_000
    device.poll(at(2_999))
    assert kinds(device) == []
    device.poll(at(3_000))
    assert kinds(device) == [session.LINK_DEAD]
    assert device.state == session.DOWN


def test_a_dead_link_is_reported_once():
    device = DeviceSession(HELLO, at(0))
    device.link_opened(at(0))
    device.poll(at(3_000))
    device.link_lost(at(3_001))
    device.link_lost(at(3_002))
    assert kinds(device) == [session.LINK_DEAD]


def test_an_idle_device_pings_every_fifteen_seconds():
    device, gateway = ready_pair()
    for ms in (15_000, 30_000, 45_000):
        assert device.next_timeout_ms(at(ms - 15_000)) == 15_000
        device.poll(at(ms))
        pass_on(device, gateway, ms)
        pass_on(gateway, device, ms)
    assert device.state == session.READY


def test_a_talking_device_pings_at_once_and_every_two_seconds():
    device, _ = talking_pair()
    device.poll(at(100))
    assert [message["t"] for message in sent(device)] == ["ping"]
    assert device.next_timeout_ms(at(100)) == 2_000


def test_two_unanswered_pings_are_a_dead_link():
    device, _ = talking_pair()
    for ms in (100, 2_100):
        device.poll(at(ms))
        assert kinds(device) == []
    device.poll(at(4_100))
    assert kinds(device) == [session.LINK_DEAD]


def test_any_message_counts_as_an_answer():
    device, gateway = talking_pair()
    for ms in (100, 2_100, 4_100, 6_100):
        device.poll(at(ms))
        gateway.send({"t": "state", "agent": "thinking"})
        pass_on(gateway, device, ms)
    assert device.state == session.READY


def test_talk_ends_when_its_last_sample_was_heard():
    device, gateway = talking_pair(timestamp=1_000)
    gateway.audio_heard(1_320, at(120))
    device.set_muted(True, 1_640, at(140))
    pass_on(device, gateway, 140)
    assert kinds(gateway) == []
    gateway.audio_heard(1_640, at(150))
    assert kinds(gateway) == [session.MUTED]


def test_talk_ends_at_once_when_the_audio_came_first():
    device, gateway = talking_pair(timestamp=0xFFFFFF00)
    gateway.audio_heard(0xFFFFFF00 + 320 - (1 << 32), at(130))  # the timestamp wrapped
    device.set_muted(True, 0xFFFFFF00 + 320 - (1 << 32), at(140))
    pass_on(device, gateway, 140)
    assert kinds(gateway) == [session.MUTED]


def test_talk_ends_after_150_ms_when_the_last_sample_is_lost():
    device, gateway = talking_pair()
    device.set_muted(True, 9_000, at(140))
    pass_on(device, gateway, 140)
    assert gateway.next_timeout_ms(at(140)) == 150
    gateway.poll(at(289))
    assert kinds(gateway) == []
    gateway.poll(at(290))
    assert kinds(gateway) == [session.MUTED]


def test_a_second_press_ends_the_first_talk():
    device, gateway = talking_pair()
    device.set_muted(True, 9_000, at(140))
    device.set_muted(False, 9_500, at(200))
    pass_on(device, gateway, 200)
    assert kinds(gateway) == [session.MUTED, session.UNMUTED]


def test_a_mute_without_a_timestamp_is_a_bad_message():
    _, gateway = ready_pair()
    gateway.receive('{"t": "mute", "muted": false}', at(10))
    assert gateway.n_bad_messages == 1
    assert kinds(gateway) == []


def test_a_lost_link_is_resumed_and_asks_for_the_unmute_again():
    device, gateway = talking_pair()
    device.link_lost(at(1_000))
    gateway.link_lost(at(1_000))
    assert kinds(device) == kinds(gateway) == [session.LINK_DOWN]
    assert not device.set_muted(False, 0, at(1_100))
    device.link_opened(at(1_500))
    hello = sent(device)[0]
    assert hello["resume"] == "s1" and hello["muted"] is False
    gateway.welcome(welcome(resumed=True), hello["muted"], at(1_500))
    pass_on(gateway, device, 1_500)
    assert kinds(device) == [session.WELCOMED]
    assert kinds(gateway) == []  # nobody in the room saw an end of the talk
    device.set_muted(False, 77, at(1_510))
    pass_on(device, gateway, 1_510)
    assert kinds(gateway) == [session.UNMUTED]


def test_a_talk_that_ended_during_a_cut_ends_with_the_resume():
    device, gateway = talking_pair()
    device.link_lost(at(1_000))
    gateway.link_lost(at(1_000))
    device.set_muted(True, 0, at(1_200))
    device.link_opened(at(1_500))
    gateway.welcome(welcome(resumed=True), sent(device)[0]["muted"], at(1_500))
    assert kinds(gateway) == [session.LINK_DOWN, session.MUTED]


def test_a_lost_session_is_kept_thirty_seconds():
    _, gateway = ready_pair()
    gateway.link_lost(at(1_000))
    assert kinds(gateway) == [session.LINK_DOWN]
    gateway.poll(at(30_999))
    assert kinds(gateway) == []
    gateway.poll(at(31_000))
    assert kinds(gateway) == [session.EXPIRED]


def test_a_silent_device_is_a_lost_link():
    _, gateway = ready_pair()
    gateway.poll(at(34_999))
    assert gateway.state == session.READY
    gateway.poll(at(35_000))
    assert kinds(gateway) == [session.LINK_DEAD]
    assert gateway.state == session.LOST


def test_a_talking_device_is_missed_after_seven_seconds():
    _, gateway = talking_pair(ms=100)
    assert gateway.next_timeout_ms(at(100)) == 7_000
    gateway.poll(at(7_100))
    assert kinds(gateway) == [session.LINK_DEAD]


def test_leave_disconnect_is_a_refusal_that_waits_for_somebody():
    device, gateway = ready_pair()
    gateway.leave("DISCONNECT", "TOKEN_REVOKED", "make a new token", at(10))
    pass_on(gateway, device, 10)
    event = device.events()[0]
    assert event.kind == session.REFUSED and event.value["reason"] == "TOKEN_REVOKED"
    device.link_opened(at(20))
    assert device.state == session.REFUSED
    device.retry(at(30))
    device.link_opened(at(30))
    assert device.state == session.GREETING


def test_leave_reconnect_forgets_the_session_and_resume_keeps_it():
    for action, resume in (("RECONNECT", None), ("RESUME", "s1")):
        device, gateway = ready_pair()
        gateway.leave(action, "SERVER_SHUTDOWN", "", at(10))
        pass_on(gateway, device, 10)
        assert kinds(device) == [session.LINK_DEAD]
        device.link_opened(at(20))
        assert sent(device)[0].get("resume") == resume


def test_leave_with_an_unknown_action_is_a_bad_message():
    device, _ = ready_pair()
    device.receive('{"t": "leave", "action": "DANCE", "reason": "x"}', at(10))
    assert device.n_bad_messages == 1 and device.state == session.READY


def test_a_refusal_before_the_link_is_open_is_kept():
    device = DeviceSession(HELLO, at(0))
    device.refused("UNAUTHORIZED", "wrong token", at(0))
    assert kinds(device) == [session.REFUSED]
    assert device.state == session.REFUSED


def test_a_device_that_leaves_is_gone():
    device, gateway = talking_pair()
    device.leave("CLIENT_INITIATED", at(500))
    pass_on(device, gateway, 500)
    assert kinds(gateway) == [session.MUTED, session.LEFT]
    assert device.state == gateway.state == session.LEFT


def test_messages_wait_for_a_ready_link_and_are_counted_otherwise():
    device = DeviceSession(HELLO, at(0))
    assert not device.send({"t": "data", "payload": "x"})
    assert device.n_dropped_messages == 1


def test_the_outbox_is_bounded():
    device, _ = ready_pair()
    n_taken = 0
    for _ in range(500):
        n_taken += device.send({"t": "data", "payload": "x"})
    assert n_taken == len(device.messages_to_send()) == 64
    assert device.n_dropped_messages == 500 - 64


def test_what_an_earlier_link_did_not_take_is_not_sent_on_the_next():
    device, _ = ready_pair()
    device.send({"t": "data", "payload": "old"})
    device.link_lost(at(10))
    device.link_opened(at(20))
    assert [message["t"] for message in sent(device)] == ["hello"]


def test_other_messages_reach_the_owner():
    device, gateway = ready_pair()
    gateway.send({"t": "transcription", "id": "1", "text": "hello", "final": True})
    pass_on(gateway, device, 10)
    event = device.events()[0]
    assert event.kind == session.MESSAGE and event.value["text"] == "hello"


def test_bad_and_unknown_messages_are_counted_and_change_nothing():
    for core in ready_pair():
        core.receive("{", at(10))
        core.receive('{"t": "dance"}', at(10))
        core.receive('{"t": "mute"}', at(10))
        assert core.n_bad_messages == 2 and core.n_unknown_messages == 1
        assert core.state == session.READY
        assert kinds(core) == []


def test_an_event_never_shows_its_keys():
    device = DeviceSession(HELLO, at(0))
    device.link_opened(at(0))
    device.receive(encode(welcome()), at(0))
    assert KEY[:8] not in repr(device.events()) and KEY[:8] not in repr(device)
