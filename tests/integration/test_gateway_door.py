"""The door of the gateway: who is let in, who is found again, and what a flood cannot do."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
from gateway_device import DEADLINE_S, LinkDevice, link_device
from tests.net.peers import until

from pressroom.wire.messages import PROTO, encode, parse
from pressroom.wire.seq import ms_after
from pressroom_host.errors import UserError
from pressroom_host.gateway import device_server as door_module
from pressroom_host.gateway import listener as listener_module
from pressroom_host.gateway.device_server import now_ms
from pressroom_host.gateway.link import Link
from pressroom_host.gateway.server import AddressUnusable, Gateway, GatewayConfig, PortInUse
from pressroom_host.gateway.state import StateFolder, StateLocked
from pressroom_host.gateway.tokens import TokenBook, load_or_make_api_key

CAPS = {"up": ["l16"], "dn": ["l16"], "max_message_bytes": 2_048}
HELLO = {"t": "hello", "proto": PROTO, "fw": "test", "board": "test", "caps": CAPS}
KEPT_MS = 30_000


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    running = await Gateway.start(GatewayConfig(state_dir=tmp_path / "state"))
    yield running
    await running.stop()


@contextlib.asynccontextmanager
async def dialled(gateway: Gateway, token: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A bare WebSocket to the gateway."""
    pin = aiohttp.Fingerprint(gateway.certificate_pin)
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(DEADLINE_S)) as http,
        http.ws_connect(gateway.device_url, headers={"Authorization": f"Bearer {token}"}, ssl=pin) as socket,
    ):
        yield socket


async def leave_after(gateway: Gateway, *frames: str | bytes) -> dict[str, Any]:
    """What a device is told that begins with these frames."""
    async with dialled(gateway, gateway.create_device_token("attic", "hall")) as socket:
        for frame in frames:
            await (socket.send_str(frame) if isinstance(frame, str) else socket.send_bytes(frame))
        message = parse(await asyncio.wait_for(socket.receive_str(), DEADLINE_S))
        assert message is not None
        assert (await socket.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
        return message


# Who is let in.


async def test_a_device_checks_the_pin_and_goes_away_from_another_gateway(gateway: Gateway) -> None:
    device = LinkDevice(gateway, gateway.create_device_token("attic", "hall"))
    wrong = bytes(32)
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.ServerFingerprintMismatch):
            await http.ws_connect(gateway.device_url, ssl=aiohttp.Fingerprint(wrong))
    await device.connect()
    await device.close()


async def test_a_refusal_is_a_status_and_json_before_the_upgrade(gateway: Gateway) -> None:
    expired = jwt.encode({"iss": gateway.api_key, "sub": "attic", "jti": "j", "exp": 1}, gateway.api_secret)
    pin = aiohttp.Fingerprint(gateway.certificate_pin)
    url = gateway.device_url.replace("wss", "https")
    async with aiohttp.ClientSession() as http:
        for headers, status, reason in (
            ({}, 401, "UNAUTHORIZED"),
            ({"Authorization": "Bearer x"}, 401, "UNAUTHORIZED"),
            ({"Authorization": f"Bearer {expired}"}, 401, "TOKEN_EXPIRED"),
        ):
            async with http.get(url, headers=headers, ssl=pin) as response:
                assert response.status == status
                body = await response.json()
                assert body["reason"] == reason
                assert "pressroom token create" in body["message"]
        token = gateway.create_device_token("attic", "hall")
        async with http.get(url, headers={"Authorization": f"Bearer {token}"}, ssl=pin) as response:
            assert response.status == 426
        async with http.get(url.replace("device", "other"), ssl=pin) as response:
            assert response.status == 404


async def test_a_token_revoked_beside_the_running_gateway_ends_its_session(gateway: Gateway, tmp_path: Path) -> None:
    async with link_device(gateway) as device:
        folder = StateFolder.open(tmp_path / "state")
        TokenBook(folder, load_or_make_api_key(folder)).revoke("attic")
        await device.until(lambda: device.refusal, "the end of the Session")
        assert device.refusal["reason"] == "TOKEN_REVOKED"
        await device.lose_link()
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await LinkDevice(gateway, device._token).connect()
        assert caught.value.status == 403


