"""A hand on the simulated board's button and a voice before its microphone, led by somebody at a keyboard.

key                        does
Enter                      somebody begins to speak, and the button is pressed 150 ms later; released at the end
Enter while it is held     the button is released at once; the rest is not heard
the input ends, a signal   it stops
"""

import asyncio
import itertools
import signal
import sys
import time

from pressroom_host.demo.speech import Speech
from pressroom_host.demo.timeline import Tell
from pressroom_host.sim.board import SimulatedBoard

_LEAD_S = 0.1
_SPEECH_BEFORE_PRESS_S = 0.150
_DAY_S = 86_400.0
_INTERRUPTED = 130  # 128 + SIGINT, as a shell counts it


class Hand:
    """Says the speeches in turn, round and round."""

    def __init__(self, board: SimulatedBoard, speeches: list[Speech], tell: Tell) -> None:
        self._board = board
        self._speeches = itertools.cycle(speeches)
        self._tell = tell
        self._release_at = asyncio.Event()
        self._talking: asyncio.Task[None] | None = None

    async def obey_keyboard(self) -> int:
        """Until a signal to stop, or the end of the input where that is a terminal. Returns the exit code."""
        loop = asyncio.get_running_loop()
        stopped: asyncio.Future[int] = loop.create_future()
        for number, exit_code in ((signal.SIGTERM, 0), (signal.SIGINT, _INTERRUPTED)):
            loop.add_signal_handler(number, _stop, stopped, exit_code)
        following = asyncio.create_task(self._follow_led())
        reading = asyncio.create_task(self._read_keys(stopped)) if sys.stdin.isatty() else None
        try:
            return await stopped
        finally:
            tasks = [task for task in (following, reading, self._talking) if task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def push(self) -> None:
        """Enter was pressed."""
        if self._talking is not None and not self._talking.done():
            self._release_at.set()
        else:
            self._talking = asyncio.create_task(self._talk(next(self._speeches)))

    async def _talk(self, speech: Speech) -> None:
        self._release_at.clear()
        speech_s = await self._board.mic(speech.samples, at_s=time.monotonic() + _LEAD_S)
        await asyncio.sleep(speech_s + _SPEECH_BEFORE_PRESS_S - time.monotonic())
        self._tell(await self._board.press(), "board", f"button pressed; it hears {speech.title}")
        try:
            end_s = speech_s + speech.duration_s
            async with asyncio.timeout(max(end_s - time.monotonic(), 0)):
                await self._release_at.wait()
        except TimeoutError:
            pass
        self._tell(await self._board.release(), "board", "button released")

    async def _read_keys(self, stopped: asyncio.Future[int]) -> None:
        lines = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        while await lines.readline():
            self.push()
        _stop(stopped, 0)

    async def _follow_led(self) -> None:
        n_seen = 0
        while True:
            await self._board.wait_event("led", since=n_seen, timeout_s=_DAY_S)
            events = self._board.events[n_seen:]
            n_seen += len(events)
            for at_s, kind, value in events:
                if kind == "led":
                    self._tell(at_s, "board", f"shows {str(value).replace('_', ' ')}")


def _stop(stopped: asyncio.Future[int], exit_code: int) -> None:
    if not stopped.done():
        stopped.set_result(exit_code)
