"""Messages through the gateway: who is there, data, and calls both ways, with the official client at the other end."""

import asyncio
import io
import json
from collections.abc import AsyncIterator

import pytest
import structlog
from gateway_device import LinkDevice, link_device
from gateways import door_of
from livekit import rtc
from tests.room.clients import DEADLINE_S, Client

from pressroom.wire.messages import encode
from pressroom_host.gateway.log import write_logs_to
from pressroom_host.gateway.server import Gateway

RPC_UNSUPPORTED_METHOD = 1400  # LiveKit's codes
RPC_RECIPIENT_NOT_FOUND = 1401
RPC_REQUEST_TOO_LARGE = 1402
RPC_CONNECTION_TIMEOUT = 1501
RPC_RESPONSE_TIMEOUT = 1502
RPC_RECIPIENT_DISCONNECTED = 1503
RPC_RESPONSE_TOO_LARGE = 1504


async def join(gateway: Gateway, identity: str) -> Client:
    door = door_of(gateway)
    client = Client()
    await asyncio.wait_for(client.room.connect(door.url, door.token(identity)), DEADLINE_S)
    return client


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[Client]:
    joined = await join(gateway, "client")
    yield joined
    await joined.room.disconnect()


@pytest.fixture
async def device(gateway: Gateway, client: Client) -> AsyncIterator[LinkDevice]:
    async with link_device(gateway) as connected:
        yield connected


# Who is there.


async def test_a_device_is_a_participant_with_a_muted_microphone(gateway: Gateway, client: Client) -> None:
    async with link_device(gateway) as device:
        (participant,) = await client.event("participant_connected")
        assert participant.identity == device.welcome["identity"] == "attic"
        publication, _ = await client.event("track_published")
        assert publication.source == rtc.TrackSource.SOURCE_MICROPHONE
        assert publication.muted
    (participant,) = await client.event("participant_disconnected")
    assert participant.disconnect_reason == rtc.DisconnectReason.CLIENT_INITIATED


async def test_a_device_is_told_who_is_there_and_what_changes(
    gateway: Gateway, device: LinkDevice, client: Client
) -> None:
    known = await device.message("participant", identity="client")
    assert known["state"] == "ACTIVE"
    newcomer = await join(gateway, "newcomer")
    told = await device.message("participant", identity="newcomer")
    await newcomer.me.set_attributes({"mood": "bright"})
    await device.message("participant", identity="newcomer", attributes={"mood": "bright"})
    await newcomer.me.set_metadata("a note")
    await device.message("participant", identity="newcomer", metadata="a note")
    voice = await newcomer.publish()
    track = await device.message("track", participant=told["sid"])
    assert (track["kind"], track["source"], track["subscribed"]) == ("AUDIO", "MICROPHONE", True)
    voice.track.mute()
    await device.message("track", sid=track["sid"], muted=True)
    await newcomer.me.unpublish_track(voice.publication.sid)
    await device.message("track", sid=track["sid"], subscribed=False)
    await newcomer.room.disconnect()
    await device.message("participant", identity="newcomer", state="DISCONNECTED")


async def test_a_device_that_resumes_is_told_everything_again(device: LinkDevice) -> None:
    await device.message("participant", identity="client")
    await device.lose_link()
    device.messages.clear()
    await device.connect()
    assert device.welcome["resumed"]
    await device.message("participant", identity="client")


async def test_the_agents_state_is_told_and_its_leaving(gateway: Gateway, device: LinkDevice) -> None:
    agent = await join(gateway, "agent")
    await agent.me.set_attributes({"lk.agent.state": "thinking"})
    await device.message("state", agent="thinking")
    await agent.me.set_attributes({"lk.agent.state": "speaking"})
    await device.message("state", agent="speaking")
    await agent.room.disconnect()
    await device.message("state", agent="disconnected")


async def test_what_is_too_long_for_a_device_is_told_without_attributes_or_not_at_all(
    gateway: Gateway, client: Client
) -> None:
    async with link_device(gateway, max_message_bytes=512) as device:
        await client.me.set_attributes({"long": "x" * 600})
        await client.me.set_name("renamed")
        message = await device.message("participant", identity="client", name="renamed")
        assert "attributes" not in message
        await client.me.publish_data(b"y" * 600, reliable=True, topic="long")
        await client.me.publish_data(b"short", reliable=True, topic="short")
        await device.message("data", topic="short")
        assert not any(message["t"] == "data" for message in device.messages)
        (bridge,) = gateway.devices.bridges.values()
        assert bridge.stats.n_messages_too_long == 1


