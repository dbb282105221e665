"""pressroom_host.livekit_client in either room, judged by official clients, and by what two of it tell each other."""

import asyncio
import struct
import time
from itertools import pairwise

import pytest
from livekit import rtc
from livekit.protocol import models
from tests.integration.link_proxy import LinkProxy
from tests.net.peers import until
from tests.room.clients import DEADLINE_S, Door, hears
from tests.room.own_clients import Ear, opus_tone, own_client, say, speaking

from pressroom_host.livekit_client.errors import (
    LiveKitError,
    PublishRefused,
    RpcError,
    ServerUnreachable,
    TokenRefused,
    UrlUnusable,
)
from pressroom_host.livekit_client.room import CLOSED, CONNECTED, MAX_DATA_BYTES, LiveKitRoom

Reason = models.DisconnectReason


def rtp(seq: int, timestamp: int, payload: bytes) -> bytes:
    return struct.pack(">BBHII", 0x80, 111, seq & 0xFFFF, timestamp & 0xFFFFFFFF, 0) + payload


# Joining.


async def test_everybody_who_is_there_is_told_of_before_connect_returns(room_server, join):
    alice = await join("alice")
    await alice.publish("mic")
    async with own_client(room_server, "carol") as (_, first):
        await first.event("track")  # a moment later than its publisher's client says
    async with own_client(room_server, "bob") as (bob, ear):
        assert bob.state == CONNECTED
        assert bob.me.identity == "bob"
        assert bob.info.name == room_server.room
        assert {info.identity for info in bob.participants.values()} == {"alice"}
        assert ear.names()[:2] == ["participant", "track"]
        (newcomer,) = await alice.event("participant_connected", lambda who: who.identity == "bob")
        assert newcomer.name == "Bob"
    (gone,) = await alice.event("participant_disconnected", lambda who: who.identity == "bob")
    assert gone.disconnect_reason == rtc.DisconnectReason.CLIENT_INITIATED


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"url": "ws://127.0.0.1:9"}, ServerUnreachable, "does the server run"),
        ({"url": "127.0.0.1:7880"}, UrlUnusable, "wss://HOST"),
        ({"url": "ftp://127.0.0.1"}, UrlUnusable, "wss://HOST"),
        ({"api_secret": "another-secret-of-at-least-32-bytes"}, TokenRefused, "API key"),
        ({"api_key": "APIother"}, TokenRefused, "API key"),
    ],
)
async def test_what_is_wrong_with_a_join_is_told_with_what_to_do(room_server, changes, error, says):
    door = Door(**{**vars(room_server), **changes})
    room = LiveKitRoom(door.url, door.token("bob"), Ear())
    with pytest.raises(error, match=says) as raised:
        await room.connect()
    assert "eyJ" not in str(raised.value)
    assert room.state == CLOSED
    await room.disconnect()


async def test_one_of_the_same_identity_replaces_the_first_for_good(room_server):
    async with own_client(room_server, "bob") as (first, ear), own_client(room_server, "bob") as (second, _):
        assert await ear.event("removed") == (Reason.DUPLICATE_IDENTITY,)
        assert (first.state, second.state) == (CLOSED, CONNECTED)
        await asyncio.sleep(0.2)
        assert second.state == CONNECTED


# Tracks.


async def test_official_clients_hear_its_opus(room_server, join):
    alice = await join("alice")
    async with own_client(room_server, "bob") as (bob, _):
        microphone = bob.publish_opus("microphone")
        await microphone.published()
        track, publication, participant = await alice.event("track_subscribed")
        assert (publication.name, participant.identity) == ("microphone", "bob")
        assert publication.source == rtc.TrackSource.SOURCE_MICROPHONE
        async with speaking(microphone, 440):
            await hears(track, 440)


async def test_it_hears_official_clients(room_server, join):
    alice = await join("alice")
    voice = await alice.publish()
    async with own_client(room_server, "bob") as (_, ear):
        async with voice.tone(700):
            await ear.hears(700)
        await alice.me.unpublish_track(voice.publication.sid)
        assert await ear.event("track_gone") == (voice.publication.sid,)


async def test_every_payload_arrives_as_it_was_sent_also_those_right_after_an_unmute(room_server):
    async with own_client(room_server, "bob") as (bob, _), own_client(room_server, "carol") as (_, ear):
        microphone = bob.publish_opus("microphone", muted=True)
        await microphone.published()
        await microphone.subscribed()
        sent = []
        for _ in range(3):
            packets = opus_tone(500, 30)
            microphone.set_muted(False)
            for packet in packets[:10]:  # a pre-roll
                microphone.send_opus(packet)
            await say(microphone, packets[10:])
            sent += packets
            n_sent = len(sent)
            await ear.until(lambda n_sent=n_sent: len(ear.payloads) >= n_sent, "all of it")
            microphone.set_muted(True)
            await ear.event("track_muted", lambda _, muted: muted)
            await asyncio.sleep(0.6)  # sooner, a LiveKit server may lose the first ones among its own silence
        assert ear.payloads == sent
        seqs = [int.from_bytes(packet[2:4], "big") for packet in next(iter(ear.packets.values()))]
        for talk in (seqs[start : start + 30] for start in range(0, 90, 30)):  # between them the server may have spoken
            assert [(seq - talk[0]) & 0xFFFF for seq in talk] == list(range(30))