async def test_a_damaged_deny_list_keeps_the_one_that_was_read(gateway: Gateway, tmp_path: Path) -> None:
    folder = StateFolder.open(tmp_path / "state")
    token = gateway.create_device_token("attic", "hall")
    TokenBook(folder, load_or_make_api_key(folder)).revoke("attic")
    gate = gateway.devices._gate
    await until(lambda: gate.reload() or gate._denied, "the deny-list is read")
    folder.write("denied.json", b"{")
    await asyncio.sleep(0)
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await LinkDevice(gateway, token).connect()


@pytest.mark.parametrize(
    ("hello", "reason", "words"),
    [
        ({"proto": 9}, "UPGRADE_REQUIRED", "protocol 9, this gateway 1; put the firmware of the gateway's version"),
        ({"proto": 9, "caps": None}, "UPGRADE_REQUIRED", "protocol 9"),
        ({"proto": 0}, "UPGRADE_REQUIRED", "protocol 0"),
        ({"caps": {**CAPS, "up": ["mp3"]}}, "UPGRADE_REQUIRED", "caps.up has no codec of this gateway: opus, l16"),
        ({"caps": {**CAPS, "dn": []}}, "UPGRADE_REQUIRED", "caps.dn"),
        ({"caps": {**CAPS, "max_message_bytes": 100}}, "BAD_MESSAGE", "at least 512"),
        ({"caps": {}}, "BAD_MESSAGE", "hello.caps"),
        ({"t": "ping", "id": 1}, "BAD_MESSAGE", "a link begins with a hello"),
    ],
)
async def test_a_hello_that_is_not_good_is_answered_with_why(
    gateway: Gateway, hello: dict[str, Any], reason: str, words: str
) -> None:

    leave = await leave_after(gateway, json.dumps({**HELLO, **hello}))
    assert (leave["t"], leave["action"], leave["reason"]) == ("leave", "DISCONNECT", reason)
    assert words in leave["message"]
    assert gateway.devices.bridges == {}


@pytest.mark.parametrize("frame", ["", "{", "[1]", "null", "\ud7ff", b"\1", b"", '{"t":"hello","proto":' + "[" * 900])
async def test_a_link_that_begins_with_nonsense_is_told_so(gateway: Gateway, frame: str | bytes) -> None:
    assert (await leave_after(gateway, frame))["reason"] == "BAD_MESSAGE"


async def test_a_link_that_says_nothing_is_closed(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door_module, "_HELLO_TIMEOUT_S", 0.1)
    assert (await leave_after(gateway))["reason"] == "BAD_MESSAGE"


# Sessions.


async def test_a_session_is_found_again_only_by_its_own_device(gateway: Gateway) -> None:
    async with link_device(gateway, "attic") as device:
        session = device.welcome["session"]
        for identity, room in (("cellar", "hall"), ("attic", "other")):
            async with dialled(gateway, gateway.create_device_token(identity, room)) as socket:
                await socket.send_str(encode({**HELLO, "resume": session}))
                welcome = parse(await socket.receive_str())
                assert welcome is not None
                assert not welcome["resumed"] and welcome["session"] != session
        assert session in gateway.devices.bridges


async def test_a_device_that_comes_back_while_its_old_link_still_stands_replaces_it(gateway: Gateway) -> None:
    async with link_device(gateway) as device:
        old = device.socket
        async with dialled(gateway, device._token) as socket:
            await socket.send_str(encode({**HELLO, "resume": device.welcome["session"]}))
            welcome = parse(await socket.receive_str())
            assert welcome is not None and welcome["resumed"]
            await device.until(lambda: old.closed, "the end of the old link")
            assert len(gateway.devices.bridges) == 1


