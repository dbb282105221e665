"""Devices in a real LiveKit server: what its token says of each, and that its Session survives any trouble there."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from gateway_device import RATE_HZ, LinkDevice, link_device
from gateways import door_of, is_heard, known, running_gateway
from livekit import api
from livekit.protocol.room import RoomParticipantIdentity
from tests.livekit_server.server import LiveKitServer
from tests.room.clients import Client, hears
from tests.room.own_clients import own_client, speaking

from pressroom_host.demo.house import House
from pressroom_host.gateway import server as gateway_server
from pressroom_host.gateway.server import Gateway, GatewayConfig

BACK_WITHIN_S = 10.0


@pytest.fixture
async def livekit() -> AsyncIterator[LiveKitServer]:
    async with LiveKitServer.running() as server:
        yield server


@pytest.fixture
async def gateway(tmp_path: Path, livekit: LiveKitServer) -> AsyncIterator[Gateway]:
    async with running_gateway(tmp_path / "state", livekit) as running:
        yield running


@contextlib.asynccontextmanager
async def official(gateway: Gateway, identity: str) -> AsyncIterator[Client]:
    client, door = Client(), door_of(gateway)
    await client.room.connect(door.url, door.token(identity))
    try:
        yield client
    finally:
        await client.room.disconnect()


def tone(frequency_hz: float, seconds: float) -> np.ndarray:
    return (12_000 * np.sin(2 * np.pi * frequency_hz * np.arange(int(seconds * RATE_HZ)) / RATE_HZ)).astype(np.int16)


def sweep(seconds: float) -> np.ndarray:
    """A sound whose packets all differ."""
    n = np.arange(int(seconds * RATE_HZ))
    return (8_000 * np.sin(2 * np.pi * (300 + n / 40) * n / RATE_HZ)).astype(np.int16)


async def refused(gateway: Gateway) -> dict[str, str]:
    """Return what a device is told that is not let in."""
    device = LinkDevice(gateway, gateway.create_device_token("attic", "hall"))
    await device.connect()
    try:
        leave = device.refusal or await device.message("leave")
        return {"reason": leave["reason"], "message": leave["message"], "action": leave["action"]}
    finally:
        await device.close()


async def test_a_device_is_there_with_what_its_token_says(gateway: Gateway) -> None:
    async with official(gateway, "client") as client, link_device(gateway, "attic"):
        (participant,) = await client.event("participant_connected")
        assert (participant.identity, participant.name) == ("attic", "attic")
    token = gateway.create_device_token("listener", "hall", name="In the hall", can_subscribe=False)
    async with official(gateway, "client") as client:
        device = LinkDevice(gateway, token)
        await device.connect()
        (participant,) = await client.event("participant_connected")
        assert (participant.identity, participant.name) == ("listener", "In the hall")
        voice = await client.publish()
        async with voice.tone(440):
            await asyncio.sleep(0.5)
        assert device.heard == []
        await device.close()


async def test_the_payloads_of_a_device_reach_subscribers_byte_for_byte(gateway: Gateway) -> None:
    async with own_client(door_of(gateway), "ear") as (_, ear), link_device(gateway, codec="opus") as device:
        await is_heard(gateway, "attic")
        said = await device.speak(sweep(1.0))
        await ear.until(lambda: len(ear.payloads) >= len(said), "all that was said")
        assert ear.payloads == said
        assert len(set(said)) == 50


async def test_a_device_is_told_who_speaks_and_how_well_it_is_reached(gateway: Gateway) -> None:
    async with official(gateway, "client") as client, link_device(gateway) as device:
        voice = await client.publish()
        async with voice.tone(440):
            await device.message("participant", identity="client", is_speaking=True)
        await device.message("participant", identity="client", is_speaking=False)
        mine = await device.until(
            lambda: next((m for m in device.messages if m.get("identity") == "attic" and "quality" in m), None),
            "quality",
        )
        assert mine["quality"] in ("EXCELLENT", "GOOD", "POOR", "LOST")


async def test_others_see_that_a_device_speaks(gateway: Gateway) -> None:
    async with official(gateway, "client") as client, link_device(gateway, codec="opus") as device:
        told: list[str] = []
        client.room.on("active_speakers_changed", lambda speakers: told.extend(who.identity for who in speakers))
        await client.event("track_subscribed")
        await device.speak(tone(440, 1.5))
        await client.until(lambda: "attic" in told, "the device is an active speaker")


# Trouble at the start.


async def test_a_server_that_cannot_be_reached_is_told_and_the_device_may_try_again(tmp_path: Path) -> None:
    nowhere = gateway_server.LiveKitServer("ws://127.0.0.1:9", "APInobody", "s" * 32)
    running = await Gateway.start(GatewayConfig(state_dir=tmp_path / "state", livekit=nowhere))
    try:
        told = await refused(running)
        assert (told["reason"], told["action"]) == ("ROOM_UNAVAILABLE", "RECONNECT")
        assert "does the server run" in told["message"]
    finally:
        await running.stop()


async def test_a_wrong_key_is_told(tmp_path: Path, livekit: LiveKitServer) -> None:
    wrong = gateway_server.LiveKitServer(livekit.url, livekit.api_key, "another-secret-of-at-least-32-bytes")
    running = await Gateway.start(GatewayConfig(state_dir=tmp_path / "state", livekit=wrong))
    try:
        told = await refused(running)
        assert told["reason"] == "ROOM_UNAVAILABLE"
        assert "API key" in told["message"]
        assert "eyJ" not in told["message"]
    finally:
        await running.stop()


async def test_a_full_room_is_told(tmp_path: Path) -> None:
    async with (
        LiveKitServer.running(max_participants=1) as livekit,
        running_gateway(tmp_path / "state", livekit) as gateway,
        link_device(gateway, "first"),
    ):
        told = await refused(gateway)
        assert told["reason"] == "ROOM_UNAVAILABLE"
        assert "full" in told["message"]


# Trouble later.


async def test_a_device_that_the_admin_removes_is_told_and_does_not_come_back(gateway: Gateway) -> None:
    async with link_device(gateway) as device:
        async with api.LiveKitAPI(gateway.room.url, gateway.room.api_key, gateway.room.api_secret) as admin:
            await admin.room.remove_participant(RoomParticipantIdentity(room="hall", identity="attic"))
        await device.until(lambda: device.refusal, "a goodbye")
        assert (device.refusal["action"], device.refusal["reason"]) == ("DISCONNECT", "PARTICIPANT_REMOVED")


async def test_a_device_whose_identity_joins_elsewhere_is_told(gateway: Gateway) -> None:
    async with link_device(gateway) as device, own_client(door_of(gateway), "attic"):
        await device.until(lambda: device.refusal, "a goodbye")
        assert (device.refusal["action"], device.refusal["reason"]) == ("DISCONNECT", "DUPLICATE_IDENTITY")


async def test_all_devices_are_back_soon_after_the_server_was_killed_under_load(
    gateway: Gateway, livekit: LiveKitServer
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        devices = [await stack.enter_async_context(link_device(gateway, f"device-{n}", codec="opus")) for n in range(5)]
        talking = asyncio.create_task(devices[0].speak(tone(440, 60.0)))
        await devices[1].until(lambda: len(devices[1].heard) > 20, "somebody talks")
        sessions = [device.welcome["session"] for device in devices]
        await livekit.kill()
        for device in devices:
            await device.message("state", room="reconnecting")
        await livekit.start()
        started_s = time.monotonic()
        for device in devices:
            await device.message("state", room="connected")
        for device in devices[1:]:
            n_heard = len(device.heard)
            await device.until(lambda device=device, n=n_heard: len(device.heard) > n + 10, "the same talk goes on")
        assert time.monotonic() - started_s < BACK_WITHIN_S
        assert [device.welcome["session"] for device in devices] == sessions
        talking.cancel()
        await asyncio.wait([talking])


async def test_the_led_of_a_board_says_that_the_room_is_away_and_back(tmp_path: Path, livekit: LiveKitServer) -> None:
    async with House(tmp_path / "state", livekit=known(livekit)) as house:
        await house.wait_ready(house.board)
        await livekit.kill()
        await house.board.wait_led("connecting", BACK_WITHIN_S)
        await livekit.start()
        await house.wait_ready(house.board)
        async with official_in(house) as client:
            track, _, _ = await client.event("track_subscribed")
            await house.board.mic(tone(700, 3.0))
            await house.board.press()
            await hears(track, 700)
            await house.board.release()


@contextlib.asynccontextmanager
async def official_in(house: House) -> AsyncIterator[Client]:
    client = Client()
    await client.room.connect(house.room_url, house.room_token("client"))
    try:
        yield client
    finally:
        await client.room.disconnect()


async def test_what_is_passed_down_is_as_it_was_said(gateway: Gateway) -> None:
    async with own_client(door_of(gateway), "speaker") as (speaker, _), link_device(gateway, codec="opus") as device:
        microphone = speaker.publish_opus("microphone")
        await microphone.subscribed()
        async with speaking(microphone, 600):
            await device.until(lambda: len(device.heard) > 50, "a second of it")
        stats = next(iter(gateway.devices.bridges.values())).stats
        assert stats.n_dn_passed > 45
        assert stats.n_dn_transcoded == 0
