"""Joining and leaving, as an official client sees it."""

import pytest
from livekit import rtc
from tests.room.clients import Client, Door


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
