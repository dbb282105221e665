"""Remote calls of our client: every one ends, with an answer or an error that says why."""

import asyncio

import pytest
from livekit.protocol import models

from pressroom_host.livekit_client import rpc as rpc_module
from pressroom_host.livekit_client.errors import RpcError
from pressroom_host.livekit_client.rpc import Rpc


class Wire:
    """Two Rpcs, each other's only participant; `sent` is what went by."""

    def __init__(self) -> None:
        self.sent: list[models.DataPacket] = []
        self.is_cut = False
        self.alice = Rpc(lambda packet: self._carry(packet, "alice"))
        self.bob = Rpc(lambda packet: self._carry(packet, "bob"))

    def _carry(self, packet: models.DataPacket, sender: str) -> None:
        packet.participant_identity = sender
        self.sent.append(packet)
        if not self.is_cut:
            asyncio.get_running_loop().call_soon((self.bob if sender == "alice" else self.alice).packet_came, packet)

    def kinds(self) -> list[str]:
        return [packet.WhichOneof("value") for packet in self.sent]


@pytest.fixture
async def wire():
    made = Wire()
    yield made
    await made.alice.close()
    await made.bob.close()


async def failing(call) -> int:
    with pytest.raises(RpcError) as error:
        await call
    return error.value.code


async def test_a_call_is_acknowledged_and_answered(wire):
    async def shout(identity: str, payload: str) -> str:
        return f"{identity} {payload.upper()}"

    wire.bob.register("shout", shout)
    assert await wire.alice.call("bob", "shout", "hey", 1.0) == "alice HEY"
    assert wire.kinds() == ["rpc_request", "rpc_ack", "rpc_response"]


async def test_an_unknown_method_or_version_is_refused(wire):
    assert await failing(wire.alice.call("bob", "nothing", "", 1.0)) == 1_400
    request = models.RpcRequest(id="r", method="m", version=7)
    wire.bob.packet_came(models.DataPacket(participant_identity="alice", rpc_request=request))
    assert wire.sent[-1].rpc_response.error.code == 1_404


async def test_a_handler_that_raises_or_answers_too_much_or_too_late_is_an_error(wire):
    async def raises(identity: str, payload: str) -> str:
        raise ZeroDivisionError

    async def own(identity: str, payload: str) -> str:
        raise RpcError(1_234, "mine", "data")

    async def floods(identity: str, payload: str) -> str:
        return "x" * 20_000

    async def sleeps(identity: str, payload: str) -> str:
        await asyncio.sleep(60)
        return ""

    for method, handler, code in (("a", raises, 1_500), ("b", own, 1_234), ("c", floods, 1_504), ("d", sleeps, 1_502)):
        wire.bob.register(method, handler)
        assert await failing(wire.alice.call("bob", method, "", 0.2)) == code


async def test_a_call_to_nobody_ends_when_nothing_acknowledges_it(wire, monkeypatch):
    monkeypatch.setattr(rpc_module, "_ACK_TIMEOUT_S", 0.05)
    wire.is_cut = True
    assert await failing(wire.alice.call("nobody", "greet", "", 60.0)) == 1_501


async def test_a_callee_that_leaves_fails_its_calls(wire):
    wire.is_cut = True
    call = asyncio.create_task(wire.alice.call("bob", "greet", "", 60.0))
    await asyncio.sleep(0)
    wire.alice.left("bob")
    assert await failing(call) == 1_503


async def test_what_is_too_long_is_not_sent(wire):
    assert await failing(wire.alice.call("bob", "greet", "x" * 20_000, 1.0)) == 1_402
    assert wire.sent == []


async def test_an_answer_from_somebody_else_is_none(wire):
    wire.is_cut = True
    call = asyncio.create_task(wire.alice.call("bob", "greet", "", 0.1))
    await asyncio.sleep(0)
    response = models.RpcResponse(request_id=wire.sent[0].rpc_request.id, payload="forged")
    wire.alice.packet_came(models.DataPacket(participant_identity="mallory", rpc_response=response))
    assert await failing(call) in (1_501, 1_502)


async def test_closing_fails_what_waits_and_ends_what_runs(wire):
    started = asyncio.Event()

    async def sleeps(identity: str, payload: str) -> str:
        started.set()
        await asyncio.sleep(60)
        return ""

    wire.bob.register("sleep", sleeps)
    call = asyncio.create_task(wire.alice.call("bob", "sleep", "", 60.0))
    await started.wait()
    await wire.alice.close()
    assert await failing(call) == 1_505
    await wire.bob.close()
    assert not wire.bob._running


async def test_calls_are_bounded_both_ways(wire, monkeypatch):
    monkeypatch.setattr(rpc_module, "_MAX_CALLS", 2)
    wire.is_cut = True
    calls = [asyncio.create_task(wire.alice.call("bob", "greet", "", 60.0)) for _ in range(2)]
    await asyncio.sleep(0)
    assert await failing(wire.alice.call("bob", "greet", "", 1.0)) == 1_505
    await wire.alice.close()
    await asyncio.gather(*calls, return_exceptions=True)


async def test_packets_of_other_kinds_are_left_to_others(wire):
    assert not wire.alice.packet_came(models.DataPacket(user=models.UserPacket(payload=b"x")))
    assert wire.alice.packet_came(models.DataPacket(rpc_ack=models.RpcAck(request_id="unknown")))
    assert wire.alice.packet_came(models.DataPacket(rpc_response=models.RpcResponse(request_id="unknown")))
