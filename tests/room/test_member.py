"""A Member of this process among official clients: it is seen, heard and told like any of them."""

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import opuslib_next as opuslib
import pytest
from livekit import rtc
from livekit.protocol import models
from tests.net.peers import until
from tests.room.clients import DEADLINE_S, Door, hears
from tests.room.conftest import API_KEY, API_SECRET

from pressroom_host.room.member import Member
from pressroom_host.room.participant import MetadataError
from pressroom_host.room.server import RoomServer
from pressroom_host.room.tokens import AccessClaims, GrantMissing, Grants


@pytest.fixture
def room_server(embedded: RoomServer) -> Door:
    """The embedded room and nothing else."""
    return Door(embedded.url, API_KEY, API_SECRET)


ALL = Grants(room_join=True, can_publish=True, can_subscribe=True, can_publish_data=True, can_update_own_metadata=True)
RATE_HZ = 16_000
FRAME_SAMPLES = 320  # 20 ms
FRAME_TICKS = 960  # of Opus's 48 kHz RTP clock


class Listener:
    """Remembers what the Member is told, as (name, arguments)."""

    def __init__(self) -> None:
        self.told: list[tuple[str, tuple[Any, ...]]] = []
        self.packets: asyncio.Queue[bytes] = asyncio.Queue()

    def on_rtp(self, track_sid: str, packet: bytes) -> None:
        self.packets.put_nowait(packet)

    def __getattr__(self, name: str) -> Callable[..., None]:
        if not name.startswith("on_"):
            raise AttributeError(name)
        return lambda *arguments: self.told.append((name, arguments))

    def names(self) -> list[str]:
        return [name for name, _ in self.told]

    async def until_told(self, name: str) -> tuple[Any, ...]:
        await until(lambda: name in self.names(), name)
        return next(arguments for told, arguments in self.told if told == name)


def enter(server: RoomServer, identity: str = "board", grants: Grants = ALL, **claims: Any) -> tuple[Member, Listener]:
    listener = Listener()
    return server.join(AccessClaims(identity=identity, room="hall", grants=grants, **claims), listener), listener


def opus_tone(frequency_hz: float, n_frames: int) -> list[bytes]:
    encoder = opuslib.Encoder(RATE_HZ, 1, "voip")
    t = np.arange(n_frames * FRAME_SAMPLES) / RATE_HZ
    pcm = (12_000 * np.sin(2 * np.pi * frequency_hz * t)).astype("<i2").reshape(n_frames, FRAME_SAMPLES)
    return [encoder.encode(frame.tobytes(), FRAME_SAMPLES) for frame in pcm]


def rtp(payload: bytes, number: int) -> bytes:
    """One packet as a gateway would send it: its own SSRC, the marker on the first."""
    marker = 0x80 if number == 0 else 0
    head = bytes((0x80, marker | 111)) + number.to_bytes(2, "big") + (number * FRAME_TICKS).to_bytes(4, "big")
    return head + b"\x01\x02\x03\x04" + payload


async def test_a_member_is_seen_with_its_attributes_and_its_muted_track(embedded, join):
    alice = await join("alice")
    member, _ = enter(embedded, name="Board", attributes={"fw": "1"}, metadata="attic")
    (seen,) = await alice.event("participant_connected")
    assert (seen.identity, seen.name, seen.metadata, seen.attributes) == ("board", "Board", "attic", {"fw": "1"})
    track = member.publish_audio("mic")
    _, publication, _ = await alice.event("track_subscribed")
    assert (publication.sid, publication.name, publication.muted) == (track.sid, "mic", True)
    assert publication.source == rtc.TrackSource.SOURCE_MICROPHONE
    track.set_muted(False)
    await alice.event("track_unmuted")


async def test_the_opus_of_a_member_is_heard(embedded, join):
    alice = await join("alice")
    member, _ = enter(embedded)
    track = member.publish_audio("mic", muted=False)
    remote, _, _ = await alice.event("track_subscribed")

    async def talk() -> None:
        for number, payload in enumerate(opus_tone(600, 250)):
            track.send_rtp(rtp(payload, number))
            await asyncio.sleep(0.02)

    talking = asyncio.create_task(talk())
    await hears(remote, 600)
    talking.cancel()


async def test_a_member_gets_the_opus_of_a_client_as_plain_packets(embedded, join):
    member, listener = enter(embedded)
    alice = await join("alice")
    voice = await alice.publish()
    info, track = await listener.until_told("on_track")
    assert (info.identity, track.sid, track.name) == ("alice", voice.publication.sid, "mic")
    await asyncio.wait_for(voice.publication.wait_for_subscription(), DEADLINE_S)
    decoder = opuslib.Decoder(RATE_HZ, 1)
    async with voice.tone(440), asyncio.timeout(DEADLINE_S):
        loudest = 0
        while loudest < 5_000:
            packet = await listener.packets.get()
            assert packet[0] == 0x80
            assert packet[1] & 0x7F == 111
            pcm = np.frombuffer(decoder.decode(packet[12:], FRAME_SAMPLES), dtype="<i2")
            loudest = max(loudest, int(np.abs(pcm).max()))
    assert member.participants()[0].identity == "alice"


async def test_what_is_there_already_is_reported_before_join_returns(embedded, join):
    alice = await join("alice")
    voice = await alice.publish()
    await until(lambda: list(embedded.rooms["hall"].tracks()), "the track is negotiated")
    _, listener = enter(embedded)
    (info,) = listener.told[0][1]
    assert listener.names() == ["on_participant", "on_track"]
    assert info.identity == "alice"
    assert listener.told[1][1][1].sid == voice.publication.sid


