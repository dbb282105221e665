"""Is what was heard what was said? Pure arithmetic on samples at 16 kHz: no clock, no I/O.

A turn has come back if
  - windows of 500 ms with voice correlate: of their correlations the 10th percentile is at least 0.7;
  - nothing is missing for more than 20 ms where there was voice;
  - the first and the last 100 ms of voice are there.
Each window is aligned for itself, and inside it each 50 ms once more by at most 60 ms: to catch up with a pre-roll that
came as a burst, the jitter buffer of the listener leaves out periods of the voice, and no ear minds. What is not the
same voice does not come near: other recordings stay below 0.25, noise as loud as the voice below 0.6.
Waveforms are compared in the telephone band: in its VoIP mode, which official clients use, Opus turns the phase of what
is below, and what is above, the hiss of an s, it replaces by noise of the same colour. Levels are compared without
rumble.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pressroom_host.demo.speech import (
    Wave,
    filtered,
    is_voice_at,
    quietest_voice,
    voice_span,
    window_rms,
    without_rumble,
)
from pressroom_host.sim.sound import RATE_HZ, Samples

MIN_CORRELATION = 0.7
MAX_HOLE_MS = 20.0
PERCENTILE = 10

_MS = RATE_HZ // 1000
_WINDOW = 500 * _MS
_PIECE = 50 * _MS
_HOP = 250 * _MS
_MIN_VOICE = 100 * _MS  # a window with less voice than this says nothing about voice
_EDGE = 100 * _MS  # the first and the last part that must be there
_SEARCH = 300 * _MS  # how far a window may have moved from where the whole was found
_PIECE_SEARCH = 60 * _MS  # how far a piece may have moved inside its window
_EDGE_SEARCH = 60 * _MS  # how far an edge may have moved from where its window was found
_LEVEL_WINDOW = 10 * _MS  # a period of the lowest voice
_LEVEL_HOP = 5 * _MS // 2
_MISSING_BELOW_DB = 15.0  # what is this much weaker than it should be is missing
_SHIFT_FRAMES = 8  # hops of _LEVEL_HOP: a window aligned as a whole may be 20 ms off at one of its ends
_MIN_EDGE_CORRELATION = 0.5  # a word may begin or end in a hiss
_BAND_HZ = (
    (150, 0.0),
    (300, 1.0),
    (3_400, 1.0),
    (4_500, 0.0),
)  # ITU-T G.712, with skirts so wide that a click does not ring
_FAINTEST = 1e-2  # windows weaker than this part of the loudest correlate with nothing


@dataclass(frozen=True)
class Match:
    """Where a reference was found in a recording."""

    at_sample: int
    correlation: float  # of the waveforms, -1 to 1, whatever the volume


@dataclass(frozen=True)
class Judgement:
    """How much of what was said came back. `reasons` is empty if all of it did."""

    at_sample: int  # of the heard recording, where sample 0 of the said one is
    correlation_p10: float
    n_windows: int
    longest_hole_ms: float
    has_first: bool
    has_last: bool
    reasons: tuple[str, ...]

    @property
    def is_good(self) -> bool:
        return not self.reasons


def find_in(recording: Wave, reference: Wave) -> Match:
    """Return where the reference correlates best; correlation 0 if the recording is silent or too short."""
    n = len(recording) - len(reference) + 1
    if n < 1 or not len(reference):
        return Match(0, 0.0)
    rms = window_rms(recording, len(reference))
    loudest = float(rms.max())
    norm = float(np.sqrt(np.sum(reference**2)))
    if loudest == 0 or norm == 0:
        return Match(0, 0.0)
    n_fft = 1 << (len(recording) + len(reference) - 1).bit_length()
    products = np.fft.irfft(np.fft.rfft(recording, n_fft) * np.conj(np.fft.rfft(reference, n_fft)), n_fft)[:n]
    norms = norm * rms * np.sqrt(len(reference))
    correlations = np.where(rms >= _FAINTEST * loudest, products / np.maximum(norms, 1e-9), 0.0)
    at = int(np.argmax(correlations))
    return Match(at, min(float(correlations[at]), 1.0))


def first_sample_back(recording: Samples, said: Samples) -> int | None:
    """Return where in the recording the first sample of voice is; None if its first 100 ms are not there."""
    comparison = _Comparison(said, recording)
    edge = comparison.find_near(comparison.first, _EDGE, comparison.whole.at_sample, _SEARCH)
    return edge.at_sample - len(said) if edge.correlation >= MIN_CORRELATION else None


def find_windows(said: Samples, recording: Samples) -> list[tuple[int, Match]]:
    """Return (begin of a window of 500 ms in what was said, where it was heard) for each with voice."""
    windows = _Comparison(said, recording).aligned_windows()
    return [(begin, Match(match.at_sample - len(said), match.correlation)) for begin, match in windows]


def judge(said: Samples, recording: Samples) -> Judgement:
    """Compare what was heard with what was said. The recording may hold more around it; its volume does not matter."""
    comparison = _Comparison(said, recording)
    windows = comparison.aligned_windows()
    p10 = float(np.percentile([match.correlation for _, match in windows], PERCENTILE))
    offsets = _offsets(windows, comparison.whole.at_sample)
    gain = comparison.gain(windows)
    hole_ms = comparison.longest_hole_ms(offsets, gain)
    has_first = comparison.has_edge(comparison.first, offsets[0][1], gain)
    has_last = comparison.has_edge(comparison.end - _EDGE, offsets[-1][1], gain)
    reasons = []
    if p10 < MIN_CORRELATION:
        reasons.append(f"it does not sound the same: correlation {p10:.2f}, at least {MIN_CORRELATION} wanted")
    if hole_ms > MAX_HOLE_MS:
        reasons.append(f"it has a hole of {hole_ms:.0f} ms, at most {MAX_HOLE_MS:.0f} ms allowed")
    if not has_first:
        reasons.append("the first 100 ms are missing")
    if not has_last:
        reasons.append("the last 100 ms are missing")
    at_sample = comparison.whole.at_sample - len(said)
    return Judgement(at_sample, p10, len(windows), hole_ms, has_first, has_last, tuple(reasons))


class _Comparison:
    """What was said beside what was heard: their levels without rumble, their waveforms in the telephone band.

    What was heard has silence put around it, so that what is cut off at either end can still be aligned.
    """

    def __init__(self, said: Samples, recording: Samples) -> None:
        silence = np.zeros(len(said))
        self._said = without_rumble(said)
        self._heard = without_rumble(np.concatenate((silence, recording, silence)))
        self._said_band = _telephone_band(self._said)
        self._heard_band = _telephone_band(self._heard)
        self._quietest_voice = quietest_voice(self._said)
        self._is_voice = is_voice_at(self._said)
        self.first, self.end = voice_span(self._said)
        self.whole = find_in(self._heard_band, self._said_band)

    def find_near(self, begin: int, n_samples: int, offset: int, search_samples: int) -> Match:
        """Return where this part of what was said was heard, at most that far from begin + offset."""
        at_sample = max(begin + offset - search_samples, 0)
        part = self._said_band[begin : begin + n_samples]
        match = find_in(self._heard_band[at_sample : begin + offset + len(part) + search_samples], part)
        return Match(at_sample + match.at_sample, match.correlation)

    def aligned_windows(self) -> list[tuple[int, Match]]:
        """Return (begin of a window in what was said, where it was heard) for each with voice. At least one."""
        last = max(self.end - _WINDOW, self.first)
        begins = [*range(self.first, last, _HOP), last]
        with_voice = [at for at in begins if np.count_nonzero(self._is_voice[at : at + _WINDOW]) >= _MIN_VOICE]
        return [(at, self._find_window(at)) for at in with_voice or [self.first]]

    def _find_window(self, begin: int) -> Match:
        window = self.find_near(begin, _WINDOW, self.whole.at_sample, _SEARCH)
        offset = window.at_sample - begin
        said = self._said_band[begin : begin + _WINDOW]
        pieces = []
        for at in range(0, len(said), _PIECE):
            piece = self.find_near(begin + at, _PIECE, offset, _PIECE_SEARCH)
            pieces.append(self._heard_band[piece.at_sample : piece.at_sample + len(said[at : at + _PIECE])])
        heard = np.concatenate(pieces)
        norm = float(np.sqrt(np.sum(said**2) * np.sum(heard**2)))
        return Match(window.at_sample, float(np.sum(said * heard)) / norm if norm else 0.0)

    def gain(self, windows: list[tuple[int, Match]]) -> float:
        """Return how much louder it came back than it was said: the median over the windows that were found."""
        gains = []
        for begin, match in windows:
            part = self._said[begin : begin + _WINDOW]
            back = self._heard[match.at_sample : match.at_sample + len(part)]
            if match.correlation >= MIN_CORRELATION:
                gains.append(float(np.sqrt(np.sum(back**2) / np.sum(part**2))))
        return float(np.median(gains)) if gains else 1.0

    def longest_hole_ms(self, offsets: list[tuple[int, int]], gain: float) -> float:
        """Return the longest stretch where there was voice and nothing like it came back."""
        levels = window_rms(self._said, _LEVEL_WINDOW)[::_LEVEL_HOP]
        # What must be heard here: the weakest of what was said within the play of the alignment.
        around = np.pad(levels, _SHIFT_FRAMES, constant_values=np.inf)
        wanted = np.lib.stride_tricks.sliding_window_view(around, 2 * _SHIFT_FRAMES + 1).min(axis=1)
        is_missing = np.zeros(len(levels), dtype=bool)
        for begin, offset in offsets:
            frames = slice(begin // _LEVEL_HOP, (begin + _WINDOW) // _LEVEL_HOP)
            is_missing[frames] |= self._is_missing(wanted, offset, gain)[frames]
        return _longest_run_ms(is_missing)

    def has_edge(self, begin: int, offset: int, gain: float) -> bool:
        """Are these 100 ms there: alike, and at most 20 ms of their voice missing, in one piece or in several?"""
        match = self.find_near(begin, _EDGE, offset, _EDGE_SEARCH)
        levels = window_rms(self._said[begin : begin + _EDGE], _LEVEL_WINDOW)[::_LEVEL_HOP]
        n_missing = int(np.count_nonzero(self._is_missing(levels, match.at_sample, gain)))
        return match.correlation >= _MIN_EDGE_CORRELATION and _run_ms(n_missing) <= MAX_HOLE_MS

    def _is_missing(self, wanted: Wave, at_sample: int, gain: float) -> npt.NDArray[np.bool_]:
        """For each level of voice that is wanted: was it heard much weaker?"""
        n_samples = (len(wanted) - 1) * _LEVEL_HOP + _LEVEL_WINDOW
        part = self._heard[at_sample : at_sample + n_samples]
        levels = window_rms(np.pad(part, (0, n_samples - len(part))), _LEVEL_WINDOW)[::_LEVEL_HOP]
        return (wanted >= self._quietest_voice) & (levels < gain * wanted * 10 ** (-_MISSING_BELOW_DB / 20))


def _telephone_band(wave: Wave) -> Wave:
    frequencies_hz, gains = zip(*_BAND_HZ, strict=True)
    return filtered(wave, frequencies_hz, gains)


def _offsets(windows: list[tuple[int, Match]], whole_at_sample: int) -> list[tuple[int, int]]:
    """Return (begin of a window, its offset in what was heard); one that was not found has its neighbour's."""
    found = [(begin, match.at_sample - begin) for begin, match in windows if match.correlation >= MIN_CORRELATION]
    if not found:
        return [(begin, whole_at_sample) for begin, _ in windows]
    return [(begin, min(found, key=lambda near: abs(near[0] - begin))[1]) for begin, _ in windows]


def _longest_run_ms(is_missing: npt.NDArray[np.bool_]) -> float:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], is_missing, [False])).astype(np.int8)))
    return _run_ms(int(np.max(edges[1::2] - edges[::2], initial=0)))


def _run_ms(n_levels: int) -> float:
    return (n_levels * _LEVEL_HOP + _LEVEL_WINDOW - _LEVEL_HOP) / _MS if n_levels else 0.0
