"""Our client and a real LiveKit server: version 0, its relay, its admin, and everything that can break between them."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from livekit import api
from livekit.protocol import models, rtc
from livekit.protocol import room as room_service
from tests.integration.link_proxy import LinkProxy
from tests.livekit_server.server import LiveKitServer
from tests.net.mutations import FUZZ_TIMEOUT_S, examples, hostile
from tests.room.clients import Client, Door, hears
from tests.room.own_clients import Ear, losing_in, losing_out, opus_tone, own_client, say, speaking

from pressroom_host.livekit_client import connection as connection_module
from pressroom_host.livekit_client import room as room_module
from pressroom_host.livekit_client.errors import JoinRefused, MediaUnreachable, TokenRefused
from pressroom_host.livekit_client.room import CLOSED, CONNECTED, RECONNECTING, LiveKitRoom
from pressroom_host.livekit_client.signalling import Signalling
from pressroom_host.webrtc import client_peer
from pressroom_host.webrtc.ice import IceClient

Reason = models.DisconnectReason


@pytest.fixture
def door(livekit: LiveKitServer) -> Door:
    return Door(livekit.url, livekit.api_key, livekit.api_secret)


@contextlib.asynccontextmanager
async def official(door: Door, identity: str) -> AsyncIterator[Client]:
    client = Client()
    await client.room.connect(door.url, door.token(identity))
    try:
        yield client
    finally:
        await client.room.disconnect()


# Version 0, and the relay.


async def test_version_0_with_its_two_connections_does_the_same(door):
    async with official(door, "alice") as alice, own_client(door, "bob", version=0) as (bob, ear):
        voice = await alice.publish()
        microphone = bob.publish_opus("microphone")
        await microphone.published()
        track, _, _ = await alice.event("track_subscribed")
        async with voice.tone(700), speaking(microphone, 440):
            await ear.hears(700)
            await hears(track, 440)
        await alice.me.publish_data(b"down")
        assert await ear.event("user_data") == (b"down", "", "alice")
        bob.send_data(b"up")
        (packet,) = await alice.event("data_received")
        assert packet.data == b"up"
        bob._connection._lose_signalling("test")
        await ear.until(lambda: bob.n_resumes == 1, "resumed")
        bob._connection.peer_lost("test")
        await ear.event("reconnected")
        async with speaking(microphone, 900):
            await hears((await alice.event("track_subscribed"))[0], 900)


async def test_a_server_that_knows_no_version_1_is_asked_for_version_0(door, monkeypatch):
    ws_connect = room_module.aiohttp.ClientSession.ws_connect

    def old_server(self, url, **options):
        return ws_connect(self, url.replace("/rtc/v1", "/nothing"), **options)

    monkeypatch.setattr(room_module.aiohttp.ClientSession, "ws_connect", old_server)
    async with official(door, "alice") as alice, own_client(door, "bob") as (bob, _):
        assert bob._connection.version == 0
        microphone = bob.publish_opus("microphone")
        track, _, _ = await alice.event("track_subscribed")
        async with speaking(microphone, 440):
            await hears(track, 440)


async def test_media_goes_over_the_servers_relay_where_it_is_asked_to(door):
    async with own_client(door, "carol") as (_, ear), own_client(door, "bob", relay=True) as (bob, ear_of_bob):
        assert bob._connection._publisher.ice._aioice.local_candidates[0].type == "relay"
        microphone = bob.publish_opus("microphone")
        await microphone.subscribed()
        sent = opus_tone(440, 50)
        await say(microphone, sent)
        await ear.until(lambda: ear.payloads == sent, "all of it")
        async with official(door, "alice") as alice:
            voice = await alice.publish()
            async with voice.tone(700):
                await ear_of_bob.hears(700)


async def test_the_relay_is_found_by_itself_where_there_is_no_direct_path(door, monkeypatch):
    monkeypatch.setattr(client_peer, "_CONNECT_TIMEOUT_S", 1.0)
    gather = IceClient.gather

    async def gather_behind_a_firewall(self):
        await gather(self)
        if self.candidates() and "typ host" in self.candidates()[0]:
            for protocol in self._aioice._protocols:
                protocol.transport.close()

    monkeypatch.setattr(IceClient, "gather", gather_behind_a_firewall)
    with pytest.raises(MediaUnreachable, match="is UDP blocked"):
        await LiveKitRoom(door.url, door.token("bob"), Ear(), relay=False).connect()
    async with own_client(door, "bob") as (bob, _):
        assert bob._needs_relay


# The server's admin, and its rules.


async def test_the_admin_mutes_and_removes(door):
    async with (
        api.LiveKitAPI(door.url, door.api_key, door.api_secret) as admin,
        own_client(door, "bob") as (bob, ear),
    ):
        microphone = bob.publish_opus("microphone")
        await microphone.published()
        await admin.room.mute_published_track(
            room_service.MuteRoomTrackRequest(room=door.room, identity="bob", track_sid=microphone.sid, muted=True)
        )
        assert await ear.event("mute_requested") == (microphone.sid, True)
        await admin.room.remove_participant(room_service.RoomParticipantIdentity(room=door.room, identity="bob"))
        assert await ear.event("removed") == (Reason.PARTICIPANT_REMOVED,)
        assert bob.state == CLOSED
        await asyncio.sleep(0.5)
        present = await admin.room.list_participants(room_service.ListParticipantsRequest(room=door.room))
        assert not present.participants


async def test_a_full_room_says_so():
    async with LiveKitServer.running(max_participants=1) as server:
        door = Door(server.url, server.api_key, server.api_secret)
        async with own_client(door, "alice"):
            with pytest.raises(JoinRefused, match="is the room full"):
                await LiveKitRoom(door.url, door.token("bob"), Ear()).connect()


async def test_a_token_without_the_grant_to_join_is_refused(door):
    token = api.AccessToken(door.api_key, door.api_secret).with_identity("bob").with_grants(api.VideoGrants()).to_jwt()
    with pytest.raises((JoinRefused, TokenRefused), match=r"HTTP 40[13]"):
        await LiveKitRoom(door.url, token, Ear()).connect()


async def test_who_speaks_is_told_both_ways_and_how_well_everybody_is_reached(door):
    async with official(door, "alice") as alice, own_client(door, "bob") as (bob, ear):
        told = []
        alice.room.on("active_speakers_changed", lambda speakers: told.extend(who.identity for who in speakers))
        microphone = bob.publish_opus("microphone")
        voice = await alice.publish()
        await microphone.subscribed()
        async with speaking(microphone, 440), voice.tone(700):
            await ear.event("speakers", lambda speakers: any(s.sid == alice.me.sid and s.active for s in speakers))
            await alice.until(lambda: "bob" in told, "bob is an active speaker")
            (qualities,) = await ear.event("connection_quality")
            assert {info.participant_sid for info in qualities} <= {bob.me.sid, alice.me.sid}


async def test_what_the_server_says_itself_after_a_mute_is_recognised(door):
    async with own_client(door, "bob") as (bob, _), own_client(door, "carol") as (carol, ear):
        microphone = bob.publish_opus("microphone")
        await microphone.subscribed()
        sent = opus_tone(440, 30)
        await say(microphone, sent)
        microphone.set_muted(True)
        await ear.until(lambda: carol.n_server_silence > 0, "silence of the server")
        assert ear.payloads == sent


# Lost packets.


async def test_nothing_is_lost_upwards_where_one_packet_in_twenty_is(door):
    async with own_client(door, "bob") as (bob, _), own_client(door, "carol") as (_, ear):
        microphone = bob.publish_opus("microphone")
        await microphone.subscribed()
        sent = opus_tone(440, 150)
        with losing_out(bob._connection._publisher, random.Random(5), 0.05):
            await say(microphone, sent)
        # The last ones come, so that the server misses those before.
        await say(microphone, opus_tone(600, 5))
        await ear.until(lambda: set(sent) <= set(ear.payloads), "all of it")
        assert microphone.sender.n_resent >= 3


async def test_what_is_lost_downwards_is_asked_for_and_comes(door):
    async with own_client(door, "bob") as (bob, _), own_client(door, "carol") as (carol, ear):
        microphone = bob.publish_opus("microphone")
        await microphone.subscribed()
        peer = carol._connection._publisher
        async with speaking(microphone, 300):  # until the server has reported, and knows the round trip
            await ear.until(lambda: any(stream.has_report for stream in peer.streams()), "a report")
        sent, more = opus_tone(440, 150), opus_tone(600, 5)
        with losing_in(peer, random.Random(7), 0.05) as lost:
            await say(microphone, sent)
        await say(microphone, more)
        await ear.until(lambda: set(more) <= set(ear.payloads), "what was said last")
        (stream,) = peer.streams()
        assert len(lost) >= 3
        assert stream.n_recovered >= len(lost) / 2


# Goodbyes, and tokens.


@pytest.mark.parametrize(
    ("action", "reason", "state", "counts"),
    [
        ("RESUME", "CONNECTION_TIMEOUT", CONNECTED, (1, 0)),
        ("RECONNECT", "STATE_MISMATCH", CONNECTED, (0, 1)),
        ("DISCONNECT", "SERVER_SHUTDOWN", CONNECTED, (0, 1)),
        ("DISCONNECT", "ROOM_DELETED", CLOSED, (0, 0)),
    ],
)
async def test_what_the_server_wants_at_a_goodbye_is_done(door, action, reason, state, counts):
    async with own_client(door, "bob") as (bob, ear):
        leave = rtc.LeaveRequest(action=rtc.LeaveRequest.Action.Value(action), reason=Reason.Value(reason))
        await bob._connection._take(rtc.SignalResponse(leave=leave))
        await ear.until(lambda: bob.state == state and (bob.n_resumes, bob.n_rejoins) == counts, "as it was told")
        assert ("removed" in ear.names()) == (state == CLOSED)


async def test_a_token_that_the_server_has_refreshed_is_taken_to_join_anew(door):
    async with own_client(door, "bob") as (bob, ear):
        await ear.until(lambda: bob._refreshed_token, "a fresh token")
        bob._token = "expired long ago"
        bob._connection.peer_lost("test")
        await ear.event("reconnected")


async def test_a_token_is_made_anew_for_each_join_where_it_can_be(door):
    made: list[str] = []

    def make() -> str:
        made.append(door.token("bob"))
        return made[-1]

    ear = Ear()
    bob = LiveKitRoom(door.url, make, ear)
    await bob.connect()
    bob._connection.peer_lost("test")
    await ear.event("reconnected")
    assert len(made) == 2
    await bob.disconnect()


async def test_one_that_is_not_let_in_any_more_is_told_so_and_stops(door):
    tokens = [door.token("bob"), "nonsense"]
    ear = Ear()
    bob = LiveKitRoom(door.url, lambda: tokens.pop(0), ear)
    await bob.connect()
    bob._connection.peer_lost("test")
    assert await ear.event("removed") == (Reason.JOIN_FAILURE,)
    assert bob.state == CLOSED
    await bob.disconnect()


# Cut.


@contextlib.asynccontextmanager
async def udp_through(proxy: LinkProxy, server: LiveKitServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Media of clients made in the block goes through the proxy: the server's candidates are its, ours are not told."""
    proxy.aim(server.port, server.udp_port)
    add = IceClient.add_candidate

    async def add_proxy(self, text):
        fields = text.removeprefix("candidate:").split(" ")
        fields[4:6] = ["127.0.0.1", str(proxy.udp_port)]
        await add(self, " ".join(fields))

    with monkeypatch.context() as patched:
        patched.setattr(IceClient, "add_candidate", add_proxy)
        patched.setattr(IceClient, "candidates", lambda self: [])
        yield


