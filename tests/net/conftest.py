"""One UDP port for the tests of the wire."""

from collections.abc import AsyncIterator

import pytest

from pressroom_host.webrtc.mux import Mux


@pytest.fixture
async def mux() -> AsyncIterator[Mux]:
    port = Mux.open("127.0.0.1", 0)
    yield port
    await port.close()
