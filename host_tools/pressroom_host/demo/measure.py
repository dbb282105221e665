"""Is what was heard what was said? Pure arithmetic on samples at 16 kHz: no clock, no I/O.

A turn has come back if
  - windows of 500 ms with voice correlate: of their correlations the 10th percentile is at least 0.7;
  - nothing is missing for more than 20 ms where there was voice: it is not much weaker than it should be, no silence
    was put in between, nothing was left out faster than a jitter buffer does it to catch up;
  - the first and the last 100 ms of voice are there.
Each part is aligned for itself: see alignment.py.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from pressroom_host.demo.alignment import FOUND, MS, PIECE, Alignment, Match
from pressroom_host.demo.speech import Wave, quietest_voice, window_rms
from pressroom_host.sim.sound import Samples

MIN_CORRELATION = FOUND
MAX_HOLE_MS = 20.0
PERCENTILE = 10

_EDGE = 100 * MS  # the first and the last part that must be there
_EDGE_SEARCH = 60 * MS  # how far an edge may have moved from where its first or last piece was found
_EDGE_STEP = 25 * MS  # how far its halves may have moved against each other: the longest period left out, and a bit
_FIRST_SEARCH = 300 * MS  # how far the first sample may be from where the whole was found
_MIN_EDGE_CORRELATION = 0.5  # a word may begin or end in a hiss
_LEVEL_WINDOW = 10 * MS  # a period of the lowest voice
_LEVEL_HOP = 5 * MS // 2
_MAX_MISSING_LEVELS = (int(MAX_HOLE_MS) * MS - _LEVEL_WINDOW) // _LEVEL_HOP + 1
_MISSING_BELOW_DB = 15.0  # what is this much weaker than it should be is missing
_SHIFT_LEVELS = 6  # a piece may be 15 ms off at one of its ends
_FASTEST = 0.5  # a jitter buffer that catches up leaves out at most this part of the time


@dataclass(frozen=True)
class Judgement:
    """How much of what was said came back. `reasons` is empty if all of it did."""

    at_sample: int  # of the heard recording, where sample 0 of the said one is; negative if that was cut off
    correlation_p10: float
    n_windows: int
    longest_hole_ms: float
    has_first: bool
    has_last: bool
    reasons: tuple[str, ...]

    @property
    def is_good(self) -> bool:
        return not self.reasons


def first_sample_back(said: Samples, recording: Samples) -> int | None:
    """Return where in the recording the first sample of voice is; None if its first 100 ms are not there."""
    alignment = Alignment(said, recording)
    edge = alignment.find_near(alignment.first, _EDGE, alignment.whole.offset, _FIRST_SEARCH)
    if edge.correlation >= MIN_CORRELATION:
        return edge.at_sample
    offset = alignment.pieces[0].offset
    if _has_edge(alignment, alignment.first, offset):  # in two halves, or with a hiss
        return alignment.find_near(alignment.first, PIECE, offset, _EDGE_SEARCH).at_sample
    return None


def find_windows(said: Samples, recording: Samples) -> list[Match]:
    """Return where each window of 500 ms with voice was heard."""
    return Alignment(said, recording).windows


def judge(said: Samples, recording: Samples) -> Judgement:
    """Compare what was heard with what was said. The recording may hold more around it; its volume does not matter."""
    alignment = Alignment(said, recording)
    p10 = float(np.percentile([window.correlation for window in alignment.windows], PERCENTILE))
    hole_ms = max(_longest_silence_ms(alignment), _longest_gap_ms(alignment), _longest_skip_ms(alignment))
    has_first = _has_edge(alignment, alignment.first, alignment.pieces[0].offset)
    has_last = _has_edge(alignment, alignment.end - _EDGE, alignment.pieces[-1].offset)
    reasons = []
    if p10 < MIN_CORRELATION:
        reasons.append(f"it does not sound the same: correlation {p10:.2f}, at least {MIN_CORRELATION} wanted")
    if hole_ms > MAX_HOLE_MS:
        reasons.append(f"it has a hole of {hole_ms:.0f} ms, at most {MAX_HOLE_MS:.0f} ms allowed")
    if not has_first:
        reasons.append("the first 100 ms are missing")
    if not has_last:
        reasons.append("the last 100 ms are missing")
    at_sample = alignment.whole.at_sample
    return Judgement(at_sample, p10, len(alignment.windows), hole_ms, has_first, has_last, tuple(reasons))


def _longest_silence_ms(alignment: Alignment) -> float:
    """Return the longest stretch where there was voice and it came back much too weak."""
    levels = _levels(alignment.said)
    # What must be heard here: the weakest of what was said within the play of the alignment.
    around = np.pad(levels, _SHIFT_LEVELS, constant_values=np.inf)
    wanted = np.lib.stride_tricks.sliding_window_view(around, 2 * _SHIFT_LEVELS + 1).min(axis=1)
    is_missing = np.zeros(len(levels), dtype=bool)
    for piece in alignment.pieces:
        part = slice(piece.begin // _LEVEL_HOP, (piece.begin + PIECE) // _LEVEL_HOP)
        begin = part.start * _LEVEL_HOP + piece.offset
        is_missing[part] = _is_missing(alignment, wanted[part], begin)
    edges = np.flatnonzero(np.diff(np.concatenate(([False], is_missing, [False])).astype(np.int8)))
    return _run_ms(int(np.max(edges[1::2] - edges[::2], initial=0)))


def _longest_gap_ms(alignment: Alignment) -> float:
    """Return the longest silence that was put into voice; a pause that was made longer is none."""
    faint = quietest_voice(alignment.said) * 10 ** (-_MISSING_BELOW_DB / 20)
    longest_ms = 0.0
    for before, after in _neighbours(alignment):
        if after.offset - before.offset > MAX_HOLE_MS * MS:
            said = alignment.said[before.begin : after.begin + PIECE]
            heard = alignment.heard(before.at_sample, after.at_sample + PIECE - before.at_sample)
            n_silent = np.count_nonzero(_levels(heard) < alignment.gain * faint)
            if n_silent and not np.any(_levels(said) < faint):
                longest_ms = max(longest_ms, _run_ms(int(n_silent)))
    return longest_ms


def _longest_skip_ms(alignment: Alignment) -> float:
    """Return the longest stretch that was left out at once."""
    skips = [
        (before.offset - after.offset) - _FASTEST * (after.begin - before.begin)
        for before, after in _neighbours(alignment)
    ]
    return max(0.0, *skips) / MS if skips else 0.0


def _neighbours(alignment: Alignment) -> list[tuple[Match, Match]]:
    return list(pairwise(piece for piece in alignment.pieces if piece.is_found))


def _has_edge(alignment: Alignment, begin: int, offset: int) -> bool:
    """Are these 100 ms there: alike, and at most 20 ms of their voice missing, in one piece or in several?

    They may have come back in two halves: a jitter buffer leaves out a period of the voice in them as anywhere else.
    """
    whole = alignment.find_near(begin, _EDGE, offset, _EDGE_SEARCH)
    if whole.correlation >= _MIN_EDGE_CORRELATION:
        return _n_missing(alignment, [whole], _EDGE) <= _MAX_MISSING_LEVELS
    halves = [alignment.find_near(half, PIECE, offset, _EDGE_SEARCH) for half in range(begin, begin + _EDGE, PIECE)]
    is_alike = abs(halves[1].offset - halves[0].offset) <= _EDGE_STEP and alignment.correlation(halves) >= FOUND
    return is_alike and _n_missing(alignment, halves, PIECE) <= _MAX_MISSING_LEVELS


def _n_missing(alignment: Alignment, parts: list[Match], n_samples: int) -> int:
    n_missing = 0
    for part in parts:
        levels = _levels(alignment.said[part.begin : part.begin + n_samples])
        n_missing += int(np.count_nonzero(_is_missing(alignment, levels, part.at_sample)))
    return n_missing


def _is_missing(alignment: Alignment, wanted: Wave, at_sample: int) -> npt.NDArray[np.bool_]:
    """For each level of voice that is wanted: was it heard much weaker?"""
    levels = _levels(alignment.heard(at_sample, (len(wanted) - 1) * _LEVEL_HOP + _LEVEL_WINDOW))
    is_voice = wanted >= quietest_voice(alignment.said)
    return is_voice & (levels < alignment.gain * wanted * 10 ** (-_MISSING_BELOW_DB / 20))


def _levels(wave: Wave) -> Wave:
    return window_rms(wave, _LEVEL_WINDOW)[::_LEVEL_HOP]


def _run_ms(n_levels: int) -> float:
    return (n_levels * _LEVEL_HOP + _LEVEL_WINDOW - _LEVEL_HOP) / MS if n_levels else 0.0
