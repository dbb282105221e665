"""How loud a stream of Opus is, for LiveKit's active speakers: one packet in five is decoded and measured. No I/O."""

import math
from typing import Final

from pressroom.wire import rtp

from .audio import OpusDecoder, OpusError, peak

SILENT_DBOV: Final = 127  # RFC 6464 section 3: levels are -dBov, 0 the loudest
_EVERY: Final = 5
_FULL: Final = 32_768


class LevelMeter:
    """`level_dbov` takes each RTP packet; between two that are measured the level stays."""

    __slots__ = ("_decoder", "_level_dbov", "_n_until_next")

    def __init__(self) -> None:
        self._decoder = OpusDecoder()
        self._level_dbov = SILENT_DBOV
        self._n_until_next = 0

    def level_dbov(self, packet: bytes) -> int:
        """Return the level: 0 (a full-scale sine peaks here) to 127. packet: 12 bytes of header, and Opus."""
        if self._n_until_next:
            self._n_until_next -= 1
            return self._level_dbov
        self._n_until_next = _EVERY - 1
        try:
            highest = peak(self._decoder.decode(packet[rtp.HEADER_BYTES :]))
        except OpusError:
            highest = 0
        self._level_dbov = min(SILENT_DBOV, round(-20 * math.log10(highest / _FULL))) if highest else SILENT_DBOV
        return self._level_dbov
