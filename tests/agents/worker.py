"""A worker of unmodified livekit-agents for tests, in the environment that `make test` makes for it."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.room.clients import Door

_HERE = Path(__file__).parent
_PYTHON = _HERE.parents[1] / "build" / "agents" / "bin" / "python"
_REGISTERED_WITHIN_S = 40.0
_ENDED_WITHIN_S = 10.0


class Worker:
    """A running worker; `lines` is what it has logged."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.lines: list[str] = []
        self._process = process

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, door: Door, agent_name: str = "") -> AsyncIterator["Worker"]:
        """A worker that is registered at the door's server, until the block ends; skips where it is not installed."""
        if not os.access(_PYTHON, os.X_OK):
            pytest.skip("no livekit-agents: `make test` installs it into build/agents; see what it said")
        environment = {
            **os.environ,
            "LIVEKIT_URL": door.url,
            "LIVEKIT_API_KEY": door.api_key,
            "LIVEKIT_API_SECRET": door.api_secret,
            "AGENT_NAME": agent_name,
        }
        process = await asyncio.create_subprocess_exec(
            *(_PYTHON, _HERE / "scripted_agent.py", "start"),
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        worker = cls(process)
        reading = asyncio.create_task(worker._read())
        try:
            async with asyncio.timeout(_REGISTERED_WITHIN_S):
                while not any("registered worker" in line for line in worker.lines):
                    assert process.returncode is None, "the worker has ended:\n" + "\n".join(worker.lines)
                    await asyncio.sleep(0.05)
            yield worker
        finally:
            await worker.kill()
            await reading

    async def kill(self) -> None:
        """End it at once, as a crash would. Safe to call twice."""
        if self._process.returncode is None:
            self._process.kill()
        await asyncio.wait_for(self._process.wait(), _ENDED_WITHIN_S)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.lines.append(line.decode(errors="replace").rstrip())
