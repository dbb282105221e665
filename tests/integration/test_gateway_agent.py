"""An agent and a device's button: a scripted agent, an official LiveKit client of the kind, in both rooms."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import numpy as np
import pytest
from gateway_device import RATE_HZ, link_device
from gateways import is_heard
from livekit import api, rtc
from tests.room.clients import DEADLINE_S, Client

from pressroom_host.gateway.server import Gateway


@dataclass
class Agent:
    """What the agent was called for, and how it answers."""

    client: Client
    calls: list[str] = field(default_factory=list)
    heard: str = "go forward"
    came: asyncio.Event = field(default_factory=asyncio.Event)

    def offer_turns(self) -> None:
        """Register the push-to-talk methods."""
        for method in ("start_turn", "end_turn", "cancel_turn"):
            self.client.me.register_rpc_method(method, self._answer(method))

    def _answer(self, method: str):
        async def answer(data: rtc.RpcInvocationData) -> str:
            self.calls.append(f"{data.caller_identity} {method}")
            self.came.set()
            return self.heard if method == "end_turn" else ""

        return answer

    async def until_called(self, n_calls: int) -> None:
        while len(self.calls) < n_calls:
            self.came.clear()
            await asyncio.wait_for(self.came.wait(), DEADLINE_S)

    async def show(self, state: str) -> None:
        """Say what it does."""
        await self.client.me.set_attributes({"lk.agent.state": state})


@contextlib.asynccontextmanager
async def joined(gateway: Gateway, identity: str = "agent-1") -> AsyncIterator[Agent]:
    room = gateway.room
    grants = api.VideoGrants(
        room_join=True, room="hall", agent=True, can_publish=True, can_subscribe=True, can_publish_data=True
    )
    grants.can_update_own_metadata = True
    token = (
        api.AccessToken(room.api_key, room.api_secret).with_identity(identity).with_kind("agent").with_grants(grants)
    )
    client = Client()
    await asyncio.wait_for(client.room.connect(room.url, token.to_jwt()), DEADLINE_S)
    try:
        yield Agent(client)
    finally:
        await client.room.disconnect()


@pytest.fixture
async def agent(gateway: Gateway) -> AsyncIterator[Agent]:
    async with joined(gateway) as there:
        there.offer_turns()
        await there.show("listening")
        yield there


def tone(seconds: float) -> np.ndarray:
    return (9_000 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * RATE_HZ)) / RATE_HZ)).astype(np.int16)


async def test_a_press_and_a_release_are_a_turn_of_the_agent(gateway: Gateway, agent: Agent) -> None:
    async with link_device(gateway) as device:
        await device.message("state", agent="listening")
        await device.speak(tone(0.5))
        await agent.until_called(2)
        assert agent.calls == ["attic start_turn", "attic end_turn"]


async def test_all_that_was_said_has_gone_out_before_the_turn_ends(gateway: Gateway, agent: Agent) -> None:
    async with link_device(gateway, codec="opus") as device:
        await is_heard(gateway, "attic")
        stats = next(iter(gateway.devices.bridges.values())).stats
        said = await device.speak(tone(1.0))
        await agent.until_called(2)
        assert stats.n_up_passed == len(said)


async def test_a_touch_of_the_button_is_no_turn(gateway: Gateway, agent: Agent) -> None:
    async with link_device(gateway) as device:
        await device.message("state", agent="listening")
        device.press()
        device.send_frame(tone(0.02))
        device.release()
        await agent.until_called(2)
        assert agent.calls == ["attic start_turn", "attic cancel_turn"]


async def test_a_link_that_dies_in_a_turn_cancels_it(gateway: Gateway, agent: Agent) -> None:
    async with link_device(gateway) as device:
        await device.message("state", agent="listening")
        device.press()
        await agent.until_called(1)
        await device.lose_link()
        await agent.until_called(2)
        assert agent.calls[1] == "attic cancel_turn"


async def test_a_turn_in_which_nothing_was_heard_is_told(gateway: Gateway, agent: Agent) -> None:
    agent.heard = ""
    async with link_device(gateway) as device:
        await device.message("state", agent="listening")
        await device.speak(np.zeros(RATE_HZ // 2, np.int16))
        await device.message("state", turn="unheard")


async def test_an_agent_without_the_methods_hears_mute_and_unmute(gateway: Gateway) -> None:
    async with joined(gateway) as agent, link_device(gateway) as device:
        await agent.show("listening")
        await device.message("state", agent="listening")
        await agent.client.event("track_subscribed")
        await device.speak(tone(0.5))
        await agent.client.event("track_unmuted")
        await agent.client.event("track_muted")
        assert not any(message["t"] == "state" and "turn" in message for message in device.messages)


async def test_what_the_agent_does_and_what_both_say_reaches_the_device(gateway: Gateway, agent: Agent) -> None:
    async with link_device(gateway) as device:
        await device.message("state", agent="listening")
        for state in ("thinking", "speaking", "listening"):
            await agent.show(state)
            await device.message("state", agent=state)
        for final in ("false", "true"):
            writer = await agent.client.me.stream_text(
                topic="lk.transcription",
                sender_identity="attic",
                attributes={"lk.transcription_final": final, "lk.segment_id": "SG_1"},
            )
            await writer.write("go forward")
            await writer.aclose()
            told = await device.message("transcription", final=final == "true")
            assert (told["id"], told["text"], told["participant_identity"]) == ("SG_1", "go forward", "attic")
        await agent.client.me.send_text("x" * 5_000, topic="lk.transcription", attributes={"lk.segment_id": "SG_2"})
        told = await device.message("transcription", id="SG_2")
        assert told["text"] == "x" * 500
        assert told["participant_identity"] == "agent-1"


# Tools of the board.


async def test_a_tool_of_a_device_is_announced_and_called(gateway: Gateway, agent: Agent) -> None:
    async with link_device(gateway) as device:
        parameters = {"on": {"type": "boolean", "description": "lit"}}
        device.say({"t": "tool", "name": "lamp", "description": "Switch the lamp.", "parameters": parameters})
        device_there = await agent.client.until(
            lambda: (
                (who := agent.client.room.remote_participants.get("attic"))
                and "pressroom.tool.lamp" in who.attributes
                and who
            ),
            "the tool is announced",
        )
        tool = json.loads(device_there.attributes["pressroom.tool.lamp"])
        assert (tool["description"], tool["parameters"]["required"]) == ("Switch the lamp.", ["on"])
        call = asyncio.create_task(
            agent.client.me.perform_rpc(destination_identity="attic", method="lamp", payload='{"on": true}')
        )
        asked = await device.message("rpc", method="lamp", payload='{"on": true}')
        device.say({"t": "rpc_result", "id": asked["id"], "payload": "the lamp is on"})
        assert await asyncio.wait_for(call, DEADLINE_S) == "the lamp is on"
