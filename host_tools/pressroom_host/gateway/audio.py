"""Audio of a device as the gateway handles it: 16 kHz, mono, 16 bit; the only place that knows libopus.

A `pcm_frame` is 20 ms as 640 bytes in this machine's byte order.
"""

import ctypes
from array import array
from collections.abc import Sequence
from typing import Final

import numpy as np
import opuslib_next
from opuslib_next.api import c_int16_pointer
from opuslib_next.api.decoder import libopus_decode
from opuslib_next.api.encoder import libopus_encode

RATE_HZ: Final = 16_000
FRAME_MS: Final = 20
FRAME_SAMPLES: Final = RATE_HZ * FRAME_MS // 1000
FRAME_BYTES: Final = 2 * FRAME_SAMPLES
SILENCE: Final = bytes(FRAME_BYTES)

_MAX_PACKET_SAMPLES = RATE_HZ * 120 // 1000  # RFC 6716 section 3.4, R5: 120 ms
_MAX_OPUS_BYTES = 1_275
_IS_LITTLE_ENDIAN = array("h", b"\1\0")[0] == 1


class OpusError(Exception):
    """libopus does not take this packet."""


class OpusEncoder:
    """CELT (restricted low delay): 2.5 ms of lookahead; 40 us a frame at complexity 5, above which speech gains none.

    bitrate_bps: the average, or of every packet where is_constant.
    """

    __slots__ = ("_encoder", "_opus")

    def __init__(self, bitrate_bps: int, is_constant: bool = False, complexity: int = 5) -> None:
        self._encoder = opuslib_next.Encoder(RATE_HZ, 1, opuslib_next.APPLICATION_RESTRICTED_LOWDELAY)
        self._encoder.bitrate = bitrate_bps
        self._encoder.complexity = complexity
        self._encoder.vbr = 0 if is_constant else 1
        self._opus = (ctypes.c_char * _MAX_OPUS_BYTES)()

    def encode(self, pcm_frame: bytes) -> bytes:
        """Return one Opus packet of 20 ms. pcm_frame: exactly FRAME_BYTES."""
        pcm = ctypes.cast(ctypes.c_char_p(pcm_frame), c_int16_pointer)
        n_bytes = libopus_encode(self._encoder.encoder_state, pcm, FRAME_SAMPLES, self._opus, _MAX_OPUS_BYTES)
        if n_bytes < 0:
            raise OpusError(f"libopus: error {n_bytes}")
        return ctypes.string_at(self._opus, n_bytes)

    def reset(self) -> None:
        """Begin a new stream."""
        self._encoder.reset_state()


class OpusDecoder:
    """Any Opus (stereo, full band, 2.5 to 60 ms a frame) to 16 kHz mono."""

    __slots__ = ("_decoder", "_pcm")

    def __init__(self) -> None:
        self._decoder = opuslib_next.Decoder(RATE_HZ, 1)
        self._pcm = (ctypes.c_int16 * _MAX_PACKET_SAMPLES)()

    def decode(self, opus: bytes) -> bytes:
        """Return the samples of a packet. Raises OpusError."""
        if not opus:
            raise OpusError("an Opus packet has at least one byte")  # to libopus this would be a lost one
        return self._decode(opus, _MAX_PACKET_SAMPLES, is_fec=False)

    def recover(self, opus: bytes, n_samples: int) -> bytes:
        """Return the n_samples lost just before the packet `opus`, from what it carries of them, else concealed."""
        return self._decode(opus, n_samples, is_fec=True)

    def conceal(self, n_samples: int) -> bytes:
        """Return n_samples in place of a lost packet. n_samples: a multiple of 40 (2.5 ms)."""
        return self._decode(None, n_samples, is_fec=False)

    def reset(self) -> None:
        """Begin a new stream."""
        self._decoder.reset_state()

    def _decode(self, opus: bytes | None, n_samples: int, is_fec: bool) -> bytes:
        n_opus_bytes = len(opus) if opus is not None else 0
        n_decoded = libopus_decode(self._decoder.decoder_state, opus, n_opus_bytes, self._pcm, n_samples, int(is_fec))
        if n_decoded < 0:
            raise OpusError(f"libopus: error {n_decoded}")
        return ctypes.string_at(self._pcm, 2 * n_decoded)


def swap_bytes(pcm: bytes) -> bytes:
    """Turn samples of this machine into those of L16, which are big-endian (RFC 3551 section 4.5.11), and back."""
    if not _IS_LITTLE_ENDIAN:
        return pcm
    samples = array("h", pcm)
    samples.byteswap()
    return samples.tobytes()


def peak(pcm: bytes) -> int:
    """Return the largest magnitude among the samples."""
    samples = np.frombuffer(pcm, dtype=np.int16)
    return max(int(samples.max()), -int(samples.min()))


def mix(pcm_frames: Sequence[bytes]) -> bytes:
    """Return the sum of frames of one length, saturated."""
    if len(pcm_frames) == 1:
        return pcm_frames[0]
    total = np.sum([np.frombuffer(frame, dtype=np.int16) for frame in pcm_frames], axis=0, dtype=np.int32)
    return total.clip(-32_768, 32_767).astype(np.int16).tobytes()