async def test_while_the_websocket_is_cut_media_goes_on_and_it_is_resumed(door, livekit):
    async with LinkProxy.running() as proxy, own_client(door, "carol") as (_, ear):
        proxy.aim(livekit.port, 9)
        behind = replace(door, url=f"ws://127.0.0.1:{proxy.tcp_port}")
        async with own_client(behind, "bob") as (bob, ear_of_bob), official(door, "alice") as alice:
            microphone = bob.publish_opus("microphone")
            await microphone.subscribed()
            sent = opus_tone(440, 100)
            saying = asyncio.create_task(say(microphone, sent))
            await asyncio.sleep(0.5)
            proxy.cut("reset")
            await asyncio.sleep(0.7)
            await alice.me.set_attributes({"changed": "meanwhile"})
            proxy.mend()
            await ear_of_bob.until(lambda: bob.n_resumes == 1, "resumed")
            await saying
            await ear.until(lambda: ear.payloads == sent, "all of it, without a gap")
            assert bob.n_rejoins == 0
            assert "reconnecting" not in ear_of_bob.names()
            await ear_of_bob.event("participant", lambda info: info.attributes.get("changed") == "meanwhile")


@pytest.mark.parametrize("cut_s", [5, 12, 20])
async def test_after_udp_alone_was_cut_it_is_heard_again(cut_s, door, livekit, monkeypatch):
    async with (
        LinkProxy.running() as proxy,
        own_client(door, "carol") as (_, ear),
        udp_through(proxy, livekit, monkeypatch),
        own_client(door, "bob") as (bob, _),
    ):
        microphone = bob.publish_opus("microphone")
        await microphone.subscribed()
        assert proxy.n_datagrams_up > 0
        async with speaking(microphone, 440):
            await ear.hears(440)
            proxy.is_udp_blocked = True
            await asyncio.sleep(cut_s)
            proxy.is_udp_blocked = False
            ear.packets.clear()
            await ear.until(lambda: len(ear.payloads) > 20, "its voice again")
            assert bob.state == CONNECTED
            assert bob.n_rejoins == (0 if cut_s == 5 else 1)


