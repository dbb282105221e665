"""Chromium with the official JavaScript client, for tests: it is started once, and each test opens a page of its own.

A page is served from a port of its own, so a room is another origin to it, as it is to pages of users. Tests call the
functions of page.js over Chromium's DevTools Protocol. `make test` installs what is needed.
"""

import asyncio
import contextlib
import itertools
import json
import shutil
import subprocess
import time
import wave
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import aiohttp
import numpy as np
import pytest
from aiohttp import web

MICROPHONE_HZ = 440  # what Chromium's stand-in for a microphone hears
_HERE = Path(__file__).parent
_INSTALLED = _HERE.parents[2] / "build/livekit-client"
_CLIENT = _INSTALLED / "node_modules/livekit-client/dist/livekit-client.umd.js"
_RATE_HZ = 48_000
_STARTED_WITHIN_S = 30.0
_STOPPED_WITHIN_S = 5.0
_ANSWERED_WITHIN_S = 20.0  # page.js gives up earlier, and says what it waited for
_LOG_LINE_CHARS = 240
_SWITCHES = [
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
    *("--autoplay-policy=no-user-gesture-required", "--remote-debugging-port=0"),
    # Of two pages one is behind the other; its timers run on as those of a page one looks at.
    *("--disable-background-timer-throttling", "--disable-renderer-backgrounding"),
]


