"""An I2S microphone on its own bus: 16 kHz, mono, 24 bits left-justified in 32."""

import select

from machine import I2S, Pin
from micropython import const

_RATE_HZ = const(16000)
_DESCRIPTOR_BYTES = const(2048)  # 256 frames of two 32-bit slots: what DMA takes at a time, 16 ms
_N_DESCRIPTORS = const(5)  # one is always being filled: 64 ms wait while the garbage collector runs


class Mic:
    """Reads what was captured. pins: {"id", "sck", "ws", "sd"} of the board file; the microphone's L/R pin is low."""

    def __init__(self, pins):
        self._i2s = I2S(
            pins["id"],
            sck=Pin(pins["sck"]),
            ws=Pin(pins["ws"]),
            sd=Pin(pins["sd"]),
            mode=I2S.RX,
            bits=32,
            format=I2S.MONO,
            rate=_RATE_HZ,
            ibuf=_N_DESCRIPTORS * _DESCRIPTOR_BYTES,
        )
        poller = select.poll()
        poller.register(self._i2s, select.POLLIN)
        poller.poll(0)  # the driver blocks (the whole VM) until it has been polled once

    def read_into(self, words):
        """Read as many 32-bit words as have been captured and fit; returns n_bytes, 0 if there are none.

        Allocates nothing. A buffer of 64 words (4 ms) always comes whole or not at all: DMA hands out 256 at a time.
        """
        return self._i2s.readinto(words)

    def deinit(self):
        self._i2s.deinit()
