"""voice.link against a socket that does what a test says. Waits are real and short; the policy is wire.reconnect's."""

import asyncio

from pressroom.voice.link import Link, LinkFailed, LinkRefused
from pressroom.voice.log import Log
from pressroom.wire.messages import encode
from pressroom.wire.session import GREETING, READY, REFUSED

HELLO = {"fw": "0.1.0", "board": "bench", "caps": {"up": ["l16"], "dn": ["l16"], "max_message_bytes": 2048}}
WELCOME = {
    "t": "welcome",
    "proto": 1,
    "session": "7f3a",
    "resumed": False,
    "room": "kitchen",
    "identity": "attic",
    "media": {
        "host": "127.0.0.1",
        "port": 1,
        "ssrc_up": "00000001",
        "ssrc_dn": "00000002",
        "key_up": "A" * 40,
        "key_dn": "B" * 40,
        "codec_up": "l16",
        "codec_dn": "l16",
        "dn_len": 662,
    },
}


class Settings:
    url = "wss://gateway/device"
    pins = [bytes(32)]
    token = "the-token"


class FakeSocket:
    """outcomes: of the next dials: None succeeds, an error is raised, HANG never returns; the last one stays."""

    HANG = "hang"

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)
        self.n_dials = 0
        self.sent = []
        self.to_receive = []
        self._closed = asyncio.Event()

    async def connect(self, url, pins, token, timeout_ms):
        self.n_dials += 1
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if outcome is self.HANG:
            await asyncio.sleep_ms(60_000)
        if outcome is not None:
            raise outcome
        self._closed = asyncio.Event()

    def send_text(self, text):
        self.sent.append(text)

    async def receive(self):
        if not self.to_receive:
            await self._closed.wait()
        if self.to_receive:
            return self.to_receive.pop(0)
        raise LinkFailed("closed")

    def close(self):
        self._closed.set()


class Listener:
    def __init__(self):
        self.heard = []

    def welcomed(self, message, now_ms):
        self.heard.append("welcomed")

    def link_down(self, now_ms):
        self.heard.append("down")

    def message_came(self, message, now_ms):
        self.heard.append(message["t"])

    def media_came(self, packet, now_ms):
        self.heard.append(bytes(packet))


class Bench:
    """A link, its fakes, and a clock that stands where a test puts it."""

    def __init__(self, *outcomes):
        self.now_ms = 1_000
        self.lines = []
        self.socket = FakeSocket(*outcomes)
        self.listener = Listener()
        log = Log(self.lines.append)
        self.link = Link(HELLO, self.socket, Settings(), log, lambda: self.now_ms, lambda n: b"\xff" * n)

    def run(self, test):
        """Run the link for as long as the test takes."""

        async def both():
            task = asyncio.create_task(self.link.run(self.listener))
            try:
                await test(self)
            finally:
                task.cancel()

        asyncio.run(both())


async def until(is_so, within_ms=2_000):
    for _ in range(within_ms):
        if is_so():
            return
        await asyncio.sleep_ms(1)
    raise AssertionError("waited %d ms in vain" % within_ms)


def test_a_welcome_makes_it_ready():
    async def test(bench):
        await until(lambda: bench.link.session.state == GREETING)
        bench.socket.to_receive.append(encode(WELCOME))
        bench.socket.close()  # wakes `receive`, which hands it over first
        await until(lambda: "welcomed" in bench.listener.heard)

    Bench(None).run(test)


def test_media_is_handed_on_and_other_kinds_are_counted():
    async def test(bench):
        bench.socket.to_receive += [encode(WELCOME), b"\x01media", b"\x02other", b"\x01", b""]
        await until(lambda: bench.link.n_unknown_frames == 3)
        assert bench.listener.heard == ["welcomed", b"media"]

    Bench(None).run(test)


def test_what_is_no_message_does_no_harm():
    async def test(bench):
        bench.socket.to_receive += [encode(WELCOME), "{", "[]", "\x00", '{"t": "leave"}', '{"t": "new"}', "1" * 3000]
        await until(lambda: bench.link.session.n_bad_messages == 5)
        assert bench.link.session.n_unknown_messages == 1
        assert bench.link.session.state == READY

    Bench(None).run(test)


def test_a_refusal_waits_for_a_press():
    async def test(bench):
        await until(lambda: bench.link.session.state == REFUSED)
        await asyncio.sleep_ms(100)
        assert bench.socket.n_dials == 1
        bench.link.pressed(bench.now_ms)
        await until(lambda: bench.socket.n_dials == 2)

    bench = Bench(LinkRefused("TOKEN_EXPIRED", ""), None)
    bench.run(test)
    assert "reason=TOKEN_EXPIRED" in bench.lines[0]
    assert "pressroom token create" in bench.lines[0]


def test_a_press_does_not_wait_for_a_patient_try_to_end():
    async def test(bench):
        await until(lambda: bench.socket.n_dials == 1)
        bench.link.pressed(bench.now_ms)
        await until(lambda: bench.link.session.state == GREETING)
        assert bench.socket.n_dials == 2

    Bench(FakeSocket.HANG, None).run(test)


def test_a_press_does_not_wait_for_the_next_try():
    async def test(bench):
        bench.now_ms += 60_000  # so it is patient: the third try would come 800 ms after the second
        await until(lambda: bench.socket.n_dials == 2)
        bench.link.pressed(bench.now_ms)
        await until(lambda: bench.socket.n_dials >= 3, within_ms=200)

    Bench(LinkFailed("nobody there")).run(test)


def test_a_gateway_that_hangs_up_at_once_is_not_stormed():
    async def test(bench):
        for _ in range(50):
            bench.socket.close()
            await asyncio.sleep_ms(10)
        assert bench.socket.n_dials <= 3

    Bench(None).run(test)


def test_the_same_failure_is_told_once():
    async def test(bench):
        await until(lambda: bench.socket.n_dials == 3)

    bench = Bench(LinkFailed("nobody there"))
    bench.run(test)
    assert bench.lines == ['ses=- state=connecting error="nobody there"']


def test_an_end_while_it_dials_ends_it():
    async def test(bench):
        await until(lambda: bench.socket.n_dials == 1)

    Bench(FakeSocket.HANG).run(test)


def test_what_was_said_while_the_link_was_down_is_said_after_the_welcome():
    async def test(bench):
        bench.link.set_muted(False, 0, bench.now_ms)
        await until(lambda: bench.link.session.state == GREETING)
        assert '"muted": false' in bench.socket.sent[0]

    Bench(None).run(test)