async def test_a_source_that_begins_anew_with_other_numbers_is_heard_on(room_server):
    async with own_client(room_server, "bob") as (bob, _), own_client(room_server, "carol") as (_, ear):
        microphone = bob.publish_opus("microphone")
        await microphone.published()
        await microphone.subscribed()
        sent = []
        for seq, timestamp in ((40_000, 3_000_000_000), (7, 5_000), (60_000, 4_294_960_000)):  # a device that reboots
            for number, packet in enumerate(opus_tone(600, 15)):
                microphone.send_rtp(rtp(seq + number, timestamp + 960 * number, packet))
                sent.append(packet)
                await asyncio.sleep(0.02)
        await ear.until(lambda: len(ear.payloads) >= len(sent), "all of it")
        assert ear.payloads == sent
        stamps = [int.from_bytes(packet[4:8], "big") for packet in next(iter(ear.packets.values()))]
        assert all(0 < (b - a) & 0xFFFFFFFF < 2**31 for a, b in pairwise(stamps))


async def test_a_track_can_be_published_late_muted_unpublished_and_published_again(room_server, join):
    alice = await join("alice")
    async with own_client(room_server, "bob") as (bob, _):
        for frequency_hz in (500, 900):
            microphone = bob.publish_opus("microphone", muted=True)
            await microphone.published()
            track, publication, _ = await alice.event("track_subscribed")
            assert publication.muted
            bob.set_muted(microphone, False)
            _, unmuted = await alice.event("track_unmuted")
            assert unmuted.sid == microphone.sid
            async with speaking(microphone, frequency_hz):
                await hears(track, frequency_hz)
            bob.set_muted(microphone, True)
            await alice.event("track_muted")
            microphone.unpublish()
            gone, _ = await alice.event("track_unpublished")
            assert gone.sid == publication.sid


async def test_a_track_the_token_does_not_grant_is_refused_and_its_owner_stays(room_server, join):
    alice = await join("alice")
    async with own_client(room_server, "bob", grants={"can_publish": False}) as (bob, ear):
        with pytest.raises(PublishRefused, match="microphone"):
            await asyncio.wait_for(bob.publish_opus("microphone").published(), DEADLINE_S)
        voice = await alice.publish()
        async with voice.tone(440):
            await ear.hears(440)


async def test_a_subscription_can_be_given_up_and_taken_again(room_server, join):
    alice = await join("alice")
    voice = await alice.publish()
    async with own_client(room_server, "bob") as (bob, ear), voice.tone(440):
        await ear.hears(440)
        bob.subscribe(voice.publication.sid, False)
        await asyncio.sleep(0.3)
        n_heard = len(ear.payloads)
        await asyncio.sleep(0.3)
        assert len(ear.payloads) - n_heard <= 2
        ear.packets.clear()
        bob.subscribe(voice.publication.sid, True)
        await ear.hears(440)


async def test_it_hears_more_talkers_than_it_had_sections_for_at_first(room_server, join):
    async with own_client(room_server, "bob") as (_, ear):
        talkers = [await join(f"talker-{number}") for number in range(5)]
        voices = [await talker.publish() for talker in talkers]
        for number, voice in enumerate(voices):
            async with voice.tone(400 + 200 * number):
                await ear.hears(400 + 200 * number)


# Data.


async def test_data_goes_both_ways_to_all_or_to_some(room_server, join):
    alice, carol = await join("alice"), await join("carol")
    async with own_client(room_server, "bob") as (bob, ear):
        for official in (alice, carol):
            await official.event("participant_connected", lambda who: who.identity == "bob")
        bob.send_data(b"for carol", "news", destination_identities=["carol"])
        bob.send_data(b"for all", "news")
        (packet,) = await carol.event("data_received")
        assert (packet.data, packet.topic, packet.participant.identity) == (b"for carol", "news", "bob")
        (packet,) = await alice.event("data_received")
        assert packet.data == b"for all"
        bob.send_data(b"lossy", reliable=False)
        (packet,) = await alice.event("data_received")
        assert packet.data == b"lossy"
        await alice.me.publish_data(b"back", topic="reply", destination_identities=["bob"])
        assert await ear.event("user_data") == (b"back", "reply", "alice")
        long = bytes(MAX_DATA_BYTES - 200)
        bob.send_data(long)
        (packet,) = await alice.event("data_received")
        assert packet.data == long
        with pytest.raises(ValueError, match="at most"):
            bob.send_data(bytes(MAX_DATA_BYTES))


