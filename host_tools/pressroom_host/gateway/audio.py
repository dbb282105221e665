"""Opus and linear PCM, in both directions; the one file that knows libopus. No I/O.

PCM is 16 kHz mono, int16, 20 ms (320 samples) a frame, as devices speak it.
Source: RFC 6716 (Opus), RFC 7587 (Opus in RTP), RFC 3551 section 4.5.11 (L16).
"""

import numpy as np
import numpy.typing as npt
from opuslib_next import APPLICATION_AUDIO, Decoder, Encoder
from opuslib_next.api import decoder as libopus_decoder
from opuslib_next.exceptions import OpusError

RATE_HZ = 16_000
FRAME_SAMPLES = 320
L16_FRAME_BYTES = 2 * FRAME_SAMPLES

Pcm = npt.NDArray[np.int16]

_MAX_PACKET_SAMPLES = 1_920  # 120 ms, the longest Opus packet (RFC 6716 section 2)
_MAX_OPUS_BYTES = 1_275  # RFC 6716 section 3.4
_BITRATE_BPS = 40_000
_COMPLEXITY = 5
_DTX_BYTES = 3  # a packet this short carries no speech: DTX (RFC 6716 section 2.1.9), or a server's silence


class OpusUnreadable(Exception):
    """libopus could not make sense of a packet."""


class OpusWriter:
    """Encodes frames of PCM for the room: wide-band speech."""

    def __init__(self, bitrate_bps: int = _BITRATE_BPS) -> None:
        self._encoder = Encoder(RATE_HZ, 1, APPLICATION_AUDIO)
        self._encoder.bitrate = bitrate_bps
        self._encoder.complexity = _COMPLEXITY

    def encode(self, pcm_frame: bytes) -> bytes:
        """Return the Opus packet for 640 bytes of native int16 PCM."""
        packet: bytes = self._encoder.encode(pcm_frame, FRAME_SAMPLES)
        return packet


class OpusReader:
    """Decodes one talker's packets to PCM."""

    def __init__(self) -> None:
        self._decoder = Decoder(RATE_HZ, 1)

    def decode(self, packet: bytes) -> Pcm:
        """Return the samples of a packet, 40 to 1,920 of them. Raises OpusUnreadable."""
        try:
            return np.frombuffer(self._decoder.decode(packet, _MAX_PACKET_SAMPLES), dtype=np.int16)
        except OpusError as error:
            raise OpusUnreadable(f"{len(packet)} bytes are no Opus packet: {error}") from None

    def conceal(self, n_samples: int) -> Pcm:
        """Return what libopus puts in place of lost samples (a multiple of 40)."""
        state = self._decoder.decoder_state
        return np.frombuffer(libopus_decoder.decode(state, None, 0, n_samples, False, 1), dtype=np.int16)


def is_silence(opus_packet: bytes) -> bool:
    """Is this a packet that carries no sound at all?"""
    return len(opus_packet) <= _DTX_BYTES


def pcm_of_l16(payload: bytes) -> bytes:
    """Return native int16 PCM from L16, which is big-endian."""
    return np.frombuffer(payload, dtype=">i2").astype(np.int16).tobytes()


def l16_of_pcm(pcm: Pcm) -> bytes:
    """Return L16, which is big-endian."""
    return pcm.astype(">i2").tobytes()


def mix(frames: list[Pcm]) -> Pcm:
    """Add frames of the same length; what is too loud together is clipped."""
    if len(frames) == 1:
        return frames[0]
    total = np.sum(np.stack(frames).astype(np.int32), axis=0)
    clipped: Pcm = np.clip(total, -32_768, 32_767).astype(np.int16)
    return clipped
