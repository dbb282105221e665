"""Time and randomness for the core, which has neither."""

import os
import time

from micropython import const

_WRAP_MASK = const(0x3FFFFFFF)


def now_ms():
    """Milliseconds modulo 2**30 on every chip; only wire/seq.py subtracts them."""
    return time.ticks_ms() & _WRAP_MASK


def random_bytes(n_bytes):
    """Return bytes fit for keys; on the chip they are truly random only while Wi-Fi is on."""
    return os.urandom(n_bytes)