async def test_everybody_is_back_after_the_server_was_killed_and_started_again(door, livekit):
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(own_client(door, f"device-{n}")) for n in range(6)]
        microphones = [room.publish_opus("microphone") for room, _ in clients]
        for microphone in microphones:
            await microphone.subscribed()
            await stack.enter_async_context(speaking(microphone, 440))
        await livekit.kill()
        await clients[0][1].event("reconnecting")
        assert clients[0][0].state == RECONNECTING
        started_s = time.monotonic()
        await livekit.start()
        for room, ear in clients:
            await ear.event("reconnected")
            assert room.state == CONNECTED
        for _, ear in clients:
            ear.packets.clear()
        for _, ear in clients:
            await ear.until(lambda ear=ear: len(ear.packets) == 5, "everybody else's voice")
        assert time.monotonic() - started_s < 10


# What a server may say.


@pytest.mark.timeout(FUZZ_TIMEOUT_S)
async def test_hostile_responses_are_counted_or_ignored_and_the_room_lives(door, monkeypatch):
    responses = []
    read = Signalling.__aiter__

    async def record(self):
        async for response in read(self):
            responses.append(response.SerializeToString())
            yield response

    monkeypatch.setattr(Signalling, "__aiter__", record)
    async with own_client(door, "carol") as (carol, _):
        carol.publish_opus("microphone")
        async with own_client(door, "bob") as (bob, ear):
            await ear.event("track")
            monkeypatch.setattr(Signalling, "__aiter__", read)
            connection = bob._connection
            monkeypatch.setattr(connection, "_miss_answer", lambda: None)
            n_malformed = 0
            for data in examples(hostile(sorted(set(responses)))):
                response = connection_module.rtc.SignalResponse()
                try:
                    response.ParseFromString(data)
                except room_module.DecodeError:
                    n_malformed += 1
                    continue
                if response.WhichOneof("message") not in ("leave", None):
                    await connection._take(response)
            assert n_malformed > 0
            assert connection.n_malformed > 0
        async with own_client(door, "dave") as (dave, _):
            assert {info.identity for info in dave.participants.values()} >= {"carol"}


async def test_bytes_that_are_no_response_and_no_packet_are_counted(door):
    async with own_client(door, "bob") as (bob, _):
        bob.on_channel_data(b"\xff" * 9)
        bob.on_rtp("TR_x", bytes(12))
        bob.on_rtp("TR_x", b"\xb0" + bytes(30))
        assert bob.n_malformed == 3
