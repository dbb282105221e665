"""A real LiveKit server for tests: found or built by `make livekit-server`, on loopback, with keys of its own.

Its version stands in go.mod, which the Makefile reads too.
"""

import asyncio
import contextlib
import os
import re
import secrets
import socket
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import aiohttp
import pytest

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]
_STARTED_WITHIN_S = 15.0
_STOPPED_WITHIN_S = 5.0
_CONFIG = """\
port: {port}
bind_addresses: ["127.0.0.1"]
log_level: {log_level}
keys: {{ {api_key}: {api_secret} }}
rtc:
  udp_port: {udp_port}
  tcp_port: 0
  use_external_ip: false
  enable_loopback_candidate: true
  node_ip: 127.0.0.1
  interfaces: {{ includes: [lo] }}
room: {{ max_participants: {max_participants} }}
turn:
  enabled: {has_turn}
  udp_port: {turn_port}
  domain: localhost
  external_tls: true
  allow_restricted_peer_cidrs: ["127.0.0.0/8"]
"""


def version() -> str:
    """Return the pinned version, as 1.2.3."""
    found = re.search(r"livekit-server v(\S+)", (_HERE / "go.mod").read_text())
    assert found is not None
    return found[1]


def binary() -> Path | None:
    """Return the program: $LIVEKIT_SERVER, or what `make livekit-server` has built; None if there is neither."""
    path = Path(os.environ.get("LIVEKIT_SERVER") or _ROOT / "build" / f"livekit-server-{version()}")
    return path if os.access(path, os.X_OK) else None


def require() -> Path:
    """Return the program, or skip the test and say what to install."""
    path = binary()
    if path is None:
        pytest.skip(
            f"no LiveKit server {version()}: install Go and run `make livekit-server`, or name one: LIVEKIT_SERVER=path"
        )
    return path


@dataclass
class LiveKitServer:
    """A running server. url: where clients join. It can be killed and started again on the same ports."""

    config: str
    port: int
    udp_port: int
    turn_port: int
    api_key: str
    api_secret: str
    process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, *, has_turn: bool = False, max_participants: int = 0) -> AsyncIterator[Self]:
        """A server on free ports, until the block ends."""
        port, udp_port, turn_port = (_free_port(kind) for kind in (socket.SOCK_STREAM, *[socket.SOCK_DGRAM] * 2))
        api_key, api_secret = f"API{secrets.token_hex(6)}", secrets.token_urlsafe(32)
        config = _CONFIG.format(
            port=port,
            udp_port=udp_port,
            turn_port=turn_port,
            has_turn=str(has_turn).lower(),
            api_key=api_key,
            api_secret=api_secret,
            max_participants=max_participants,
            log_level=os.environ.get("LIVEKIT_LOG_LEVEL", "error"),
        )
        server = cls(config, port, udp_port, turn_port, api_key, api_secret)
        try:
            await server.start()
            yield server
        finally:
            await server.kill()

    async def start(self) -> None:
        """Start the process and wait until it answers."""
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(self.config)
            file.flush()
            self.process = await asyncio.create_subprocess_exec(require(), "--config", file.name)
            async with asyncio.timeout(_STARTED_WITHIN_S), aiohttp.ClientSession() as session:
                while not await self._answers(session):
                    assert self.process.returncode is None, "the LiveKit server has ended; see its output above"
                    await asyncio.sleep(0.02)

    async def kill(self) -> None:
        """End the process at once, as a crash would. Safe to call twice."""
        process, self.process = self.process, None
        if process is not None and process.returncode is None:
            process.kill()
            await asyncio.wait_for(process.wait(), _STOPPED_WITHIN_S)

    async def _answers(self, session: aiohttp.ClientSession) -> bool:
        try:
            async with session.get(f"http://127.0.0.1:{self.port}/") as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False


def _free_port(kind: int) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
