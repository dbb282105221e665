"""The rooms under test: the embedded one and a real LiveKit server, behind the same door."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from livekit import rtc
from tests.livekit_server.server import LiveKitServer
from tests.room.clients import DEADLINE_S, Client, Door

from pressroom_host.room.server import RoomServer

API_KEY = "APItest"
API_SECRET = "a-secret-for-tests-of-at-least-32-bytes"


@pytest.fixture
async def embedded() -> AsyncIterator[RoomServer]:
    """The embedded room itself, for what only it offers."""
    server = await RoomServer.start(api_key=API_KEY, api_secret=API_SECRET)
    yield server
    await server.stop()


@pytest.fixture
async def livekit() -> AsyncIterator[LiveKitServer]:
    """A real server itself, for what only it offers. It starts in 50 ms, so each test has its own."""
    async with LiveKitServer.running(has_turn=True) as server:
        yield server


@pytest.fixture(params=["embedded", "livekit"])
def room_server(request: pytest.FixtureRequest) -> Door:
    """The way in; a test that needs nothing else runs in either room."""
    server = request.getfixturevalue(request.param)
    if request.param == "embedded":
        return Door(server.url, API_KEY, API_SECRET)
    return Door(server.url, server.api_key, server.api_secret)


Join = Callable[..., Awaitable[Client]]


@pytest.fixture
async def join(room_server: Door) -> AsyncIterator[Join]:
    """`await join(identity, **grants)` -> a connected official client, disconnected after the test."""
    clients: list[Client] = []

    async def join_room(identity: str, *, auto_subscribe: bool = True, **grants: object) -> Client:
        client = Client()
        clients.append(client)
        options = rtc.RoomOptions(auto_subscribe=auto_subscribe)
        await asyncio.wait_for(
            client.room.connect(room_server.url, room_server.token(identity, **grants), options), DEADLINE_S
        )
        return client

    yield join_room
    for client in clients:
        await client.room.disconnect()