def require() -> str:
    """Return Chromium's program, or skip the test and say what to install."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("Chromium is not installed; install it (Debian: apt-get install chromium)")
    if not (_INSTALLED / "installed").exists():
        pytest.skip("livekit-client is not installed; install nodejs 18 or later, and npm, and run `make test`")
    return program


class PageError(AssertionError):
    """The page threw; the text is its message and stack, with what it had logged."""


@dataclass(frozen=True)
class Chromium:
    """A running browser. devtools_url: where its pages are opened and closed."""

    devtools_url: str

    @classmethod
    @contextlib.contextmanager
    def running(cls, folder: Path) -> Iterator[Self]:
        """One that keeps its profile and its log in the folder, until the block ends."""
        program = require()
        microphone, profile, log_path = folder / "microphone.wav", folder / "profile", folder / "chromium.log"
        _write_tone(microphone)
        paths = [f"--use-file-for-fake-audio-capture={microphone}", f"--user-data-dir={profile}"]
        with log_path.open("wb") as log:
            process = subprocess.Popen([program, *_SWITCHES, *paths, "about:blank"], stdout=log, stderr=log)
        try:  # also where it does not start
            yield cls(f"http://127.0.0.1:{_devtools_port(process, profile, log_path)}")
        finally:
            process.terminate()
            try:
                process.wait(_STOPPED_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(_STOPPED_WITHIN_S)

    @contextlib.asynccontextmanager
    async def page(self) -> AsyncIterator["Page"]:
        """A new tab with page.html, until the block ends."""
        async with _served() as url, aiohttp.ClientSession(self.devtools_url) as session:
            async with session.put("/json/new?about:blank") as response:
                target = await response.json()
            try:
                async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                    page = Page(socket)
                    reader = asyncio.create_task(page.read())
                    try:
                        await page.load(url)
                        yield page
                    finally:
                        reader.cancel()
                        await asyncio.wait([reader])
                        print(*page.log, sep="\n")  # pytest shows it where the test failed
            finally:
                await session.get(f"/json/close/{target['id']}")


@dataclass
class Page:
    """One tab. log: what it wrote to its console; uncaught: errors nobody caught in it."""

    socket: aiohttp.ClientWebSocketResponse
    log: list[str] = field(default_factory=list)
    uncaught: list[str] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _answers: dict[int, asyncio.Future[dict[str, Any]]] = field(default_factory=dict)
    _is_loaded: asyncio.Event = field(default_factory=asyncio.Event)

    async def call(self, function: str, *arguments: Any) -> Any:
        """Call a function of page.js and return what it returns or promises. Raises PageError with what it throws."""
        expression = f"{function}({', '.join(json.dumps(argument) for argument in arguments)})"
        answer = await self._command("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            thrown = _thrown(answer["exceptionDetails"])
            raise PageError("\n".join((f"{function}: {thrown}", "log of the page:", *self.log)))
        return answer["result"].get("value")

    async def event(self, name: str) -> list[Any]:
        """Take the page's next event of this name, waiting for it; return its arguments as page.js describes them."""
        return await self.call("event", name)

    async def load(self, url: str) -> None:
        """Open the address and run its scripts."""
        await self._command("Runtime.enable")
        await self._command("Page.enable")
        await self._command("Page.navigate", url=url)
        await asyncio.wait_for(self._is_loaded.wait(), _ANSWERED_WITHIN_S)

    async def read(self) -> None:
        """Take what Chromium says, for as long as the page is open."""
        async for message in self.socket:
            said = json.loads(message.data)
            if "id" in said:
                answer = self._answers.pop(said["id"])
                if not answer.done():  # nobody waits any more
                    answer.set_result(said)
            elif said["method"] == "Page.loadEventFired":
                self._is_loaded.set()
            elif said["method"] == "Runtime.consoleAPICalled":
                line = " ".join(_shown(argument) for argument in said["params"]["args"])
                self.log.append(line[:_LOG_LINE_CHARS])
            elif said["method"] == "Runtime.exceptionThrown":
                self.uncaught.append(_thrown(said["params"]["exceptionDetails"]))
                self.log.append(self.uncaught[-1])
        for answer in self._answers.values():
            answer.set_exception(PageError("the page is gone"))

    async def _command(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self.socket.send_json({"id": number, "method": method, "params": parameters})
        said = await asyncio.wait_for(answer, _ANSWERED_WITHIN_S)
        if "error" in said:
            raise PageError(f"{method}: {said['error']['message']}")
        return said["result"]


@contextlib.asynccontextmanager
async def _served() -> AsyncIterator[str]:
    app = web.Application()
    for path in (_HERE / "page.html", _HERE / "page.js", _CLIENT):
        app.router.add_get(f"/{path.name}", _sender(path))
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/page.html"
    finally:
        await runner.cleanup()


def _sender(path: Path) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def send(request: web.Request) -> web.StreamResponse:
        return web.FileResponse(path)

    return send


def _devtools_port(process: "subprocess.Popen[bytes]", profile: Path, log_path: Path) -> int:
    """Wait for the file in which Chromium writes down where it listens."""
    path = profile / "DevToolsActivePort"
    deadline_s = time.monotonic() + _STARTED_WITHIN_S
    while not (path.exists() and "\n" in (text := path.read_text())):
        is_late = time.monotonic() > deadline_s
        if is_late or process.poll() is not None:
            what = f"does not listen after {_STARTED_WITHIN_S:.0f} s" if is_late else "has ended"
            raise AssertionError(f"Chromium {what}; its log:\n{log_path.read_text(errors='replace')[-2_000:]}")
        time.sleep(0.02)
    return int(text.split("\n")[0])


def _write_tone(path: Path) -> None:
    """Write one second of a tone, which Chromium repeats without a seam."""
    tone = 12_000 * np.sin(2 * np.pi * MICROPHONE_HZ * np.arange(_RATE_HZ) / _RATE_HZ)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE_HZ)
        file.writeframes(tone.astype("<i2").tobytes())


def _thrown(details: dict[str, Any]) -> str:
    exception = details.get("exception", {})
    return str(exception.get("description") or exception.get("value") or details["text"])


def _shown(argument: dict[str, Any]) -> str:
    if "preview" in argument:
        fields = argument["preview"]["properties"]
        return " ".join(f"{one['name']}={one.get('value', '')}" for one in fields)
    return str(argument.get("value", argument.get("description", argument["type"])))
