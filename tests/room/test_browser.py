"""The official JavaScript client in Chromium, in both rooms: what pages see, and what others see of them."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack

import jwt
import pytest
from livekit import rtc
from livekit.protocol import models
from tests.integration.link_proxy import LinkProxy
from tests.room.browser.browser import MICROPHONE_HZ, Chromium, Page
from tests.room.clients import DEADLINE_S, Client, Door, hears
from tests.room.conftest import API_KEY, API_SECRET, Join

from pressroom_host.room.server import RoomServer

pytestmark = pytest.mark.xdist_group("browser")  # one Chromium for all


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium.running(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


OpenPage = Callable[[], Awaitable[Page]]
JoinPage = Callable[..., Awaitable[Page]]


@pytest.fixture
async def open_page(chromium: Chromium) -> AsyncIterator[OpenPage]:
    """`await open_page()` -> a page that has not joined yet; an error that nobody caught in it fails the test."""
    pages: list[Page] = []
    async with AsyncExitStack() as stack:

        async def open_page() -> Page:
            pages.append(await stack.enter_async_context(chromium.page()))
            return pages[-1]

        yield open_page
    assert [error for page in pages for error in page.uncaught] == []


@pytest.fixture
async def join_page(open_page: OpenPage, room_server: Door) -> JoinPage:
    """`await join_page(identity, **grants)` -> a page that is in the room."""

    async def join_page(identity: str, **grants: object) -> Page:
        page = await open_page()
        await page.call("join", room_server.url, room_server.token(identity, **grants))
        return page

    return join_page


@pytest.fixture
async def join_embedded(open_page: OpenPage, embedded: RoomServer) -> JoinPage:
    """`await join_embedded(identity)` -> a page that is in the embedded room."""

    async def join_embedded(identity: str) -> Page:
        page = await open_page()
        await page.call("join", embedded.url, Door(embedded.url, API_KEY, API_SECRET).token(identity))
        return page

    return join_embedded


@pytest.fixture
async def meet(join: Join, join_page: JoinPage) -> Callable[[], Awaitable[tuple[Client, Page]]]:
    """`await meet()` -> Alice and a page that know each other, as those who have published do at once.

    Of others a LiveKit server tells within 3 s.
    """

    async def meet() -> tuple[Client, Page]:
        alice, page = await join("alice"), await join_page("page")
        await alice.publish()
        await page.call("setMicrophone", True)
        await alice.event("track_subscribed")
        await page.event("trackSubscribed")
        return alice, page

    return meet


# Joining and leaving.


async def test_a_page_joins_and_sees_who_is_there(join, open_page, room_server):
    await join("alice")
    page = await open_page()
    me = await page.call("join", room_server.url, room_server.token("page"))
    assert me == {"identity": "page", "name": "Page", "attributes": {}}
    assert await page.call("remoteIdentities") == ["alice"]


async def test_a_page_is_seen_to_come_and_go(meet):
    alice, page = await meet()
    (participant,) = await alice.event("participant_connected")
    assert (participant.identity, participant.name) == ("page", "Page")
    await page.call("leave")
    (participant,) = await alice.event("participant_disconnected")
    assert participant.identity == "page"
    assert await page.event("disconnected") == [models.DisconnectReason.CLIENT_INITIATED]


async def test_a_page_sees_who_comes_and_goes(join, join_page):
    page, alice = await join_page("page"), await join("alice")
    await alice.publish()
    participant, *_ = await page.event("participantConnected")
    assert (participant["identity"], participant["name"]) == ("alice", "Alice")
    await alice.room.disconnect()
    participant, *_ = await page.event("participantDisconnected")
    assert participant["identity"] == "alice"


async def test_a_page_is_told_that_its_identity_has_joined_elsewhere(join_page):
    first = await join_page("page")
    await join_page("page")
    assert await first.event("disconnected") == [models.DisconnectReason.DUPLICATE_IDENTITY]


async def test_a_page_is_told_that_the_server_stops(join_embedded, embedded: RoomServer):
    page = await join_embedded("page")
    await embedded.stop()
    assert await page.event("disconnected") == [models.DisconnectReason.SERVER_SHUTDOWN]


async def test_a_page_is_told_that_it_was_removed(join_embedded, embedded: RoomServer):
    page = await join_embedded("page")
    room = embedded.rooms["hall"]
    room.leave(room.participants["page"], models.DisconnectReason.PARTICIPANT_REMOVED)
    assert await page.event("disconnected") == [models.DisconnectReason.PARTICIPANT_REMOVED]


async def test_the_server_mutes_the_microphone_of_a_page(join_embedded, embedded: RoomServer):
    page = await join_embedded("page")
    await page.call("setMicrophone", True)
    await page.event("localTrackPublished")
    (track,) = embedded.rooms["hall"].tracks()
    embedded.request_mute("hall", track.sid, True)
    publication, participant = await page.event("trackMuted")
    assert (participant["identity"], publication["isMuted"]) == ("page", True)


@pytest.mark.parametrize(
    ("claims", "secret", "words"),
    [
        ({}, "another-secret-of-at-least-32-bytes", "signature"),
        ({"exp": 1}, "", "expired"),
        ({"video": {"room": "hall"}}, "", "roomJoin|permissions"),
    ],
    ids=["another secret", "expired", "no grant to join"],
)
async def test_a_page_that_may_not_join_reads_why(open_page, room_server, claims, secret, words):
    claims = {**jwt.decode(room_server.token("page"), options={"verify_signature": False}), **claims}
    token = jwt.encode(claims, secret or room_server.api_secret, algorithm="HS256")
    page = await open_page()
    refusal = await page.call("refusal", room_server.url, token)
    assert refusal["status"] == 401, refusal
    assert re.search(words, refusal["message"], re.IGNORECASE)


async def test_a_page_of_signalling_version_0_reads_what_to_do(open_page, embedded: RoomServer):
    page, token = await open_page(), Door(embedded.url, API_KEY, API_SECRET).token("page")
    refusal = await page.call("refusal", embedded.url, token, {"singlePeerConnection": False})
    assert refusal["status"] == 403, refusal
    assert "singlePeerConnection: true" in refusal["message"]


# Voices.


async def test_the_microphone_of_a_page_is_heard_and_muted_and_heard_again(join, join_page):
    alice, page = await join("alice"), await join_page("page")
    assert await page.call("setMicrophone", True) == {"name": "", "source": "microphone", "isMuted": False}
    track, publication, participant = await alice.event("track_subscribed")
    assert (participant.identity, publication.source) == ("page", rtc.TrackSource.SOURCE_MICROPHONE)
    await hears(track, MICROPHONE_HZ)
    await page.event("localTrackSubscribed")
    await page.call("setMicrophone", False)
    participant, publication = await alice.event("track_muted")
    assert (participant.identity, publication.muted) == ("page", True)
    await page.call("setMicrophone", True)
    await alice.event("track_unmuted")
    await hears(track, MICROPHONE_HZ)


async def test_a_page_hears_a_voice_and_sees_it_muted_and_unmuted(join, join_page):
    page, alice = await join_page("page"), await join("alice")
    voice = await alice.publish()
    _, publication, participant = await page.event("trackSubscribed")
    assert (participant["identity"], publication["name"], publication["source"]) == ("alice", "mic", "microphone")
    async with voice.tone(1_000):
        await page.call("hears", "alice", 1_000)
    voice.track.mute()
    publication, participant = await page.event("trackMuted")
    assert (participant["identity"], publication["isMuted"]) == ("alice", True)
    voice.track.unmute()
    await page.event("trackUnmuted")
    async with voice.tone(700):
        await page.call("hears", "alice", 700)


async def test_a_page_hears_who_was_there_before_it(join, join_page):
    alice, bob = await join("alice"), await join("bob")
    voices = [await alice.publish(), await bob.publish()]
    page = await join_page("page")
    async with voices[0].tone(500), voices[1].tone(900):
        await page.call("hears", "alice", 500)
        await page.call("hears", "bob", 900)


async def test_two_pages_hear_each_other(join_page):
    pages = {"first": await join_page("first"), "second": await join_page("second")}
    for speaker, listener in (("first", "second"), ("second", "first")):
        await pages[speaker].call("setMicrophone", True)
        await pages[listener].event("trackSubscribed")
        await pages[listener].call("hears", speaker, MICROPHONE_HZ)


async def test_after_its_websocket_was_cut_a_page_hears_and_is_heard_again(join, open_page, room_server):
    alice = await join("alice")
    voice = await alice.publish()
    port = int(room_server.url.rsplit(":", 1)[1])
    async with LinkProxy.running() as proxy:
        proxy.aim(port, 0)
        page = await open_page()
        await page.call("join", f"ws://127.0.0.1:{proxy.tcp_port}", room_server.token("page"))
        await page.call("setMicrophone", True)
        await alice.event("track_subscribed")
        async with voice.tone(600):
            await page.call("hears", "alice", 600)
        proxy.cut("reset")
        proxy.mend()
        await page.event("reconnected")
        async with voice.tone(800):
            await page.call("hears", "alice", 800)
        await alice.until(lambda: page_track(alice), "the page is there again, with its track")
        await hears(page_track(alice), MICROPHONE_HZ)
        await page.call("leave")


def page_track(client: Client) -> rtc.Track | None:
    """The track a client hears of the page now."""
    page = client.room.remote_participants.get("page")
    tracks = [publication.track for publication in page.track_publications.values()] if page else []
    return tracks[0] if tracks else None


# Data.


@pytest.mark.parametrize("is_reliable", [True, False], ids=["reliable", "lossy"])
async def test_data_passes_both_ways(meet, is_reliable):
    alice, page = await meet()
    await alice.me.publish_data(b"to the page", reliable=is_reliable, topic="news")
    text, participant, _, topic, *_ = await page.event("dataReceived")
    assert (text, participant["identity"], topic) == ("to the page", "alice", "news")
    await page.call("publishData", "from the page", is_reliable)
    (packet,) = await alice.event("data_received")
    assert (packet.data, packet.topic, packet.participant.identity) == (b"from the page", "news", "page")


async def test_procedures_are_called_both_ways(meet):
    alice, page = await meet()

    @alice.me.register_rpc_method("greet")
    async def greet(invocation: rtc.RpcInvocationData) -> str:
        return f"{invocation.caller_identity} said {invocation.payload}"

    assert await page.call("performRpc", "alice", "greet", "hello") == "page said hello"
    await page.call("registerGreeting")
    answer = alice.me.perform_rpc(destination_identity="page", method="greet", payload="good day")
    assert await asyncio.wait_for(answer, DEADLINE_S) == "alice said good day"


@pytest.mark.parametrize("text", ["short", "long " * 20_000], ids=["short", "long"])
async def test_text_streams_arrive_whole_both_ways(meet, text):
    alice, page = await meet()
    arrived: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    tasks = []

    def on_stream(reader: rtc.TextStreamReader, identity: str) -> None:
        async def read() -> None:
            arrived.put_nowait((await reader.read_all(), identity))

        tasks.append(asyncio.ensure_future(read()))

    alice.room.register_text_stream_handler("notes", on_stream)
    await page.call("sendText", text, "notes")
    assert await asyncio.wait_for(arrived.get(), DEADLINE_S) == (text, "page")
    await page.call("takeTexts", "notes")
    await alice.me.send_text(text, topic="notes")
    assert await page.call("nextText") == {"identity": "alice", "text": text}
    await asyncio.gather(*tasks)


async def test_attributes_are_seen_both_ways(meet):
    alice, page = await meet()
    await page.call("setAttributes", {"mood": "bright"})
    assert (await page.event("participantAttributesChanged"))[0] == {"mood": "bright"}
    changed, participant = await alice.event("participant_attributes_changed")
    assert (changed, participant.identity) == ({"mood": "bright"}, "page")
    await alice.me.set_attributes({"mood": "calm"})
    changed, participant = await page.event("participantAttributesChanged")
    assert (changed, participant["identity"], participant["attributes"]) == ({"mood": "calm"}, "alice", changed)
