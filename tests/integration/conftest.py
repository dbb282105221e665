"""The gateway under test: what a device and its room see of it is the same in either kind of room."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from gateways import running_gateway
from tests.livekit_server.server import LiveKitServer

from pressroom_host.gateway.server import Gateway


@pytest.fixture(params=["embedded", "livekit"])
async def gateway(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Gateway]:
    """In rooms of its own, and in those of a real LiveKit server."""
    async with contextlib.AsyncExitStack() as stack:
        livekit = None
        if request.param == "livekit":
            livekit = await stack.enter_async_context(LiveKitServer.running())
        yield await stack.enter_async_context(running_gateway(tmp_path / "state", livekit))


@pytest.fixture
async def embedded_gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    """For what only rooms of its own offer."""
    async with running_gateway(tmp_path / "state") as running:
        yield running
