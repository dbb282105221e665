"""What goes down to a device: 20 ms a packet, all of one constant size. No I/O."""

from typing import Final, Protocol

from pressroom.wire import opus_packet

from .audio import FRAME_BYTES, FRAME_SAMPLES, OpusEncoder, swap_bytes

_OPUS_BPS: Final = 48_000  # of what was mixed here; CELT gains little above
_OPUS_BYTES: Final = _OPUS_BPS // (8 * 50)
_MAX_OPUS_BYTES: Final = 160  # 64 kbit/s: what is longer is encoded anew, what is shorter is padded
_OPUS_TICKS: Final = 960  # RFC 7587 section 4.1


class DownlinkCodec(Protocol):
    """One direction of one Session; it may have a memory."""

    name: str
    n_payload_bytes: int
    ticks_per_frame: int

    def encode(self, pcm_frame: bytes) -> bytes:
        """Return at most n_payload_bytes."""

    def takes(self, opus: bytes) -> bool:
        """Can the device decode this Opus packet as it is?"""

    def reset(self) -> None:
        """What is encoded next begins a spurt."""


# RFC 6716 section 3.1: first bytes of packets a device can decode: mono CELT, one frame of 20 ms.
_PLAIN_CELT: Final = frozenset(
    toc
    for toc in range(256)
    if not toc & 0x07 and opus_packet.mode(toc) == opus_packet.CELT and opus_packet.frame_us(toc) == 20_000
)


class L16:
    """Samples, big-endian."""

    name = "l16"
    n_payload_bytes = FRAME_BYTES
    ticks_per_frame = FRAME_SAMPLES

    def encode(self, pcm_frame: bytes) -> bytes:
        """Return the frame in network order."""
        return swap_bytes(pcm_frame)

    def takes(self, opus: bytes) -> bool:
        """Return False: it is not Opus."""
        return False

    def reset(self) -> None:
        """Nothing: a frame knows no other."""


class ConstantOpus:
    """CELT, mono, wide band, which is what a device can decode."""

    name = "opus"
    n_payload_bytes = _MAX_OPUS_BYTES
    ticks_per_frame = _OPUS_TICKS

    def __init__(self) -> None:
        self._encoder = OpusEncoder(_OPUS_BPS, is_constant=True)

    def encode(self, pcm_frame: bytes) -> bytes:
        """Return one Opus packet."""
        return self._encoder.encode(pcm_frame)

    def takes(self, opus: bytes) -> bool:
        """Return whether it is mono CELT of one frame of 20 ms, and not too long."""
        return len(opus) <= _MAX_OPUS_BYTES and opus[0] in _PLAIN_CELT

    def reset(self) -> None:
        """The device's decoder forgets the past at a marker: so does the encoder."""
        self._encoder.reset()


DOWNLINK_CODECS: Final[dict[str, type[L16] | type[ConstantOpus]]] = {"l16": L16, "opus": ConstantOpus}
