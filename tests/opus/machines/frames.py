"""What the machines that run the codec take and give."""

from typing import NamedTuple

PCM_BYTES = 640


class Encoded(NamedTuple):
    """A packet and the encoder's final range."""

    opus: bytes
    final_range: int


class Decoded(NamedTuple):
    """20 ms of sound and the decoder's final range. error: the name of what the decoder raised, or ""."""

    pcm: bytes
    final_range: int
    error: str


def cut(pcm: bytes) -> list[bytes]:
    """Return the whole frames of 20 ms."""
    return [pcm[i : i + PCM_BYTES] for i in range(0, len(pcm) - PCM_BYTES + 1, PCM_BYTES)]
