"""Data between official clients: packets, RPC and text streams."""

import asyncio

import pytest
from livekit import rtc
from tests.room.clients import DEADLINE_S


@pytest.mark.parametrize("reliable", [True, False])
async def test_a_packet_reaches_all_others_with_its_source_and_topic(join, reliable):
    alice, bob, carol = await join("alice"), await join("bob"), await join("carol")
    await bob.event("participant_connected")
    await alice.me.publish_data(b"first", reliable=True)  # the channels are open once this has arrived
    for listener in (bob, carol):
        await listener.event("data_received")
    await alice.me.publish_data(b"payload", reliable=reliable, topic="news")
    for listener in (bob, carol):
        (packet,) = await listener.event("data_received")
        assert (packet.data, packet.topic, packet.participant.identity) == (b"payload", "news", "alice")
    assert "data_received" not in alice.names()


async def test_an_addressed_packet_reaches_nobody_else(join):
    alice, bob, carol = await join("alice"), await join("bob"), await join("carol")
    await alice.me.publish_data(b"for carol", destination_identities=["carol"])
    await alice.me.publish_data(b"for all")
    (packet,) = await carol.event("data_received")
    assert packet.data == b"for carol"
    (packet,) = await bob.event("data_received")
    assert packet.data == b"for all"


async def test_reliable_packets_keep_their_order_and_none_is_missing(join):
    alice, bob = await join("alice"), await join("bob")
    for number in range(300):
        await alice.me.publish_data(b"%d" % number, reliable=True)
    got = [(await bob.event("data_received"))[0].data for _ in range(300)]
    assert got == [b"%d" % number for number in range(300)]


async def test_nothing_reliable_is_lost_while_a_client_is_still_connecting(join, room_server):
    alice = await join("alice")
    sent = []

    def greet(participant: rtc.RemoteParticipant) -> None:
        sent.append(asyncio.ensure_future(alice.me.publish_data(b"welcome", reliable=True)))

    alice.room.on("participant_connected", greet)
    for number in range(3):
        newcomer = await join(f"newcomer-{number}")
        (packet,) = await newcomer.event("data_received")
        assert packet.data == b"welcome"
    await asyncio.gather(*sent)


async def test_without_the_grant_no_data_is_forwarded(join):
    alice, bob = await join("alice", can_publish_data=False), await join("bob")
    carol = await join("carol")
    await alice.me.publish_data(b"refused", reliable=True)
    await carol.me.publish_data(b"taken", reliable=True)
    (packet,) = await bob.event("data_received")
    assert packet.data == b"taken"
    assert "data_received" not in bob.names()


async def test_a_procedure_is_called_and_answers(join):
    alice, bob = await join("alice"), await join("bob")

    @bob.me.register_rpc_method("greet")
    async def greet(invocation: rtc.RpcInvocationData) -> str:
        return f"{invocation.caller_identity} said {invocation.payload}"

    call = alice.me.perform_rpc(destination_identity="bob", method="greet", payload="hello")
    assert await asyncio.wait_for(call, DEADLINE_S) == "alice said hello"


async def test_an_unknown_procedure_is_an_error_at_the_caller(join):
    alice, _bob = await join("alice"), await join("bob")
    call = alice.me.perform_rpc(destination_identity="bob", method="nothing", payload="")
    with pytest.raises(rtc.RpcError) as error:
        await asyncio.wait_for(call, DEADLINE_S)
    assert error.value.code == rtc.RpcError.ErrorCode.UNSUPPORTED_METHOD


async def test_a_procedure_carries_14_kilobytes_each_way(join):
    alice, bob = await join("alice"), await join("bob")

    @bob.me.register_rpc_method("echo")
    async def echo(invocation: rtc.RpcInvocationData) -> str:
        return invocation.payload

    call = alice.me.perform_rpc(destination_identity="bob", method="echo", payload="x" * 14_000)
    assert await asyncio.wait_for(call, DEADLINE_S) == "x" * 14_000


@pytest.mark.parametrize("text", ["short", "long " * 20_000])
async def test_a_text_stream_arrives_whole(join, text):
    alice, bob = await join("alice"), await join("bob")
    arrived: asyncio.Future[tuple[str, str]] = asyncio.get_running_loop().create_future()
    tasks = []

    def on_stream(reader: rtc.TextStreamReader, identity: str) -> None:
        async def read() -> None:
            arrived.set_result((await reader.read_all(), identity))

        tasks.append(asyncio.ensure_future(read()))

    bob.room.register_text_stream_handler("notes", on_stream)
    await alice.me.send_text(text, topic="notes")
    assert await asyncio.wait_for(arrived, DEADLINE_S) == (text, "alice")
    await asyncio.gather(*tasks)
