"""Joining and leaving, as an official client sees it."""

from dataclasses import replace

import aiohttp
import pytest
from livekit import rtc
from tests.integration.link_proxy import LinkProxy
from tests.net.mutations import captures
from tests.room.clients import Client, Door, hears, http, status

VALIDATE = f"/rtc/v1/validate?join_request={captures('signalling', 'join_request.txt')[0].decode()}"


async def test_a_client_knows_who_is_there_and_is_known_to_them(join, room_server):
    alice = await join("alice")
    bob = await join("bob")
    (newcomer,) = await alice.event("participant_connected")
    assert (newcomer.identity, newcomer.name) == ("bob", "Bob")
    assert newcomer.sid == bob.me.sid
    assert [p.name for p in bob.room.remote_participants.values()] == ["Alice"]
    assert bob.room.name == room_server.room


async def test_rooms_do_not_see_each_other(join, room_server):
    alice = await join("alice")
    await join("bob", room=f"{room_server.room} attic")
    await join("carol")
    (newcomer,) = await alice.event("participant_connected")
    assert newcomer.identity == "carol"
    assert list(alice.room.remote_participants) == ["carol"]


async def test_a_client_that_leaves_is_gone_for_the_others_with_its_reason(join):
    alice, bob = await join("alice"), await join("bob")
    await alice.event("participant_connected")
    await bob.room.disconnect()
    (gone,) = await alice.event("participant_disconnected")
    assert gone.identity == "bob"
    assert gone.disconnect_reason == rtc.DisconnectReason.CLIENT_INITIATED
    assert alice.room.remote_participants == {}


async def test_the_second_of_an_identity_replaces_the_first(join):
    watcher = await join("watcher")
    first = await join("alice")
    await watcher.event("participant_connected", lambda participant: participant.sid == first.me.sid)
    second = await join("alice")
    (reason,) = await first.event("disconnected")
    assert reason == rtc.DisconnectReason.DUPLICATE_IDENTITY
    await watcher.event("participant_connected", lambda participant: participant.sid == second.me.sid)
    assert list(watcher.room.remote_participants) == ["alice"]
    voice = await second.publish()
    await watcher.event("track_subscribed")
    assert voice.publication.sid


async def test_a_wrong_secret_is_refused_with_a_reason(room_server):
    token = Door(room_server.url, room_server.api_key, "not-the-secret-but-long-enough-to-be-one").token("alice")
    with pytest.raises(rtc.ConnectError, match="401"):
        await Client().room.connect(room_server.url, token)


async def test_attributes_and_metadata_reach_the_others(join):
    alice, bob = await join("alice"), await join("bob")
    await alice.me.set_attributes({"mood": "merry"})
    changed, participant = await bob.event("participant_attributes_changed")
    assert changed == {"mood": "merry"}
    assert participant.attributes == {"mood": "merry"}
    await alice.me.set_metadata("on the phone")
    *_, new = await bob.event("participant_metadata_changed")
    assert new == "on the phone" or bob.room.remote_participants["alice"].metadata == "on the phone"
    await alice.me.set_name("Alicia")
    await bob.event("participant_name_changed")
    assert bob.room.remote_participants["alice"].name == "Alicia"


async def test_a_late_client_sees_the_attributes_that_were_set(join):
    alice = await join("alice")
    await alice.me.set_attributes({"mood": "merry"})
    bob = await join("bob")
    assert bob.room.remote_participants["alice"].attributes == {"mood": "merry"}


async def test_without_the_grant_nobody_changes_its_attributes(join):
    alice = await join("alice", can_update_own_metadata=False)
    await alice.me.set_attributes({"mood": "grim"})
    bob = await join("bob")
    assert bob.room.remote_participants["alice"].attributes == {}


# The door.


async def test_validate_says_whether_a_token_lets_its_holder_in(room_server):
    assert await status(room_server, VALIDATE, room_server.token("alice")) == 200
    assert await status(room_server, f"{VALIDATE}&access_token={room_server.token('alice')}") == 200  # as browsers do
    assert await status(room_server, VALIDATE, "nonsense") == 401
    assert await status(room_server, VALIDATE) == 401
    assert await status(room_server, "/rtc/validate", "nonsense") == 401


async def test_a_page_from_elsewhere_can_read_a_refusal(room_server):
    async with http(room_server) as session, session.get(VALIDATE) as response:
        assert response.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("query", ["", "?join_request=nonsense"])
async def test_a_join_request_that_cannot_be_read_is_a_bad_request(room_server, query):
    token = room_server.token("alice")
    assert await status(room_server, f"/rtc/v1/validate{query}", token) == 400
    async with http(room_server) as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as error:
            await session.ws_connect(f"/rtc/v1{query}", headers={"Authorization": f"Bearer {token}"})
        assert error.value.status == 400


async def test_what_is_no_websocket_is_not_found(room_server):
    assert await status(room_server, "/rtc/v1", room_server.token("alice")) == 404


# The network.


async def test_a_client_whose_signalling_is_cut_comes_back_with_its_track(room_server, join):
    async with LinkProxy.running() as proxy:
        proxy.aim(int(room_server.url.rpartition(":")[2]), 9)
        bob, alice = await join("bob"), Client()
        door = replace(room_server, url=f"ws://127.0.0.1:{proxy.tcp_port}")
        await alice.room.connect(door.url, door.token("alice"))
        voice = await alice.publish()
        track, _, _ = await bob.event("track_subscribed")
        proxy.cut("reset")
        await alice.event("reconnecting")
        proxy.mend()
        await alice.event("reconnected")
        tracks = bob.room.remote_participants
        track = await bob.until(
            lambda: (
                next((p.track for p in tracks["alice"].track_publications.values() if p.track), None)
                if "alice" in tracks
                else None
            ),
            "its track",
        )
        async with voice.tone(440):
            await hears(track, 440)
        await alice.room.disconnect()
