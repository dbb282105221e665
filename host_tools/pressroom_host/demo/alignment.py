"""Where each part of what was said is in what was heard. Pure arithmetic on samples at 16 kHz: no clock, no I/O.

     part      is                     may have moved
     whole     all of it              anywhere
     window    500 ms, with voice     300 ms from the whole
     piece     50 ms                  60 ms from its window

Pieces move inside a window because the jitter buffer of a listener, catching up with a pre-roll that came as a burst,
leaves out periods of the voice, and no ear minds. What is not the same voice does not come near for all that: windows
of other recordings correlate below 0.25, of voice under noise as loud below 0.6.

Waveforms are compared in the telephone band: in its VoIP mode, which official clients use, Opus turns the phase of what
is below, and what is above, the hiss of an s, it replaces by noise of the same colour.
"""

from dataclasses import dataclass

import numpy as np

from pressroom_host.demo.speech import Wave, filtered, is_voice_at, voice_span, window_rms, without_rumble
from pressroom_host.sim.sound import RATE_HZ, Samples

MS = RATE_HZ // 1000
PIECE = 50 * MS
FOUND = 0.7  # from this correlation on a part counts as found

_WINDOW_PIECES = 10
_HOP_PIECES = 5
_MIN_VOICE = 100 * MS  # a window with less voice than this says nothing about voice
_WINDOW_SEARCH = 300 * MS
_PIECE_SEARCH = 60 * MS
_FAINTEST = 1e-2  # parts weaker than this part of the loudest correlate with nothing
# ITU-T G.712, with skirts so wide that a click does not ring.
_BAND_HZ, _BAND_GAINS = (150.0, 300.0, 3_400.0, 4_500.0), (0.0, 1.0, 1.0, 0.0)


@dataclass(frozen=True)
class Match:
    """A part of what was said, from sample `begin` on, is at `at_sample` of what was heard."""

    begin: int
    at_sample: int
    correlation: float  # of the waveforms, -1 to 1, whatever the volume

    @property
    def offset(self) -> int:
        return self.at_sample - self.begin

    @property
    def is_found(self) -> bool:
        return self.correlation >= FOUND


def find_in(recording: Wave, reference: Wave) -> Match:
    """Return where the reference correlates best; correlation 0 if the recording is silent or too short."""
    n = len(recording) - len(reference) + 1
    if n < 1 or not len(reference):
        return Match(0, 0, 0.0)
    rms = window_rms(recording, len(reference))
    loudest = float(rms.max())
    norm = float(np.sqrt(np.sum(reference**2)))
    if loudest == 0 or norm == 0:
        return Match(0, 0, 0.0)
    n_fft = 1 << (len(recording) + len(reference) - 1).bit_length()
    products = np.fft.irfft(np.fft.rfft(recording, n_fft) * np.conj(np.fft.rfft(reference, n_fft)), n_fft)[:n]
    norms = norm * rms * np.sqrt(len(reference))
    correlations = np.where(rms >= _FAINTEST * loudest, products / np.maximum(norms, 1e-9), 0.0)
    at = int(np.argmax(correlations))
    return Match(0, at, min(float(correlations[at]), 1.0))


class Alignment:
    """What was said beside what was heard. Positions in what was heard may lie outside of the recording.

    said, heard: without rumble. first, end: of the voice in what was said. windows, pieces: in the order they were
    said; a piece that was not found has the offset of the nearest one that was.
    """

    def __init__(self, said: Samples, recording: Samples) -> None:
        self._margin = len(said)  # of silence around the recording, so that what is cut off can be aligned
        silence = np.zeros(self._margin)
        heard = without_rumble(np.concatenate((silence, recording, silence)))
        self.said = without_rumble(said)
        self._heard = heard
        self._said_band = filtered(self.said, _BAND_HZ, _BAND_GAINS)
        self._heard_band = filtered(heard, _BAND_HZ, _BAND_GAINS)
        self.first, self.end = voice_span(self.said)
        whole = find_in(self._heard_band, self._said_band)
        self.whole = Match(0, whole.at_sample - self._margin, whole.correlation)
        self.windows, self.pieces = self._align()
        self.gain = self._find_gain()

    def heard(self, at_sample: int, n_samples: int) -> Wave:
        """Return a part of what was heard; silence where the recording has ended."""
        begin = max(at_sample + self._margin, 0)
        part = self._heard[begin : begin + n_samples]
        return np.pad(part, (0, n_samples - len(part)))

    def find_near(self, begin: int, n_samples: int, offset: int, search_samples: int) -> Match:
        """Return where a part of what was said was heard, at most that far from begin + offset."""
        part = self._said_band[begin : begin + n_samples]
        low = max(begin + offset + self._margin - search_samples, 0)
        high = begin + offset + self._margin + len(part) + search_samples
        match = find_in(self._heard_band[low:high], part)
        return Match(begin, low + match.at_sample - self._margin, match.correlation)

    def _align(self) -> tuple[list[Match], list[Match]]:
        is_voice = is_voice_at(self.said)
        starts = range(self.first, self.end, PIECE)
        last = max(len(starts) - _WINDOW_PIECES, 0)
        hops = [starts[n : n + _WINDOW_PIECES] for n in sorted({*range(0, last, _HOP_PIECES), last})]
        hops = [hop for hop in hops if np.count_nonzero(is_voice[hop[0] : hop[-1] + PIECE]) >= _MIN_VOICE] or hops[:1]
        pieces: dict[int, Match] = {}
        roughly = []
        for hop in hops:
            window = self.find_near(hop[0], len(hop) * PIECE, self.whole.offset, _WINDOW_SEARCH)
            roughly.append(window)
            for begin in hop:
                piece = self.find_near(begin, PIECE, window.offset, _PIECE_SEARCH)
                pieces[begin] = max(piece, pieces.get(begin, piece), key=lambda match: match.correlation)
        windows = [
            Match(window.begin, window.at_sample, self.correlation([pieces[begin] for begin in hop]))
            for window, hop in zip(roughly, hops, strict=True)
        ]
        found = [piece for piece in pieces.values() if piece.is_found] or [self.whole]
        settled = []
        for begin in sorted(pieces):
            nearest = min(found, key=lambda match: abs(match.begin - begin))
            settled.append(Match(begin, begin + nearest.offset, pieces[begin].correlation))
        return windows, settled

    def correlation(self, pieces: list[Match]) -> float:
        """Return the correlation of pieces of PIECE samples that follow each other, put together again."""
        said, heard = [], []
        for piece in pieces:
            part = self._said_band[piece.begin : piece.begin + PIECE]
            begin = max(piece.at_sample + self._margin, 0)
            back = self._heard_band[begin : begin + len(part)]
            said.append(part)
            heard.append(np.pad(back, (0, len(part) - len(back))))
        a, b = np.concatenate(said), np.concatenate(heard)
        norm = float(np.sqrt(np.sum(a**2) * np.sum(b**2)))
        return float(np.sum(a * b)) / norm if norm else 0.0

    def _find_gain(self) -> float:
        """Return how much louder it came back than it was said: the median over the pieces that were found."""
        gains = []
        for piece in self.pieces:
            if piece.is_found:
                part = self.said[piece.begin : piece.begin + PIECE]
                back = self.heard(piece.at_sample, len(part))
                gains.append(float(np.sqrt(np.sum(back**2) / np.sum(part**2))))
        return float(np.median(gains)) if gains else 1.0
