"""Mouth to ear: one board speaks, another hears it; how much later, by cross-correlation of the two."""

import asyncio
import time
from pathlib import Path

from figures import Figure, percentile

from pressroom_host.demo.house import House
from pressroom_host.demo.measure import MIN_CORRELATION, find_windows
from pressroom_host.demo.speech import script

_FROM_S = 1.5  # after the press: by then the pre-roll has been caught up with
_SPEECH_BEFORE_PRESS_S = 0.150
_LEAD_S = 0.3
_AFTER_S = 0.5


async def measure(folder: Path) -> list[Figure]:
    """Let one board say the longest recording to the other."""
    said = script()[2]
    async with House(folder / "state") as house, house.make_board("ear", {}) as ear:
        mouth = house.board
        await house.wait_ready(mouth)
        await house.wait_ready(ear)
        speech_s = await mouth.mic(said.samples, at_s=time.monotonic() + _LEAD_S)
        await asyncio.sleep(speech_s + _SPEECH_BEFORE_PRESS_S - time.monotonic())
        press_s = await mouth.press()
        await asyncio.sleep(speech_s + said.duration_s - time.monotonic())
        await mouth.release()
        await asyncio.sleep(_AFTER_S)
        heard = ear.speaker()
    begin = heard.sample_at(press_s)
    delays_ms = []
    for window in find_windows(said.samples, heard.samples[begin:]):
        spoken_s = speech_s + window.begin / heard.rate_hz
        if spoken_s >= press_s + _FROM_S and window.correlation >= MIN_CORRELATION:
            delays_ms.append(1_000 * (heard.time_of(begin + window.at_sample) - spoken_s))
    note = f"{len(delays_ms)} windows of 500 ms, {min(delays_ms, default=0):.0f} to {max(delays_ms, default=0):.0f} ms"
    return [Figure("mouth to ear, board to board, p50", percentile(delays_ms, 50), "ms", 120, note=note)]