# Data.


async def test_data_goes_both_ways(device: LinkDevice, client: Client) -> None:
    await client.me.publish_data("grün".encode(), reliable=True, topic="lights", destination_identities=["attic"])
    assert (await device.message("data"))["payload"] == "grün"
    device.say({"t": "data", "topic": "mood", "payload": "heiter ☀"})
    (packet,) = await client.event("data_received")
    assert (packet.data.decode(), packet.topic, packet.participant.identity) == ("heiter ☀", "mood", "attic")


async def test_data_goes_to_its_destinations_only(gateway: Gateway, device: LinkDevice, client: Client) -> None:
    other = await join(gateway, "other")
    await device.message("participant", identity="other")
    device.say({"t": "data", "topic": "a", "payload": "1", "destination_identities": ["client"]})
    device.say({"t": "data", "topic": "b", "payload": "2"})
    for receiver, topics in ((client, ["a", "b"]), (other, ["b"])):
        assert [(await receiver.event("data_received"))[0].topic for _ in topics] == topics
    await other.room.disconnect()


async def test_data_that_is_no_text_is_counted_and_dropped(
    gateway: Gateway, device: LinkDevice, client: Client
) -> None:
    await client.me.publish_data(b"\xff\xfe", reliable=True, topic="binary")
    await client.me.publish_data(b"text", reliable=True, topic="text")
    await device.message("data", topic="text")
    (bridge,) = gateway.devices.bridges.values()
    assert bridge.stats.n_messages_refused == 1


# Calls.


async def call(client: Client, payload: str = "7", timeout_s: float = DEADLINE_S) -> str:
    return await client.me.perform_rpc(
        destination_identity="attic", method="set_volume", payload=payload, response_timeout=timeout_s
    )


async def test_a_client_calls_a_device(device: LinkDevice, client: Client) -> None:
    await client.event("participant_connected")
    calling = asyncio.create_task(call(client))
    request = await device.message("rpc", method="set_volume")
    assert (request["payload"], request["caller_identity"]) == ("7", "client")
    device.say({"t": "rpc_result", "id": request["id"], "payload": json.dumps({"volume": 7})})
    assert json.loads(await calling) == {"volume": 7}


async def test_a_devices_error_reaches_its_caller(device: LinkDevice, client: Client) -> None:
    await client.event("participant_connected")
    calling = asyncio.create_task(call(client))
    request = await device.message("rpc")
    error = {"code": RPC_UNSUPPORTED_METHOD, "message": "no such method"}
    device.say({"t": "rpc_result", "id": request["id"], "error": error})
    with pytest.raises(rtc.RpcError) as caught:
        await calling
    assert (caught.value.code, caught.value.message) == (RPC_UNSUPPORTED_METHOD, "no such method")


async def test_a_call_a_device_cannot_be_given_fails_at_once(device: LinkDevice, client: Client) -> None:
    await client.event("participant_connected")
    with pytest.raises(rtc.RpcError) as caught:
        await call(client, payload="x" * 3_000)
    assert caught.value.code == RPC_REQUEST_TOO_LARGE
    await device.lose_link()
    await asyncio.sleep(0)
    with pytest.raises(rtc.RpcError) as caught:
        await call(client)
    assert caught.value.code == RPC_CONNECTION_TIMEOUT


async def test_a_device_calls_a_client(device: LinkDevice, client: Client) -> None:
    @client.me.register_rpc_method("weather")
    async def weather(data: rtc.RpcInvocationData) -> str:
        assert data.caller_identity == "attic"
        return f"sunny in {data.payload}"

    await device.message("participant", identity="client")
    device.say({"t": "rpc", "id": "r1", "method": "weather", "payload": "Kyoto", "destination_identity": "client"})
    assert (await device.message("rpc_result", id="r1"))["payload"] == "sunny in Kyoto"


