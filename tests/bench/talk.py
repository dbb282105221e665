"""The figures of a conversation: how soon the board is heard, how soon it is answered, and how well."""

from pathlib import Path

import numpy as np
from figures import Figure, percentile
from pesq_score import Unavailable, scores
from straighten import straighten

from pressroom_host.demo import conversation
from pressroom_host.demo.alignment import Alignment
from pressroom_host.demo.house import House
from pressroom_host.demo.speech import Speech, script, trim
from pressroom_host.demo.turn import Turn
from pressroom_host.sim.sound import RATE_HZ, Samples

N_TURNS = 20

_SHORT_S = 0.8
_AROUND = RATE_HZ // 10  # of what is scored: 100 ms before and after


async def measure(folder: Path) -> list[Figure]:
    """Hold 20 short turns and the three of the demo in one house."""
    short = [Speech("short", "", trim(speech.samples[: int(_SHORT_S * RATE_HZ)])) for speech in script()]
    speeches = [short[n % len(short)] for n in range(N_TURNS)]
    async with House(folder / "state") as house:
        talk = await conversation.hold(house, [*speeches, *script()], _tell_nobody)
    turns, long_turns = talk.turns[:N_TURNS], talk.turns[N_TURNS:]
    packets_ms = [value for turn in turns[1:] if (value := turn.ms_between("press", "packet")) is not None]
    answers_ms = [value for turn in turns if (value := turn.ms_between("release", "back")) is not None]
    heard = f"{len(answers_ms)} of {len(turns)} turns"
    return [
        Figure(
            *("press to first packet in the room, warm, worst", max(packets_ms, default=None), "ms", 100),
            note=f"{len(packets_ms)} presses, p50 {percentile(packets_ms, 50) or 0:.0f} ms",
        ),
        Figure("release to first sample back, p50", percentile(answers_ms, 50), "ms", 150, note=heard),
        Figure("release to first sample back, p95", percentile(answers_ms, 95), "ms", 250, note=heard),
        _quality(long_turns),
        _memory(talk.counters),
    ]


def _memory(counters: dict[str, int]) -> Figure:
    name = "allocated by the board's audio path per frame"
    n_frames, n_bytes = counters.get("n_metered", 0), counters.get("n_alloc_bytes", 0)
    if not n_frames:
        return Figure(name, None, "bytes", 0, note="the board told no counters")
    return Figure(name, n_bytes // n_frames, "bytes", 0, note=f"{n_bytes} bytes in all {n_frames:,} frames")


def _quality(turns: list[Turn]) -> Figure:
    name, budget = "PESQ wide-band of the three turns, worst", 3.4
    heard = [(turn.speech.samples, turn.heard.samples) for turn in turns if turn.heard is not None]
    try:
        straight = scores([straighten(said, back) for said, back in heard])
        as_it_came = scores([_aligned(said, back) for said, back in heard])
    except Unavailable as reason:
        return Figure(name, None, "", budget, is_floor=True, note=str(reason))
    note = f"{_list(straight)}; with the time the listener's jitter buffer left out: {_list(as_it_came)}"
    return Figure(name, min(straight, default=None), "", budget, is_floor=True, note=note)


def _aligned(said: Samples, heard: Samples) -> tuple[Samples, Samples]:
    """Return what was said and what was heard, 100 ms of silence or more around each."""
    begin = Alignment(said, heard).pieces[0].offset
    around = np.pad(said, _AROUND)
    return around, np.pad(heard, (2 * _AROUND, len(around)))[begin + _AROUND :][: len(around)]


def _list(found: list[float]) -> str:
    return ", ".join(f"{score:.2f}" for score in found)


def _tell_nobody(at_s: float, who: str, what: str) -> None:
    """Leave the table alone."""
