"""What a packet costs the gateway: CPU time of its process alone, with the senders and a listener in others.

For each codec: devices are connected and silent for a while (the idle cost), then all talk for as long. The difference,
divided by the packets, is the cost of one: received, unprotected, passed on or transcoded, protected again for one
official client that hears every device, and sent.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from figures import Figure

_HERE = Path(__file__).resolve().parent
_SECONDS = 10.0
_WARM_SECONDS = 1.0
_ANSWER_TIMEOUT_S = 90.0
_SETTLE_S = 0.5


class Process:
    """A script of this folder that answers JSON lines."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, script: str, *arguments: str) -> "Process":
        return cls(
            await asyncio.create_subprocess_exec(
                *(sys.executable, str(_HERE / script), *arguments),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=1 << 20,
            )
        )

    async def ask(self, line: str) -> dict[str, Any]:
        """Send a line and return the next answer."""
        self.tell(line)
        return await self.answer()

    def tell(self, line: str) -> None:
        """Send a line that has no answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")

    async def answer(self) -> dict[str, Any]:
        """Return the next answer."""
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), _ANSWER_TIMEOUT_S)
        if not line:
            raise RuntimeError("a process of the benchmark ended; see above why")
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def stop(self) -> None:
        """End it by the end of its input."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await asyncio.wait_for(self._process.wait(), _ANSWER_TIMEOUT_S)


async def measure(folder: Path) -> list[Figure]:
    """Measure Opus that is passed through and L16 that is transcoded."""
    return [
        await _cost("gateway CPU per forwarded Opus packet", "opus", 40, 40.0, folder),
        await _cost("gateway CPU per transcoded L16 packet", "l16", 10, 250.0, folder),
    ]


async def _cost(name: str, codec: str, n_devices: int, budget_us: float, folder: Path) -> Figure:
    gateway = await Process.start("gateway_process.py", str(folder / f"state-{codec}"))
    urls = await gateway.answer()
    listener = await Process.start("listener.py", urls["room_url"])
    listener.tell((await gateway.ask("client listener"))["token"])
    senders = await Process.start("senders.py")
    tokens = (await gateway.ask(f"devices {n_devices}"))["tokens"]
    await senders.ask(json.dumps({"url": urls["device_url"], "tokens": tokens, "codec": codec}))
    while (await listener.answer())["n_tracks"] < n_devices:
        continue
    await senders.ask(str(_WARM_SECONDS))
    await asyncio.sleep(_SETTLE_S)
    idle_s = await _used_s(gateway, asyncio.sleep(_SECONDS, {}))
    talking = senders.ask(str(_SECONDS))
    answers: list[dict[str, Any]] = []
    busy_s = await _used_s(gateway, _kept(talking, answers))
    for process in (senders, listener, gateway):
        await process.stop()
    n_sent = answers[0]["n_sent"]
    return Figure(
        name,
        1e6 * (busy_s - idle_s) / n_sent,
        "us",
        budget_us,
        note=f"{n_devices} senders, {n_sent:,} packets; idle {1e3 * idle_s / _SECONDS:.1f} ms a second is subtracted",
    )


async def _used_s(gateway: Process, meanwhile: Any) -> float:
    before_s = (await gateway.ask("usage"))["cpu_s"]
    await meanwhile
    after_s: float = (await gateway.ask("usage"))["cpu_s"]
    return after_s - before_s


async def _kept(asked: Any, answers: list[dict[str, Any]]) -> None:
    answers.append(await asked)