async def test_a_lost_device_is_kept_for_30_s_and_not_longer(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock:
        ahead_ms = 0

    async with link_device(gateway, "ear") as ear, link_device(gateway, "attic") as device:
        (bridge,) = (each for each in gateway.devices.bridges.values() if each.claims.identity == "attic")
        bridge._now_ms = lambda: ms_after(now_ms(), Clock.ahead_ms)
        await device.lose_link()
        await until(lambda: bridge._session.state == "lost", "the loss is noticed")
        Clock.ahead_ms = KEPT_MS - 1_000
        bridge._poll()
        assert bridge.session_id in gateway.devices.bridges
        assert not any(message.get("state") == "DISCONNECTED" for message in ear.messages)
        Clock.ahead_ms = KEPT_MS + 1_000
        bridge._poll()
        await ear.message("participant", identity="attic", state="DISCONNECTED")
        assert bridge.session_id not in gateway.devices.bridges
        await device.connect()
        assert not device.welcome["resumed"]


async def test_two_devices_of_one_identity_the_first_is_told_and_does_not_come_back(gateway: Gateway) -> None:
    async with link_device(gateway) as first, link_device(gateway) as second:
        await first.until(lambda: first.refusal, "the first is told")
        assert (first.refusal["action"], first.refusal["reason"]) == ("DISCONNECT", "DUPLICATE_IDENTITY")
        assert second.session.state == "ready"


async def test_devices_are_told_to_come_back_when_the_gateway_stops(gateway: Gateway) -> None:
    async with dialled(gateway, gateway.create_device_token("attic", "hall")) as socket:
        await socket.send_str(encode(HELLO))
        await socket.receive_str()
        await gateway.stop()
        leave = parse(await asyncio.wait_for(socket.receive_str(), DEADLINE_S))
        assert leave is not None
        assert (leave["action"], leave["reason"]) == ("RECONNECT", "SERVER_SHUTDOWN")
    await gateway.stop()


async def test_logs_hold_no_token_no_key_and_no_secret(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    async with link_device(gateway) as device:
        secrets = [device._token, gateway.api_secret, *(device.welcome["media"][key] for key in ("key_up", "key_dn"))]
    out, err = capsys.readouterr()
    assert "welcomed" in out
    assert not any(secret in out + err for secret in secrets)


# Floods.


async def test_a_connection_that_asks_for_nothing_is_closed(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener_module, "_REQUEST_TIMEOUT_S", 0.1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.devices.port, ssl=context)
    assert await asyncio.wait_for(reader.read(), DEADLINE_S) == b""
    writer.close()
    assert gateway.devices._listener.n_silent == 1


async def test_a_connection_without_a_handshake_is_closed_and_gives_its_place_back(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener_module, "_HANDSHAKE_TIMEOUT_S", 0.1)
    places = gateway.devices._listener._places
    n_free = places._value
    streams = [await asyncio.open_connection("127.0.0.1", gateway.devices.port) for _ in range(20)]
    streams[0][1].write(b"GET / HTTP/1.1\r\n\r\n")
    for reader, writer in streams:
        await asyncio.wait_for(reader.read(), DEADLINE_S)
        writer.close()
    await until(lambda: places._value == n_free, "the places are free")
    async with link_device(gateway):
        pass
    await until(lambda: places._value == n_free, "the place is free")


async def test_while_all_places_are_taken_others_wait_for_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(listener_module, "_MAX_CONNECTIONS", 2)
    gateway = await Gateway.start(GatewayConfig(state_dir=tmp_path / "state"))
    first = LinkDevice(gateway, gateway.create_device_token("first", "hall"))
    await first.connect()
    async with link_device(gateway, "second"):
        waiting = LinkDevice(gateway, gateway.create_device_token("waiting", "hall"))
        connecting = asyncio.create_task(waiting.connect())
        await first.until(lambda: len(gateway.devices.bridges) == 2, "two are in")
        assert not connecting.done()
        await first.close()
        await connecting
        await waiting.close()
    await gateway.stop()


async def test_links_of_one_token_are_bounded(gateway: Gateway) -> None:
    token = gateway.create_device_token("attic", "hall")
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(8):
            await stack.enter_async_context(dialled(gateway, token))
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await stack.enter_async_context(dialled(gateway, token))
        assert caught.value.status == 503
    async with link_device(gateway):
        assert gateway.devices._links.total() <= 9


async def test_a_device_that_reads_nothing_loses_its_link_before_memory_grows(gateway: Gateway) -> None:
    async with dialled(gateway, gateway.create_device_token("attic", "hall")) as socket:
        await socket.send_str(encode(HELLO))
        await socket.receive_str()
        (bridge,) = gateway.devices.bridges.values()
        link: Link = bridge._link
        for _ in range(200):  # in one go, so that the writer gets no turn
            bridge._say_all([{"t": "data", "topic": "", "payload": "x" * 1_000}])
        assert link._is_closing and not link._messages
        bridge._say_all([{"t": "flush"}])
        assert not link._messages
        await until(lambda: bridge._link is None, "the link is let go of")
        assert bridge.session_id in gateway.devices.bridges


async def test_audio_a_link_does_not_take_is_dropped_the_oldest_first(gateway: Gateway) -> None:
    async with dialled(gateway, gateway.create_device_token("attic", "hall")) as socket:
        await socket.send_str(encode(HELLO))
        await socket.receive_str()
        (bridge,) = gateway.devices.bridges.values()
        taken = [bridge.send_inside(bytes((n,))) for n in range(12)]
        assert taken == [True] * 10 + [False] * 2
        assert (await socket.receive_bytes())[1] == 2


# What stands in the way of a start.


async def test_a_taken_port_is_one_clear_line_and_nothing_stays_open(gateway: Gateway, tmp_path: Path) -> None:
    for taken, words in (
        ({"port": gateway.devices.port}, "TCP 127.0.0.1 port .* --port"),
        ({"udp_port": gateway.media.port}, "UDP 127.0.0.1 port .* --udp-port"),
        ({"room_port": int(gateway.room_server.url.rsplit(":", 1)[1])}, "room port .* --room-port"),
    ):
        with pytest.raises(PortInUse, match=words) as caught:
            await Gateway.start(GatewayConfig(state_dir=tmp_path / "other", **taken))
        assert "in use" in str(caught.value)
        assert "\n" not in str(caught.value)
    other = await Gateway.start(GatewayConfig(state_dir=tmp_path / "other"))
    await other.stop()


async def test_a_state_folder_in_use_is_one_clear_line(gateway: Gateway, tmp_path: Path) -> None:
    with pytest.raises(StateLocked, match=r"in use by a pressroom gateway \(pid \d+\)"):
        await Gateway.start(GatewayConfig(state_dir=tmp_path / "state"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"is_plain": True, "host": "0.0.0.0"},
        {"host": "localhost"},
        {"host": "::1"},
        {"advertise": ""},
        {"advertise": "host:0"},
        {"advertise": "host:65536"},
        {"advertise": "host:x"},
    ],
)
async def test_an_address_that_cannot_be_used_is_one_clear_line(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(AddressUnusable) as caught:
        await Gateway.start(GatewayConfig(state_dir=tmp_path / "state", **wrong))
    assert isinstance(caught.value, UserError)
    assert "\n" not in str(caught.value)


async def test_plain_ws_works_on_loopback_when_asked(tmp_path: Path) -> None:
    gateway = await Gateway.start(GatewayConfig(state_dir=tmp_path / "state", is_plain=True))
    assert gateway.device_url.startswith("ws://127.0.0.1:")
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(
            gateway.device_url, headers={"Authorization": f"Bearer {gateway.create_device_token('attic', 'hall')}"}
        ) as socket,
    ):
        await socket.send_str(encode(HELLO))
        assert (parse(await socket.receive_str()) or {})["t"] == "welcome"
    await gateway.stop()


async def test_the_media_address_is_the_one_the_device_has_found_or_the_advertised(
    gateway: Gateway, tmp_path: Path
) -> None:
    async with link_device(gateway, is_udp=False) as device:
        media = device.welcome["media"]
        assert (media["host"], media["port"]) == ("127.0.0.1", gateway.media.port)
    other = await Gateway.start(GatewayConfig(state_dir=tmp_path / "other", advertise="192.0.2.7:7000"))
    async with link_device(other, is_udp=False) as device:
        media = device.welcome["media"]
        assert (media["host"], media["port"]) == ("192.0.2.7", 7_000)
    await other.stop()
