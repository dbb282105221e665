"""L16 at 16 kHz, mono: 16-bit samples, big-endian, 20 ms a frame (RFC 3551 section 4.5.11). No I/O.

A codec has these names; each direction has one object of its own, and needs only what is of that direction:
     name, payload_type, ticks_per_frame, max_frame_bytes; reset() between spurts
     encode_into(pcm_frame, payload) -> n_bytes
     decode_into(frame, n_bytes, pcm_frame); conceal_into(pcm_frame) in place of a lost frame; n_malformed
A pcm_frame is 640 bytes. None of them allocates.
"""

from ..wire.port import const
from ..wire.rtp import PT_L16
from .dsp import cross_fade_in_place, fade_into, swap_bytes_into

_FRAME_SAMPLES = const(320)
_FRAME_BYTES = const(640)
_MEET_SAMPLES = const(64)  # 4 ms: too short to be heard, long enough not to click
_UNITY_Q14 = const(1 << 14)
_HALF_Q14 = const(1 << 13)
_STEP_Q14 = const(25)  # from unity to zero in two frames


class L16:
    """Codec of the fallback, and the first one.

    A lost frame is replaced by the last one played backwards, then forwards, fading to silence within 40 ms: each
    begins where its neighbour ended, so nothing clicks, and the next good frame fades in over what is left.
    """

    name = "l16"
    payload_type = PT_L16
    ticks_per_frame = _FRAME_SAMPLES
    max_frame_bytes = _FRAME_BYTES

    def __init__(self):
        self.n_malformed = 0  # frames of a wrong length, concealed
        self._last_frame = bytearray(_FRAME_BYTES)
        self._ghost = bytearray(_FRAME_BYTES)
        self._n_concealed = 0  # frames since the last good one
        self.reset()

    def encode_into(self, pcm_frame, payload):
        """Write 640 bytes of payload; pcm_frame: 640 bytes, little-endian."""
        swap_bytes_into(payload, pcm_frame, _FRAME_BYTES)
        return _FRAME_BYTES

    def decode_into(self, frame, n_bytes, pcm_frame):
        """Write 640 bytes of PCM for frame[:n_bytes], whatever it holds."""
        if n_bytes != _FRAME_BYTES:
            self.n_malformed += 1
            self.conceal_into(pcm_frame)
            return
        swap_bytes_into(pcm_frame, frame, _FRAME_BYTES)
        if self._n_concealed:
            self._ghost_into(self._ghost)
            cross_fade_in_place(pcm_frame, self._ghost, _MEET_SAMPLES)
            self._n_concealed = 0
        swap_bytes_into(self._last_frame, frame, _FRAME_BYTES)

    def conceal_into(self, pcm_frame):
        """Write 640 bytes of PCM in place of a frame that was lost."""
        self._ghost_into(pcm_frame)
        self._n_concealed += 1

    def reset(self):
        """Forget the past: what comes next fades in from silence."""
        self._n_concealed = 2

    def _ghost_into(self, pcm_frame):
        if self._n_concealed == 0:
            fade_into(pcm_frame, self._last_frame, _FRAME_SAMPLES, 1, _UNITY_Q14, _STEP_Q14)
        elif self._n_concealed == 1:
            fade_into(pcm_frame, self._last_frame, _FRAME_SAMPLES, 0, _HALF_Q14, _STEP_Q14)
        else:
            fade_into(pcm_frame, self._last_frame, _FRAME_SAMPLES, 0, 0, 0)
