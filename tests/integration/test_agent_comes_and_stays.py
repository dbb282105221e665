"""An agent of unmodified livekit-agents and a device, in both rooms: it is called, has the turn, and comes again."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import numpy as np
from gateway_device import RATE_HZ, LinkDevice
from gateways import door_of, is_heard
from tests.agents.worker import Worker
from tests.room.own_clients import own_client

from pressroom_host.gateway.server import Gateway

AGENT = "driver"
ANSWER_HZ = 700
BACK_WITHIN_S = 30.0  # of which a LiveKit server takes 20 to notice


@contextlib.asynccontextmanager
async def device_that_wants_an_agent(gateway: Gateway, identity: str = "attic") -> AsyncIterator[LinkDevice]:
    device = LinkDevice(gateway, gateway.create_device_token(identity, "hall", agent_name=AGENT), codec="opus")
    await device.connect()
    try:
        yield device
    finally:
        await device.close()


def tone(seconds: float) -> np.ndarray:
    return (9_000 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * RATE_HZ)) / RATE_HZ)).astype(np.int16)


def strongest_hz(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * RATE_HZ / len(samples)


async def test_the_agent_is_called_hears_the_turn_drives_the_board_and_answers(gateway: Gateway) -> None:
    async with Worker.running(door_of(gateway), AGENT), device_that_wants_an_agent(gateway) as device:
        await device.message("state", agent="listening")
        parameters = {"direction": {"type": "string"}, "amount": {"type": "integer", "minimum": 1, "maximum": 100}}
        device.say({"t": "tool", "name": "move", "description": "Drive.", "parameters": parameters})
        await device.speak(tone(0.6))
        await device.message("state", agent="thinking")
        told = await device.message("transcription", final=True)
        assert (told["text"], told["participant_identity"]) == ("go forward ten meters", "attic")
        asked = await device.message("rpc", method="move")
        assert asked["payload"] == '{"direction": "forward", "amount": 10}'
        device.say({"t": "rpc_result", "id": asked["id"], "payload": "done"})
        await device.message("state", agent="speaking")
        await device.message("state", agent="listening")
        heard = device.samples_heard()
        assert abs(strongest_hz(heard[RATE_HZ // 10 : RATE_HZ // 2]) - ANSWER_HZ) < 5


async def test_two_devices_in_a_room_have_one_agent(gateway: Gateway) -> None:
    async with (
        Worker.running(door_of(gateway), AGENT),
        device_that_wants_an_agent(gateway, "attic") as attic,
        device_that_wants_an_agent(gateway, "cellar") as cellar,
    ):
        for device in (attic, cellar):
            await device.message("state", agent="listening")
        await asyncio.sleep(1.5)
        agents = {sid for bridge in gateway.devices.bridges.values() for sid in bridge._turns._agents}
        assert len(agents) == 1


async def test_an_agent_whose_worker_comes_later_is_called_again(gateway: Gateway) -> None:
    async with device_that_wants_an_agent(gateway) as device:
        called = await device.message("state", agent="disconnected")
        assert called["message"] == "driver is being called"
        async with Worker.running(door_of(gateway), AGENT):
            await device.until(
                lambda: any(m["t"] == "state" and m.get("agent") == "listening" for m in device.messages),
                "the agent is there",
            )


async def test_after_a_worker_was_killed_a_new_agent_comes(gateway: Gateway) -> None:
    async with device_that_wants_an_agent(gateway) as device:
        async with Worker.running(door_of(gateway), AGENT) as worker:
            await device.message("state", agent="listening")
            await worker.kill()
            killed_s = time.monotonic()
        device.messages.clear()
        async with Worker.running(door_of(gateway), AGENT):
            while not any(m["t"] == "state" and m.get("agent") == "listening" for m in device.messages):
                assert time.monotonic() - killed_s < BACK_WITHIN_S + 5
                await asyncio.sleep(0.1)


async def test_what_was_said_before_the_agent_came_is_its_first_turn(gateway: Gateway) -> None:
    async with (
        own_client(door_of(gateway), "ear") as (_, ear),
        device_that_wants_an_agent(gateway) as device,
    ):
        await is_heard(gateway, "attic")
        said = await device.speak(tone(0.8))
        await ear.until(lambda: ear.payloads == said, "what was said")
        (attic,) = ear.packets.values()
        async with Worker.running(door_of(gateway), AGENT):
            await device.message("transcription", final=True)  # of the agent's first turn
            await ear.until(lambda: [packet[12:] for packet in attic] == said + said, "the same again, for the agent")
            asked = await device.message("rpc", method="move")
            device.say({"t": "rpc_result", "id": asked["id"], "payload": "done"})
            await device.message("state", agent="speaking")
