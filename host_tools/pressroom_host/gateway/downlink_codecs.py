"""How the gateway encodes 20 ms for a device: packets of one constant size. No I/O."""

from typing import Final, Protocol

from .audio import FRAME_BYTES, FRAME_SAMPLES, OpusEncoder, swap_bytes

_OPUS_BYTES: Final = 120  # 48 kbit/s, constant
_OPUS_BPS: Final = _OPUS_BYTES * 8 * 50
_OPUS_TICKS: Final = 960  # RFC 7587 section 4.1


class DownlinkCodec(Protocol):
    """One direction of one Session; it may have a memory."""

    name: str
    n_payload_bytes: int
    ticks_per_frame: int

    def encode(self, pcm_frame: bytes) -> bytes:
        """Return exactly n_payload_bytes."""


class L16:
    """Samples, big-endian."""

    name = "l16"
    n_payload_bytes = FRAME_BYTES
    ticks_per_frame = FRAME_SAMPLES

    def encode(self, pcm_frame: bytes) -> bytes:
        """Return the frame in network order."""
        return swap_bytes(pcm_frame)


class ConstantOpus:
    """CELT, mono, wide band, which is what a device can decode."""

    name = "opus"
    n_payload_bytes = _OPUS_BYTES
    ticks_per_frame = _OPUS_TICKS

    def __init__(self) -> None:
        self._encoder = OpusEncoder(_OPUS_BPS, is_constant=True)

    def encode(self, pcm_frame: bytes) -> bytes:
        """Return one Opus packet."""
        return self._encoder.encode(pcm_frame)


DOWNLINK_CODECS: Final[dict[str, type[L16] | type[ConstantOpus]]] = {"l16": L16, "opus": ConstantOpus}
