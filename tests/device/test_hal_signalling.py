"""hal's WebSocket over pinned TLS, under MicroPython (on_micropython/links.py), against servers of the host."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import certificates
import micropython_tests
import pytest
from aiohttp import WSMessage, WSMsgType, web

WRONG_PIN = "00" * 32

Talk = Callable[[web.WebSocketResponse], Awaitable[None]]


@dataclass
class Server:
    """A WebSocket server that does one thing after the handshake, and remembers how it was asked."""

    pin: str
    talk: Talk | None = None
    refusal: web.Response | None = None
    tokens: list[str] = field(default_factory=list)
    messages: list[WSMessage] = field(default_factory=list)
    url: str = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.tokens.append(request.headers["Authorization"])
        if self.refusal is not None:
            return self.refusal
        ws = web.WebSocketResponse(max_msg_size=0)
        await ws.prepare(request)
        if self.talk is not None:
            await self.talk(ws)
        return ws


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """Its certificate becomes valid in 2.5 years: a board without a clock must not care."""
    context, pin = certificates.make(tmp_path, valid_from_days=900)
    server = Server(pin)
    app = web.Application()
    app.router.add_get("/device", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    server.url = f"wss://127.0.0.1:{runner.addresses[0][1]}/device"
    yield server
    await runner.cleanup()


async def lines_of(function: str, *arguments: object) -> list[str]:
    return (await micropython_tests.run("links", function, *arguments)).splitlines()


async def test_the_pinned_certificate_is_accepted_without_ca_or_clock(server: Server):
    outcome, _ = await lines_of("connect", server.url, server.pin)
    assert outcome.startswith("None after")
    assert server.tokens == ["Bearer the-token"]


async def test_any_of_two_pins_is_enough(server: Server):
    outcome, _ = await lines_of("connect", server.url, f"{WRONG_PIN},{server.pin}")
    assert outcome.startswith("None after")


async def test_another_certificate_is_refused_by_name_and_never_sees_the_token(server: Server):
    outcome, _ = await lines_of("connect", server.url, WRONG_PIN)
    assert outcome.startswith("PinMismatch: 127.0.0.1 shows another certificate")
    assert server.tokens == []


async def test_no_pin_is_no_permission(server: Server):
    outcome, _ = await lines_of("connect", server.url, "")
    assert outcome.startswith("PinMismatch: no pin is set")
    assert server.tokens == []


@pytest.mark.parametrize("host", ["192.0.2.1", "gateway.local", "127.evil.example", "128.0.0.1"])
async def test_a_link_in_plain_text_to_another_machine_is_refused(host: str):
    outcome, _ = await lines_of("connect", f"ws://{host}:9/device", "")
    assert outcome.startswith(f"AddressUnusable: ws://{host}:9/device is not encrypted")


@pytest.mark.parametrize("url", ["https://127.0.0.1/", "127.0.0.1:80", "wss://", "wss://127.0.0.1:port/"])
async def test_what_is_no_address_is_refused(url: str):
    outcome, _ = await lines_of("connect", url, WRONG_PIN)
    assert outcome.startswith("AddressUnusable: ")


async def test_a_refused_upgrade_tells_its_status_and_body(server: Server):
    server.refusal = web.json_response({"reason": "TOKEN_REVOKED", "message": "make a new one"}, status=401)
    outcome, _ = await lines_of("connect", server.url, server.pin)
    assert outcome.startswith("UpgradeRefused: ")
    assert "401" in outcome
    assert "TOKEN_REVOKED" in outcome


async def test_nobody_there_is_a_closed_link(unused_port: int):
    outcome, _ = await lines_of("connect", f"wss://127.0.0.1:{unused_port}/device", WRONG_PIN)
    assert outcome.startswith(f"LinkClosed: 127.0.0.1:{unused_port}: ")
    assert "ECONNREFUSED" in outcome


@pytest.fixture
def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.mark.parametrize("scheme", ["wss", "ws"])
async def test_a_server_that_never_answers_costs_the_timeout_and_holds_up_nothing(scheme: str):
    async def ignore(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(ignore, "127.0.0.1", 0) as black_hole:
        port = black_hole.sockets[0].getsockname()[1]
        outcome, gap = await lines_of("connect", f"{scheme}://127.0.0.1:{port}/device", WRONG_PIN, 400)
    found = re.fullmatch(r"LinkClosed: 127.0.0.1:\d+ did not answer within 400 ms after (\d+) ms", outcome)
    assert found
    assert 400 <= int(found[1]) < 600
    assert int(gap.removeprefix("gap_ms=")) < 100


async def test_a_server_without_tls_is_a_closed_link():
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        outcome, _ = await lines_of("connect", f"wss://127.0.0.1:{port}/device", WRONG_PIN)
    assert outcome.startswith("LinkClosed: ")


async def test_messages_go_both_ways_and_pings_are_answered(server: Server):
    async def talk(ws: web.WebSocketResponse) -> None:
        server.messages.append(await ws.receive())
        await ws.send_str("media, please")
        server.messages.append(await ws.receive())
        await ws.send_bytes(b"\x01" + bytes(652))
        await ws.ping(b"are you there")
        await ws.close(code=1012, message=b"restarting")

    server.talk = talk
    assert await lines_of("converse", server.url, server.pin) == [
        "text 13",
        "binary 653",
        "closed the gateway closed the WebSocket: 1012 restarting",
    ]
    text, media = server.messages
    assert (text.type, text.data) == (WSMsgType.TEXT, "hello")
    assert (media.type, media.data) == (WSMsgType.BINARY, b"\x01" + (bytes(range(200)) * 4)[:653])


async def test_what_the_network_does_not_take_is_queued_whole_and_in_order(server: Server):
    """mbedTLS must be given the same bytes again; a frame that was cut or doubled would break the stream."""

    async def talk(ws: web.WebSocketResponse) -> None:
        await ws.receive()
        transport = ws._req.transport
        transport.pause_reading()
        await ws.send_str("flood")
        await asyncio.sleep(0.3)
        transport.resume_reading()
        while not server.messages or server.messages[-1].data != "the end":
            server.messages.append(await ws.receive(timeout=5))
        await ws.send_str("close")
        await ws.receive()

    server.talk = talk
    lines = await lines_of("converse", server.url, server.pin)
    n_sent = int(lines[1].removeprefix("flooded "))
    assert n_sent > 50
    assert [message.data[1:7] for message in server.messages[:-1]] == [b"%06d" % n for n in range(n_sent)]


async def test_a_network_that_takes_nothing_ends_the_link(server: Server):
    async def talk(ws: web.WebSocketResponse) -> None:
        ws._req.transport.pause_reading()
        await asyncio.sleep(30)

    server.talk = talk
    lines = await lines_of("stall", server.url, server.pin)
    assert lines[0].startswith("LinkClosed: the network has taken nothing for too long")
    assert lines[1] == "False 1"


async def test_closing_wakes_who_receives(server: Server):
    async def talk(ws: web.WebSocketResponse) -> None:
        await ws.receive()

    server.talk = talk
    lines = await lines_of("close_while_receiving", server.url, server.pin)
    assert lines[0].startswith("LinkClosed: closed on this side")


async def test_a_message_longer_than_agreed_ends_the_link(server: Server):
    async def talk(ws: web.WebSocketResponse) -> None:
        await ws.receive()
        await ws.send_str("x" * 2049)
        server.messages.append(await ws.receive())

    server.talk = talk
    lines = await lines_of("converse", server.url, server.pin)
    assert lines[0].startswith("closed a message has 2049 bytes")
    assert server.messages[0].data == 1009  # the close code, RFC 6455 section 7.4.1


async def test_a_flood_of_messages_does_not_hold_up_the_loop(server: Server):
    async def talk(ws: web.WebSocketResponse) -> None:
        await ws.receive()
        for _ in range(500):
            await ws.send_str("x" * 2000)
        await ws.close()

    server.talk = talk
    lines = await lines_of("converse", server.url, server.pin)
    assert lines[:-1] == ["text 2000"] * 500
