"""Tracks: published, heard, muted, subscribed to and given up, as official clients see it."""

import asyncio

import pytest
from livekit import rtc
from livekit.rtc.participant import PublishTrackError
from tests.room.clients import DEADLINE_S, hears


async def test_two_clients_hear_each_other(join):
    alice, bob = await join("alice"), await join("bob")
    for speaker, listener, frequency_hz in ((alice, bob, 440), (bob, alice, 1_000)):
        voice = await speaker.publish()
        track, _, participant = await listener.event("track_subscribed")
        assert participant.identity == speaker.me.identity
        async with voice.tone(frequency_hz):
            await hears(track, frequency_hz)


async def test_the_publisher_is_told_that_somebody_hears_it(join):
    alice = await join("alice")
    voice = await alice.publish()
    assert "local_track_subscribed" not in alice.names()
    bob = await join("bob")
    await bob.event("track_subscribed")
    await asyncio.wait_for(voice.publication.wait_for_subscription(), DEADLINE_S)


async def test_a_late_client_hears_what_is_already_published(join):
    alice = await join("alice")
    voice = await alice.publish("mic")
    async with voice.tone(700):
        bob = await join("bob")
        track, publication, _ = await bob.event("track_subscribed")
        assert publication.name == "mic"
        assert publication.source == rtc.TrackSource.SOURCE_MICROPHONE
        await hears(track, 700)


async def test_everybody_sees_a_track_muted_and_unmuted(join):
    alice, bob = await join("alice"), await join("bob")
    voice = await alice.publish()
    await bob.event("track_subscribed")
    for _ in range(2):
        voice.track.mute()
        participant, publication = await bob.event("track_muted")
        assert (participant.identity, publication.muted) == ("alice", True)
        voice.track.unmute()
        _, publication = await bob.event("track_unmuted")
        assert not publication.muted


async def test_a_late_client_sees_that_a_track_is_muted(join):
    alice, bob = await join("alice"), await join("bob")
    voice = await alice.publish()
    await bob.event("track_subscribed")
    voice.track.mute()
    await bob.event("track_muted")
    carol = await join("carol")
    _, publication, _ = await carol.event("track_subscribed")
    assert publication.muted


async def test_an_unpublished_track_is_gone_and_can_be_published_again(join):
    alice, bob = await join("alice"), await join("bob")
    for frequency_hz in (500, 900):
        voice = await alice.publish()
        track, publication, _ = await bob.event("track_subscribed")
        async with voice.tone(frequency_hz):
            await hears(track, frequency_hz)
        await alice.me.unpublish_track(voice.publication.sid)
        gone, _ = await bob.event("track_unpublished")
        assert gone.sid == publication.sid


async def test_one_client_may_publish_several_tracks(join):
    alice, bob = await join("alice"), await join("bob")
    first, second = await alice.publish("first"), await alice.publish("second")
    tracks = {}
    for _ in range(2):
        track, publication, _ = await bob.event("track_subscribed")
        tracks[publication.name] = track
    async with first.tone(440), second.tone(1_320):
        await hears(tracks["first"], 440)
        await hears(tracks["second"], 1_320)


async def test_more_talkers_are_heard_than_a_client_has_sections_for_at_first(join):
    listener = await join("listener")
    talkers = [await join(f"talker-{number}") for number in range(5)]
    voices = [await talker.publish() for talker in talkers]
    tracks = {}
    for _ in talkers:
        track, _, participant = await listener.event("track_subscribed")
        tracks[participant.identity] = track
    for number, (talker, voice) in enumerate(zip(talkers, voices, strict=True)):
        async with voice.tone(400 + 200 * number):
            await hears(tracks[talker.me.identity], 400 + 200 * number)
    late = await join("late")
    for _ in talkers:
        await late.event("track_subscribed")


async def test_a_subscription_can_be_given_up_and_taken_again(join):
    alice, bob = await join("alice"), await join("bob")
    voice = await alice.publish()
    _, publication, _ = await bob.event("track_subscribed")
    for frequency_hz in (600, 800):
        publication.set_subscribed(False)
        await bob.event("track_unsubscribed")
        publication.set_subscribed(True)
        track, publication, _ = await bob.event("track_subscribed")
        async with voice.tone(frequency_hz):
            await hears(track, frequency_hz)


async def test_a_client_that_does_not_subscribe_by_itself_hears_only_what_it_asks_for(join):
    alice = await join("alice")
    await alice.publish("one")
    await alice.publish("two")
    bob = await join("bob", auto_subscribe=False)
    publications = bob.room.remote_participants["alice"].track_publications.values()
    await bob.until(lambda: len(publications) == 2, "both tracks are known")
    wanted = next(publication for publication in publications if publication.name == "two")
    wanted.set_subscribed(True)
    _, publication, _ = await bob.event("track_subscribed")
    assert publication.name == "two"
    assert "track_subscribed" not in bob.names()


async def test_without_can_publish_a_track_is_refused_and_its_owner_stays(join):
    alice, bob = await join("alice", can_publish=False), await join("bob")
    with pytest.raises(PublishTrackError):
        await alice.publish()
    voice = await bob.publish()
    track, _, _ = await alice.event("track_subscribed")
    async with voice.tone(440):
        await hears(track, 440)
    assert bob.room.remote_participants["alice"].track_publications == {}


async def test_without_can_subscribe_no_track_is_heard_but_it_is_seen(join):
    alice = await join("alice")
    bob = await join("bob", can_subscribe=False)
    await alice.publish()
    carol = await join("carol")
    await carol.event("track_subscribed")
    _, participant = await bob.event("track_published")
    assert participant.identity == "alice"
    assert "track_subscribed" not in bob.names()
