"""What is the embedded room's own: its door, where it differs from a LiveKit server, and how it could break."""

import asyncio
import base64
import gzip
import re

import jwt
import pytest
from google.protobuf.message import DecodeError
from livekit import rtc
from livekit.protocol import models
from livekit.protocol import rtc as protocol
from livekit.rtc.participant import PublishTrackError
from tests.net.mutations import FUZZ_TIMEOUT_S, captures, examples, hostile
from tests.net.peers import until
from tests.room.clients import Client, Door, hears, http, status
from tests.room.conftest import API_KEY, API_SECRET

from pressroom_host.errors import UserError
from pressroom_host.room import client as client_module
from pressroom_host.room import server as server_module
from pressroom_host.room.participant import MAX_TRACKS, State
from pressroom_host.room.server import RoomServer


@pytest.fixture
def room_server(embedded: RoomServer) -> Door:
    """The embedded room and nothing else."""
    return Door(embedded.url, API_KEY, API_SECRET)


def participant(server: RoomServer, identity: str) -> client_module.ClientParticipant:
    found = server.rooms["hall"].participants[identity]
    assert isinstance(found, client_module.ClientParticipant)
    return found


# The door.


async def test_version_0_of_signalling_is_answered_404_so_that_clients_of_either_version_understand(room_server):
    assert await status(room_server, "/rtc", room_server.token("alice")) == 404
    assert await status(room_server, "/rtc/validate", room_server.token("alice")) == 403


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::1", "localhost", "nonsense"])
async def test_the_room_listens_on_loopback_only(host):
    with pytest.raises(UserError, match=re.escape(f"room: {host} is not loopback")):
        await RoomServer.start(api_key="k", api_secret="s", host=host)


async def test_a_taken_port_leaves_nothing_open(embedded: RoomServer):
    port = int(embedded.url.rsplit(":", 1)[1])
    with pytest.raises(OSError, match="in use"):
        await RoomServer.start(api_key="k", api_secret="s", port=port)
    with pytest.raises(OSError, match="in use"):
        await RoomServer.start(api_key="k", api_secret="s", udp_port=embedded.mux.port)


async def test_logs_hold_no_secret_and_no_token(embedded: RoomServer, room_server, join, capsys):
    await join("alice")
    await status(room_server, "/rtc/v1/validate", room_server.token("bob") + "x")
    out, err = capsys.readouterr()
    assert "client refused" in out
    assert room_server.api_secret not in out + err
    assert "eyJ" not in out + err


# Grants: absent is refused, also where a LiveKit server would allow it.


async def test_what_a_token_does_not_grant_is_refused(room_server, join):
    claims = {"sub": "modest", "iss": room_server.api_key, "exp": 2**33, "video": {"roomJoin": True, "room": "hall"}}
    alice = await join("alice")
    await alice.publish()
    modest = Client()
    await modest.room.connect(room_server.url, jwt.encode(claims, room_server.api_secret, algorithm="HS256"))
    await modest.me.publish_data(b"refused", reliable=True)
    await modest.me.set_attributes({"mood": "grim"})
    await modest.room.disconnect()
    (gone,) = await alice.event("participant_disconnected")
    assert gone.attributes == {}
    assert "data_received" not in alice.names()
    assert "track_subscribed" not in modest.names()


async def test_a_video_track_is_refused_and_its_owner_stays(join):
    alice, bob = await join("alice"), await join("bob")
    camera = rtc.LocalVideoTrack.create_video_track("camera", rtc.VideoSource(64, 64))
    with pytest.raises(PublishTrackError):
        await alice.me.publish_track(camera)
    voice = await alice.publish()
    track, _, _ = await bob.event("track_subscribed")
    async with voice.tone(440):
        await hears(track, 440)


# SDP: the official client takes its server's SDP for granted; one bad line ends its process.


async def test_libwebrtc_takes_every_answer_the_server_can_write(join, monkeypatch):
    written = set()

    def record(transport, version, sections):
        written.update((s.offered.kind, s.direction, s.sent is not None, s.offered.has_opus) for s in sections)
        return write_answer(transport, version, sections)

    write_answer = client_module.write_answer
    monkeypatch.setattr(client_module, "write_answer", record)
    alice, bob = await join("alice"), await join("bob")
    for _ in range(3):
        voices = [await alice.publish(f"track-{number}") for number in range(4)]
        publications = [(await bob.event("track_subscribed"))[1] for _ in voices]
        publications[0].set_subscribed(False)
        await bob.event("track_unsubscribed")
        for voice in voices[1:]:
            await alice.me.unpublish_track(voice.publication.sid)
            await bob.event("track_unpublished")
        publications[0].set_subscribed(True)
        track, _, _ = await bob.event("track_subscribed")
        async with voices[0].tone(440):
            await hears(track, 440)
        await alice.me.unpublish_track(voices[0].publication.sid)
        await bob.event("track_unpublished")
    assert written == {
        ("application", "sendrecv", False, False),
        ("audio", "inactive", False, True),
        ("audio", "recvonly", False, True),
        ("audio", "sendonly", True, True),
        ("video", "inactive", False, False),
    }


# Clients that are lost, and find back.