async def test_calls_go_both_ways(room_server, join):
    alice = await join("alice")
    async with own_client(room_server, "bob") as (bob, _):

        @alice.me.register_rpc_method("greet")
        async def greet(call: rtc.RpcInvocationData) -> str:
            return f"{call.caller_identity} said {call.payload}"

        async def shout(identity: str, payload: str) -> str:
            if not payload:
                raise RpcError(1_234, "nothing to shout")
            return f"{identity} {payload.upper()}"

        bob.register_rpc("shout", shout)
        assert await bob.perform_rpc("alice", "greet", "hello") == "bob said hello"
        with pytest.raises(RpcError) as error:
            await bob.perform_rpc("alice", "nothing")
        assert error.value.code == rtc.RpcError.ErrorCode.UNSUPPORTED_METHOD
        answer = alice.me.perform_rpc(destination_identity="bob", method="shout", payload="hey")
        assert await asyncio.wait_for(answer, DEADLINE_S) == "alice HEY"
        for method, code in (("shout", 1_234), ("nothing", 1_400)):
            with pytest.raises(rtc.RpcError) as official:
                await alice.me.perform_rpc(destination_identity="bob", method=method, payload="")
            assert official.value.code == code


async def test_a_call_to_nobody_ends_by_itself(room_server):
    async with own_client(room_server, "bob") as (bob, _):
        begun_s = time.monotonic()
        with pytest.raises(RpcError, match="in the room") as error:
            await bob.perform_rpc("nobody", "greet", timeout_s=0.3)
        assert error.value.code == rtc.RpcError.ErrorCode.CONNECTION_TIMEOUT
        assert time.monotonic() - begun_s < 2


@pytest.mark.parametrize("text", ["short", "grüße " * 8_000])
async def test_texts_go_both_ways(room_server, join, text):
    alice = await join("alice")
    arrived: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    tasks = []

    def on_stream(reader: rtc.TextStreamReader, identity: str) -> None:
        async def read() -> None:
            arrived.set_result(f"{identity} {await reader.read_all()}")

        tasks.append(asyncio.ensure_future(read()))

    alice.room.register_text_stream_handler("notes", on_stream)
    async with own_client(room_server, "bob") as (bob, ear):
        bob.send_text(text, "notes")
        assert await asyncio.wait_for(arrived, DEADLINE_S) == f"bob {text}"
        await alice.me.send_text(text, topic="notes", attributes={"a": "1"})
        said, topic, identity, attributes = await ear.event("text")
        assert (said, topic, identity, attributes["a"]) == (text, "notes", "alice", "1")
    await asyncio.gather(*tasks)


# What it says of itself.


async def test_attributes_and_metadata_reach_everybody_and_itself(room_server, join):
    alice = await join("alice")
    async with own_client(room_server, "bob") as (bob, _):
        await bob.set_attributes({"mood": "fine", "place": "attic"})
        await bob.set_metadata("a note")
        await alice.until(
            lambda: (
                (bob_there := alice.room.remote_participants.get("bob")) is not None
                and bob_there.attributes.get("mood") == "fine"
                and bob_there.metadata == "a note"
            ),
            "attributes and metadata",
        )
        await until(lambda: bob.me.attributes == {"mood": "fine", "place": "attic"}, "its own")
        await bob.set_attributes({"mood": ""})
        await until(lambda: dict(bob.me.attributes) == {"place": "attic"}, "one less")


async def test_without_the_grant_they_are_refused(room_server):
    async with own_client(room_server, "bob", grants={"can_update_own_metadata": False}) as (bob, _):
        with pytest.raises(LiveKitError):
            await bob.set_attributes({"mood": "grim"})


# Loss.


async def test_after_the_websocket_is_cut_it_is_heard_again_and_keeps_what_it_said_of_itself(room_server, join):
    alice = await join("alice")
    async with LinkProxy.running() as proxy:
        proxy.aim(int(room_server.url.rpartition(":")[2]), 9)  # TCP only: media goes its own way
        door = Door(**{**vars(room_server), "url": f"ws://127.0.0.1:{proxy.tcp_port}"})
        async with own_client(door, "bob") as (bob, ear):
            microphone = bob.publish_opus("microphone")
            await microphone.published()
            await bob.set_attributes({"mood": "fine"})
            await alice.event("track_subscribed")
            proxy.cut("reset")
            await asyncio.sleep(0.3)
            proxy.mend()
            await ear.until(lambda: bob.n_resumes + bob.n_rejoins == 1, "resumed or joined anew")
            assert bob.state == CONNECTED
            tracks = alice.room.remote_participants
            track = await alice.until(
                lambda: (
                    next((p.track for p in tracks["bob"].track_publications.values() if p.track), None)
                    if "bob" in tracks
                    else None
                ),
                "the track",
            )
            async with speaking(microphone, 800):
                await hears(track, 800)
            microphone.set_muted(True)  # signalling works
            await alice.event("track_muted")
            await alice.until(lambda: tracks["bob"].attributes.get("mood") == "fine", "its attributes")
