"""The last frames the microphone heard, always fresh, so that a talk can begin before its press."""

from array import array

from ..wire.port import const
from ..wire.seq import ms_between
from .dsp import CAPTURE_POSITION, CAPTURE_SHIFT, capture_into

MAX_GAIN_BITS = const(6)

_FRAME_SAMPLES = const(320)
_FRAME_BYTES = const(640)
_SAMPLES_PER_MS = const(16)
_READ_WORDS = const(256)  # what the I2S driver holds in one descriptor
_MAX_READS = const(5)  # four frames; a microphone that never runs dry must not hold up the loop
_POLL_EVERY_MS = const(5)


class Capture:
    """Reads the microphone into a ring of n_slots frames of 16-bit PCM.

    mic: `read_into(words)` -> n_bytes, whole 32-bit words, 0 when there is nothing new.
    gain_bits: 0 takes the top 16 bits of a word; each step more doubles, up to MAX_GAIN_BITS.
    One slot is being filled, so n_slots - 1 frames can be looked back at; with fewer than 6 one poll overtakes itself.
    Nothing allocates after __init__.
    """

    def __init__(self, mic, n_slots, gain_bits=0):
        self.n_frames_kept = n_slots - 1
        self._mic = mic
        self._words = bytearray(4 * _READ_WORDS)
        self._ring = bytearray(n_slots * _FRAME_BYTES)
        view = memoryview(self._ring)
        self._frames = [view[i * _FRAME_BYTES : (i + 1) * _FRAME_BYTES] for i in range(n_slots)]
        self._state = array("i", (0, n_slots * _FRAME_SAMPLES, 0, 0))
        self._slot = 0  # the one being filled
        self._read_ms = 0
        self.set_gain(gain_bits)

    def set_gain(self, gain_bits):
        """Amplify by 2**gain_bits, from 0 to MAX_GAIN_BITS; what lies outside is taken as the nearest."""
        self._state[CAPTURE_SHIFT] = MAX_GAIN_BITS - max(0, min(gain_bits, MAX_GAIN_BITS))

    def poll(self, now_ms):
        """Take what the microphone has. Returns how many frames it completed."""
        for _ in range(_MAX_READS):
            n_bytes = self._mic.read_into(self._words)
            if not n_bytes:
                break
            self._read_ms = now_ms
            capture_into(self._words, n_bytes >> 2, self._ring, self._state)
        slot = self._state[CAPTURE_POSITION] // _FRAME_SAMPLES
        n_new = (slot - self._slot) % len(self._frames)
        self._slot = slot
        return n_new

    def frame(self, n_back):
        """Return the PCM of a whole frame, valid until the ring comes round; n_back 0 is the newest."""
        return self._frames[self._slot - 1 - n_back]

    def n_frames_unread(self, now_ms):
        """Return how many frames more, the one being filled included, hold all that was said until now.

        The driver hands over whole descriptors, so up to 16 ms are still on their way after a `poll`.
        """
        unread_ms = ms_between(self._read_ms, now_ms) + _POLL_EVERY_MS
        n_unread = min(unread_ms * _SAMPLES_PER_MS, _READ_WORDS)
        n_samples = self._state[CAPTURE_POSITION] % _FRAME_SAMPLES + n_unread
        return (n_samples + _FRAME_SAMPLES - 1) // _FRAME_SAMPLES
