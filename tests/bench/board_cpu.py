"""What the simulated board's process takes of a core while it speaks and hears at once, and the codec's part of it."""

import asyncio
import os
import sys
import time
from pathlib import Path

from figures import Figure

from pressroom_host.demo.house import House
from pressroom_host.demo.speech import script

sys.path.append(str(Path(__file__).resolve().parents[2]))

from tests.opus import signals
from tests.opus.machines.unix import Unix

_SECONDS = 5.0
_LEAD_S = 0.3
_SETTLE_S = 0.5
_FRAMES_PER_S = 50
_DUPLEX = {"full_duplex": 1}


async def measure(folder: Path) -> list[Figure]:
    """Let two boards talk to each other, both all the time."""
    said = script()[2]
    async with (
        House(folder / "state") as house,
        house.make_board("other", _DUPLEX) as other,
        house.make_board("one", _DUPLEX) as one,
    ):
        await house.wait_ready(one)
        await house.wait_ready(other)
        start_s = time.monotonic() + _LEAD_S
        for board in (one, other):
            await board.mic(said.samples, at_s=start_s)
            await board.press()
        await asyncio.sleep(start_s + _SETTLE_S - time.monotonic())
        before = [_used_s(board.pid) for board in (one, other)]
        begun_s = time.monotonic()
        await asyncio.sleep(_SECONDS)
        took_s = time.monotonic() - begun_s
        shares = [100 * (_used_s(board.pid) - used) / took_s for board, used in zip((one, other), before, strict=True)]
        for board in (one, other):
            await board.release()
    unix = Unix()
    packets = [each.opus for each in unix.encode(signals.speech(500).tobytes(), 32_000)]
    frame_us = unix.frame_us
    unix.decode(packets)
    codec = (frame_us + unix.frame_us) * _FRAMES_PER_S / 1e6 * 100
    note = f"the codec {codec:.2f} % of it: {frame_us:.0f} us to encode, {unix.frame_us:.0f} us to decode a frame"
    return [Figure("simulated board in duplex, share of a core", max(shares), "%", 8, note=note)]


def _used_s(pid: int) -> float:
    """Return the user and system time of a process, all its threads (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
