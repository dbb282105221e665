"""The parrot seen from the demo: a process whose events are waited for."""

import asyncio
import json
import sys
from typing import Any, Self

from pressroom_host.errors import UserError

_STOP_TIMEOUT_S = 5.0
_MAX_EVENTS = 10_000


class ParrotFailed(UserError):
    """The parrot ended, or did not do what was waited for."""

    exit_code = 1


class ParrotProcess:
    """One parrot. `events` is all it has told: a list of (event, fields), the oldest first."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._process = process
        self._has_ended = False
        self._changed = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, url: str, token: str, answer: str) -> Self:
        """Send a parrot into a room, to answer the participant of that identity."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pressroom_host.demo.parrot", "--url", url, "--answer", answer),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for us; the parrot leaves when its input ends
        )
        assert process.stdin is not None
        process.stdin.write(token.encode() + b"\n")
        return cls(process)

    async def wait_for(self, event: str, timeout_s: float, since: int = 0) -> dict[str, Any]:
        """Return the fields of the first such event at index `since` of `events` or later. Raises ParrotFailed."""
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    for name, fields in self.events[since:]:
                        if name == event:
                            return fields
                        if name == "failed":
                            raise ParrotFailed(f"the parrot could not join the room: {fields.get('message')}")
                    if self._has_ended:
                        raise ParrotFailed("the parrot ended unasked; run it by hand to see why (see demo/parrot.py)")
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            told = ", ".join(name for name, _ in self.events[since:]) or "nothing"
            raise ParrotFailed(f"the parrot did not tell {event!r} within {timeout_s:.0f} s; it told {told}") from None

    async def stop(self) -> int:
        """Let it leave, and return its exit code. Safe to call twice."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), _STOP_TIMEOUT_S)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._reading
        return self._process.returncode or 0

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            if len(self.events) < _MAX_EVENTS:
                told = json.loads(line)
                self.events.append((told.pop("event"), told))
            self._changed.set()
        self._has_ended = True
        self._changed.set()