async def test_calls_of_a_device_that_fail_are_answered(gateway: Gateway, device: LinkDevice, client: Client) -> None:
    called, gone = asyncio.Event(), asyncio.Event()

    @client.me.register_rpc_method("slow")
    async def slow(data: rtc.RpcInvocationData) -> str:
        called.set()
        await gone.wait()
        return ""

    @client.me.register_rpc_method("long")
    async def long(data: rtc.RpcInvocationData) -> str:
        return "x" * 3_000

    await device.message("participant", identity="client")
    leaver = await join(gateway, "leaver")
    await device.message("participant", identity="leaver")
    leaver.me.register_rpc_method("slow", slow)
    for call_id, method, callee, code in (
        ("r1", "none", "client", RPC_UNSUPPORTED_METHOD),
        ("r2", "none", "nobody", RPC_RECIPIENT_NOT_FOUND),
        ("r3", "slow", "client", RPC_RESPONSE_TIMEOUT),
        ("r4", "long", "client", RPC_RESPONSE_TOO_LARGE),
        ("r5", "slow", "leaver", RPC_RECIPIENT_DISCONNECTED),
    ):
        request = {"t": "rpc", "id": call_id, "method": method, "payload": "", "destination_identity": callee}
        called.clear()
        device.say({**request, "response_timeout_ms": 300 if method == "slow" and callee == "client" else 9_000})
        if callee == "leaver":
            await asyncio.wait_for(called.wait(), DEADLINE_S)
            await leaver.room.disconnect()
        assert (await device.message("rpc_result", id=call_id))["error"]["code"] == code
    gone.set()


# What a device may not.


async def test_messages_that_cannot_be_read_are_counted_and_the_session_goes_on(
    gateway: Gateway, device: LinkDevice
) -> None:
    for text in ("", "{", "[]", '{"t": 1}', '{"t": "mute"}', '{"t": "dance"}', "x" * 2_048, '{"t": "hello"}'):
        await device.socket.send_str(text)
    await device.socket.send_bytes(b"")
    await device.socket.send_bytes(b"\2ota")
    device.say({"t": "data", "topic": "still", "payload": "here"})
    device.say({"t": "rpc", "id": "r", "method": "m", "payload": "", "destination_identity": "nobody"})
    await device.message("rpc_result", id="r")
    (bridge,) = gateway.devices.bridges.values()
    assert bridge._session.n_bad_messages == 7
    assert bridge._session.n_unknown_messages == 1


async def test_a_device_can_write_only_counters_into_the_log(gateway: Gateway) -> None:
    written = io.StringIO()
    write_logs_to(written)
    values = {"n_sent": 1, "depth_frames": 2, "event": 3, "ses": 4, "level": 5, "a b": 6, "n_\nses": 7, "": 8, "=": 9}
    async with link_device(gateway) as device:
        device.say({"t": "stats", "values": values})
        device.say({"t": "rpc", "id": "r", "method": "m", "payload": "", "destination_identity": "nobody"})
        await device.message("rpc_result", id="r")
        session = device.welcome["session"]
    structlog.reset_defaults()
    (line,) = [line for line in written.getvalue().splitlines() if "event=device" in line]
    assert line.startswith(f"ses={session} event=device n_sent=1 depth_frames=2 level=info at=")


async def test_a_message_that_is_too_long_ends_the_link_and_not_the_session(device: LinkDevice) -> None:
    await device.socket.send_str(encode({"t": "data", "payload": "", "topic": ""}) + " " * 3_000)
    await device.until(lambda: device.socket.closed, "the end of the link")
    await device.lose_link()
    await device.connect()
    assert device.welcome["resumed"]


async def test_calls_are_bounded(device: LinkDevice, client: Client) -> None:
    @client.me.register_rpc_method("never")
    async def never(data: rtc.RpcInvocationData) -> str:
        await asyncio.Event().wait()
        return ""

    await device.message("participant", identity="client")
    for n in range(20):
        request = {"t": "rpc", "id": f"r{n}", "method": "never", "payload": "", "destination_identity": "client"}
        device.say({**request, "response_timeout_ms": 500})
    results = [await device.message("rpc_result") for _ in range(20)]
    codes = sorted(result["error"]["code"] for result in results)
    assert codes == [RPC_RESPONSE_TIMEOUT] * 16 + [1_505] * 4
