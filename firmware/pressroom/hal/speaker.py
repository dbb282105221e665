"""An I2S amplifier on its own bus: 16 kHz, mono, 16 bits."""

import select

from machine import I2S, Pin
from micropython import const

_RATE_HZ = const(16000)
_DESCRIPTOR_BYTES = const(512)  # 256 frames: what DMA plays at a time, 16 ms
_N_DESCRIPTORS = const(3)  # one is always being played: 32 ms wait, which is latency, and time to come with more


class Speaker:
    """Takes samples to be played, plays silence when it has none. pins: {"id", "sck", "ws", "sd"} of the board file."""

    def __init__(self, pins):
        self._i2s = I2S(
            pins["id"],
            sck=Pin(pins["sck"]),
            ws=Pin(pins["ws"]),
            sd=Pin(pins["sd"]),
            mode=I2S.TX,
            bits=16,
            format=I2S.MONO,
            rate=_RATE_HZ,
            ibuf=_N_DESCRIPTORS * _DESCRIPTOR_BYTES,
        )
        poller = select.poll()
        poller.register(self._i2s, select.POLLOUT)
        poller.poll(0)  # the driver blocks until it has been polled once

    def write(self, pcm, start=0):
        """Queue pcm[start:] (16 bits, little-endian); returns the n_bytes that found room. Allocates nothing."""
        return self._i2s.write(pcm, start, len(pcm) - start)

    def deinit(self):
        self._i2s.deinit()