async def test_a_client_whose_media_is_silent_is_sent_to_reconnect(embedded, join):
    alice, bob = await join("alice"), await join("bob")
    first = participant(embedded, "alice")
    first._peer.poll(asyncio.get_running_loop().time() + 16)
    await alice.event("reconnected")
    (gone,) = await bob.event("participant_disconnected")
    assert gone.disconnect_reason == rtc.DisconnectReason.CONNECTION_TIMEOUT
    await bob.event("participant_connected", lambda newcomer: newcomer.sid != first.sid)


async def test_a_client_that_does_not_answer_the_websocket_ping_is_gone(embedded, room_server, monkeypatch):
    monkeypatch.setattr(server_module, "_HEARTBEAT_S", 0.1)
    token = room_server.token("frozen")
    join_request = captures("signalling", "join_request.txt")[0].decode()
    async with (
        http(room_server) as session,
        session.ws_connect(f"/rtc/v1?join_request={join_request}&access_token={token}", autoping=False) as socket,
    ):
        await socket.receive()
        assert "frozen" in embedded.rooms["hall"].participants
        await until(lambda: embedded.rooms == {}, "the frozen client is gone, and its room")


async def test_a_client_that_reads_no_signalling_is_sent_away(embedded, join):
    alice = await join("alice")
    lazy = participant(embedded, "alice")
    for _ in range(1_100):  # in one go, so that the writer gets no turn
        lazy.on_participant(lazy.info())
    assert lazy.state == State.DISCONNECTED
    assert len(lazy._outbox) == 2  # the goodbye, and its end
    await alice.event("reconnecting")


async def test_a_client_that_takes_no_data_is_sent_away(embedded, join):
    alice = await join("alice")
    lazy = participant(embedded, "alice")
    for _ in range(80):
        lazy.on_data(models.DataPacket(), bytes(250_000), True)
    assert lazy.state == State.DISCONNECTED
    await alice.event("reconnecting")


async def test_a_room_is_dropped_with_its_last_participant(embedded, join):
    alice, bob = await join("alice"), await join("bob")
    await alice.room.disconnect()
    assert list(embedded.rooms) == ["hall"]
    await bob.room.disconnect()
    await until(lambda: embedded.rooms == {} and embedded.mux._by_ufrag == {}, "nothing is left")
    assert embedded.mux._by_address == {}


async def test_stopping_tells_everybody_and_is_safe_to_do_twice(embedded, join):
    alice = await join("alice")
    await embedded.stop()
    (reason,) = await alice.event("disconnected")
    assert reason == rtc.DisconnectReason.SERVER_SHUTDOWN
    await embedded.stop()


# Hostile signalling, from one that has a token.


@pytest.mark.timeout(FUZZ_TIMEOUT_S)
async def test_hostile_requests_are_counted_or_ignored_and_the_others_are_served(embedded, join):
    alice, bob = await join("alice"), await join("bob")
    troll = participant(embedded, "bob")
    for number, request in enumerate(examples(hostile(captures("signalling")))):
        if not ends_the_stay(request):
            troll._receive(request)
        if number % 50 == 0:
            await asyncio.sleep(0)  # lets the writer take its turn
    assert troll.n_bad_requests > 0
    assert len(troll._negotiation.pending) <= MAX_TRACKS
    await bob.room.disconnect()
    carol = await join("carol")
    voice = await carol.publish()
    track, _, _ = await alice.event("track_subscribed")
    async with voice.tone(440):
        await hears(track, 440)


def ends_the_stay(request: bytes) -> bool:
    """A goodbye and a bad offer do, as they should."""
    try:
        return protocol.SignalRequest.FromString(request).WhichOneof("message") in ("leave", "offer")
    except DecodeError:
        return False


async def test_an_offer_that_cannot_be_answered_makes_the_client_start_anew(embedded, join):
    alice = await join("alice")
    request = protocol.SignalRequest(offer=protocol.SessionDescription(type="offer", sdp="v=0"))
    participant(embedded, "alice")._receive(request.SerializeToString())
    await alice.event("reconnected")


async def test_a_client_joins_without_the_attributes_that_are_too_long(embedded, room_server):
    request = protocol.JoinRequest(participant_attributes={"a": "x" * 100_000}).SerializeToString()
    gzipped = protocol.WrappedJoinRequest.Compression.GZIP
    wrapped = protocol.WrappedJoinRequest(compression=gzipped, join_request=gzip.compress(request))
    query = {
        "join_request": base64.urlsafe_b64encode(wrapped.SerializeToString()).decode(),
        "access_token": room_server.token("alice"),
    }
    async with http(room_server) as session, session.ws_connect("/rtc/v1", params=query) as socket:
        response = protocol.SignalResponse.FromString(await socket.receive_bytes())
        assert response.join.participant.identity == "alice"
        assert response.join.participant.attributes == {}


async def test_an_oversized_message_ends_the_conversation(embedded, room_server):
    token = room_server.token("alice")
    join_request = captures("signalling", "join_request.txt")[0].decode()
    async with (
        http(room_server) as session,
        session.ws_connect(f"/rtc/v1?join_request={join_request}&access_token={token}") as socket,
    ):
        await socket.send_bytes(bytes(600_000))
        await until(lambda: embedded.rooms == {}, "the client is gone")