async def test_a_member_is_told_of_mute_unpublish_and_leave(embedded, join):
    _, listener = enter(embedded)
    alice = await join("alice")
    voice = await alice.publish()
    await listener.until_told("on_track")
    voice.track.mute()
    assert await listener.until_told("on_track_muted") == (voice.publication.sid, True)
    await alice.me.unpublish_track(voice.publication.sid)
    assert await listener.until_told("on_track_gone") == (voice.publication.sid,)
    await alice.room.disconnect()
    (gone,) = await listener.until_told("on_participant_left")
    assert (gone.identity, gone.disconnect_reason) == ("alice", models.DisconnectReason.CLIENT_INITIATED)


async def test_data_goes_both_ways_and_says_who_sent_it(embedded, join):
    member, listener = enter(embedded)
    alice, bob = await join("alice"), await join("bob")
    packet = models.DataPacket(user=models.UserPacket(payload=b"from the board", topic="news"))
    packet.destination_identities.append("alice")
    packet.participant_identity = "somebody else"
    member.send_data(packet, reliable=True)
    (received,) = await alice.event("data_received")
    assert (received.data, received.topic, received.participant.identity) == (b"from the board", "news", "board")
    await alice.me.publish_data(b"to the board", destination_identities=["board"])
    (told,) = await listener.until_told("on_data")
    assert (told.user.payload, told.participant_identity) == (b"to the board", "alice")
    assert "data_received" not in bob.names()


async def test_nothing_reliable_is_lost_that_a_member_sends_while_a_client_connects(embedded, join):
    member, listener = enter(embedded)

    def greet(info: models.ParticipantInfo) -> None:
        if not sent:
            sent.append(True)
            member.send_data(models.DataPacket(user=models.UserPacket(payload=b"welcome")), reliable=True)

    sent: list[bool] = []
    listener.on_participant = greet
    alice = await join("alice")
    (packet,) = await alice.event("data_received")
    assert packet.data == b"welcome"


async def test_a_text_stream_may_come_from_a_member_packet_by_packet(embedded, join):
    member, _ = enter(embedded)
    alice = await join("alice")
    text: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    tasks = []

    async def read(reader: rtc.TextStreamReader) -> None:
        text.set_result(await reader.read_all())

    alice.room.register_text_stream_handler(
        "notes", lambda reader, _: tasks.append(asyncio.ensure_future(read(reader)))
    )
    header = models.DataStream.Header(stream_id="s", topic="notes", mime_type="text/plain", timestamp=1)
    header.text_header.SetInParent()
    member.send_data(models.DataPacket(stream_header=header), reliable=True)
    chunk = models.DataStream.Chunk(stream_id="s", chunk_index=0, content=b"over")
    member.send_data(models.DataPacket(stream_chunk=chunk), reliable=True)
    member.send_data(models.DataPacket(stream_trailer=models.DataStream.Trailer(stream_id="s")), reliable=True)
    assert await asyncio.wait_for(text, DEADLINE_S) == "over"


async def test_attributes_and_metadata_of_a_member_reach_the_others(embedded, join):
    alice = await join("alice")
    member, _ = enter(embedded, attributes={"fw": "1"})
    member.set_attributes({"fw": "", "mood": "merry"})
    member.set_metadata("attic")
    await alice.event("participant_metadata_changed")
    board = alice.room.remote_participants["board"]
    assert (board.attributes, board.metadata) == ({"mood": "merry"}, "attic")


@pytest.mark.parametrize("attributes", [{"a": "x" * 70_000}, {"a": "\ud800"}])
async def test_attributes_that_a_room_does_not_keep_change_nothing(embedded, attributes):
    member, _ = enter(embedded, attributes={"fw": "1"})
    with pytest.raises(MetadataError):
        member.set_attributes(attributes)
    assert member.info().attributes == {"fw": "1"}


async def test_a_member_is_asked_to_mute_and_decides_itself(embedded):
    member, listener = enter(embedded)
    track = member.publish_audio("mic", muted=False)
    embedded.request_mute("hall", track.sid, True)
    assert listener.told == [("on_mute_requested", (track.sid, True))]


async def test_a_client_of_the_same_identity_replaces_a_member(embedded, join):
    member, listener = enter(embedded, "alice")
    await join("alice")
    assert listener.told[-1] == ("on_removed", (models.DisconnectReason.DUPLICATE_IDENTITY,))
    member.set_attributes({"no": "effect"})
    await member.leave()
    assert list(embedded.rooms["hall"].participants) == ["alice"]


async def test_a_member_that_leaves_is_gone_with_its_track(embedded, join):
    alice = await join("alice")
    member, listener = enter(embedded)
    member.publish_audio("mic")
    await alice.event("track_subscribed")
    await member.leave()
    await member.leave()
    await alice.event("track_unpublished")
    (gone,) = await alice.event("participant_disconnected")
    assert gone.identity == "board"
    assert listener.names().count("on_removed") == 1


async def test_stopping_the_room_removes_its_members(embedded):
    _, listener = enter(embedded)
    await embedded.stop()
    assert listener.told == [("on_removed", (models.DisconnectReason.SERVER_SHUTDOWN,))]


async def test_grants_hold_for_members_too(embedded, join):
    member, listener = enter(embedded, grants=Grants(room_join=True))
    alice = await join("alice")
    await alice.publish()
    with pytest.raises(GrantMissing):
        member.publish_audio("mic")
    member.send_data(models.DataPacket(user=models.UserPacket(payload=b"refused")), reliable=True)
    carol, _ = enter(embedded, "carol")
    carol.send_data(models.DataPacket(user=models.UserPacket(payload=b"taken")), reliable=True)
    (packet,) = await alice.event("data_received")
    assert packet.data == b"taken"
    assert "on_track" not in listener.names()
    with pytest.raises(GrantMissing):
        enter(embedded, "dave", grants=Grants())
