"""What was heard, on the time axis of what was said: what a jitter buffer left out or put in is undone.

PESQ takes time that is stretched for bad quality (ITU-T P.862 was not made for it; P.863 came for that), and a listener
that catches up with a pre-roll stretches it. So each piece is scored where it was found, faded over into the next.
"""

from itertools import pairwise

import numpy as np

from pressroom_host.demo.alignment import MS, Alignment
from pressroom_host.sim.sound import Samples

_AROUND = 100 * MS
_FADE = 10 * MS  # to each side of a joint


def straighten(said: Samples, recording: Samples) -> tuple[Samples, Samples]:
    """Return (said, heard), 100 ms around the voice, sample beside sample."""
    pieces = Alignment(said, recording).pieces
    margin = len(said)
    heard = np.pad(recording.astype(np.float64), margin)
    time = np.arange(-_AROUND, len(said) + _AROUND)
    piece_at = np.clip(np.searchsorted([piece.begin for piece in pieces], time, side="right") - 1, 0, None)
    offsets = np.array([piece.offset for piece in pieces])[piece_at]
    joints = [0, *(np.flatnonzero(np.diff(offsets)) + 1), len(time)]
    total, weights = np.zeros(len(time)), np.zeros(len(time))
    for begin, end in pairwise(joints):
        low, high = max(begin - _FADE, 0), min(end + _FADE, len(time))
        n = np.arange(low, high)
        fade_in = (n - low + 1) / (2 * _FADE) if begin else np.ones(len(n))
        fade_out = (high - n) / (2 * _FADE) if end < len(time) else np.ones(len(n))
        weight = np.minimum(np.minimum(fade_in, fade_out), 1)
        total[low:high] += weight * heard[np.clip(time[low:high] + offsets[begin] + margin, 0, len(heard) - 1)]
        weights[low:high] += weight
    return np.pad(said, _AROUND), (total / weights).astype(np.int16)
