"""The range decoder of CELT, and the raw bits at the packet's other end (RFC 6716 section 4.1). No I/O.

Whatever bytes come, it gives symbols: past its end a packet reads as zeros. _TELL is what was used so far, in 1/8 bit.
`corrections` is LOG2_CORRECTION of tables.py. Calls are dear on the chip, so each kind of symbol takes one, and brings
its own copy of the few lines that end all of them.
"""

import micropython
from micropython import const

_RANGE = const(0)
_LOW = const(1)  # unlike in the encoder: how far the code is below the top of the range
_LAST_BYTE = const(2)  # one bit of it is still to be used
_N_FRONT = const(4)
_N_BACK = const(5)
_RAW_WINDOW = const(6)
_N_RAW = const(7)
_N_BITS = const(8)
_STORAGE = const(9)
_TELL = const(10)
_UNIT = const(11)
_PACKET_IN = const(2476)


@micropython.viper
def begin(w: ptr32, opus_frame: ptr8, n_bytes: int):
    """Take a packet's bytes behind its TOC (section 4.1.1)."""
    packet = ptr8(int(w) + 4 * _PACKET_IN)
    n = n_bytes - 1
    i = 0
    while i < n:
        packet[i] = opus_frame[i + 1]
        i += 1
    # The first 31 bits at once; a packet that has not so many reads as zeros.
    while i < 4:
        packet[i] = 0
        i += 1
    w[_STORAGE] = n
    w[_LAST_BYTE] = packet[3]
    n = 1
    w[_RANGE] = n << 31
    n = ((packet[0] << 8 | packet[1]) << 15) | (packet[2] << 7) | (packet[3] >> 1)
    w[_LOW] = int(uint((-1 ^ n) << 1) >> 1)
    w[_N_FRONT] = 4
    if w[_STORAGE] < 4:
        w[_N_FRONT] = w[_STORAGE]
    w[_N_BACK] = 0
    w[_RAW_WINDOW] = 0
    w[_N_RAW] = 0
    w[_N_BITS] = 33
    w[_TELL] = 8


@micropython.viper
def find(w: ptr32, total: int) -> int:
    """Return where in [0, total) the symbol lies (section 4.1.2); then tell `narrow` which one that is."""
    r = w[_RANGE]
    # The range is a number without sign; halving it first keeps the sign out of the division.
    unit = (int(uint(r) >> 1) // total) << 1
    if r - unit * total >= total:
        unit += 1
    w[_UNIT] = unit
    n = w[_LOW] // unit + 1
    if n > total:
        n = total
    return total - n


@micropython.viper
def narrow(w: ptr32, low: int, high: int, total: int, corrections: ptr32):
    """Take the symbol that owns [low, high) of total, after `find`."""
    unit = w[_UNIT]
    r = unit * (total - high)
    w[_LOW] = w[_LOW] - r
    if low:
        r = unit * (high - low)
    else:
        r = w[_RANGE] - r
    # Section 4.1.2.1: a byte more whenever the range has one less.
    while (r - 1) >> 23 == 0:
        r <<= 8
        byte = 0
        n = w[_N_FRONT]
        if n < w[_STORAGE]:
            packet = ptr8(int(w) + 4 * _PACKET_IN)
            byte = packet[n]
            w[_N_FRONT] = n + 1
        n = ((w[_LAST_BYTE] << 8) | byte) >> 1
        w[_LAST_BYTE] = byte
        w[_LOW] = int(uint(((w[_LOW] << 8) + (255 & (-1 ^ n))) << 1) >> 1)
        w[_N_BITS] = w[_N_BITS] + 8
    w[_RANGE] = r
    # Section 4.1.6.1: log2 of the range in 1/8, by its top 16 bits.
    n = 24
    byte = (r >> 24) & 255
    while byte:
        n += 1
        byte >>= 1
    byte = 32768
    if n < 32:
        byte = r >> (n - 16)
    eighth = (byte >> 12) - 8
    if byte > corrections[eighth]:
        eighth += 1
    w[_TELL] = ((w[_N_BITS] - n) << 3) - eighth


@micropython.viper
def decode_uniform(w: ptr32, total: int, corrections: ptr32) -> int:
    """Return one of `total` equally likely symbols: `find` and `narrow` at once."""
    r = w[_RANGE]
    unit = (int(uint(r) >> 1) // total) << 1
    if r - unit * total >= total:
        unit += 1
    symbol = w[_LOW] // unit + 1
    if symbol > total:
        symbol = total
    w[_LOW] = w[_LOW] - unit * (symbol - 1)
    if symbol < total:
        r = unit
    else:
        r -= unit * (symbol - 1)
    symbol = total - symbol
    # Section 4.1.2.1: a byte more whenever the range has one less.
    while (r - 1) >> 23 == 0:
        r <<= 8
        byte = 0
        n = w[_N_FRONT]
        if n < w[_STORAGE]:
            packet = ptr8(int(w) + 4 * _PACKET_IN)
            byte = packet[n]
            w[_N_FRONT] = n + 1
        n = ((w[_LAST_BYTE] << 8) | byte) >> 1
        w[_LAST_BYTE] = byte
        w[_LOW] = int(uint(((w[_LOW] << 8) + (255 & (-1 ^ n))) << 1) >> 1)
        w[_N_BITS] = w[_N_BITS] + 8
    w[_RANGE] = r
    # Section 4.1.6.1: log2 of the range in 1/8, by its top 16 bits.
    n = 24
    byte = (r >> 24) & 255
    while byte:
        n += 1
        byte >>= 1
    byte = 32768
    if n < 32:
        byte = r >> (n - 16)
    eighth = (byte >> 12) - 8
    if byte > corrections[eighth]:
        eighth += 1
    w[_TELL] = ((w[_N_BITS] - n) << 3) - eighth
    return symbol


@micropython.viper
def decode_flag(w: ptr32, logp: int, corrections: ptr32) -> int:
    """Return a flag that is set with probability 2**-logp (section 4.1.3.1)."""
    r = w[_RANGE]
    unit = int(uint(r) >> logp)
    flag = 1
    if w[_LOW] < unit:
        r = unit
    else:
        flag = 0
        w[_LOW] = w[_LOW] - unit
        r -= unit
    # Section 4.1.2.1: a byte more whenever the range has one less.
    while (r - 1) >> 23 == 0:
        r <<= 8
        byte = 0
        n = w[_N_FRONT]
        if n < w[_STORAGE]:
            packet = ptr8(int(w) + 4 * _PACKET_IN)
            byte = packet[n]
            w[_N_FRONT] = n + 1
        n = ((w[_LAST_BYTE] << 8) | byte) >> 1
        w[_LAST_BYTE] = byte
        w[_LOW] = int(uint(((w[_LOW] << 8) + (255 & (-1 ^ n))) << 1) >> 1)
        w[_N_BITS] = w[_N_BITS] + 8
    w[_RANGE] = r
    # Section 4.1.6.1: log2 of the range in 1/8, by its top 16 bits.
    n = 24
    byte = (r >> 24) & 255
    while byte:
        n += 1
        byte >>= 1
    byte = 32768
    if n < 32:
        byte = r >> (n - 16)
    eighth = (byte >> 12) - 8
    if byte > corrections[eighth]:
        eighth += 1
    w[_TELL] = ((w[_N_BITS] - n) << 3) - eighth
    return flag


@micropython.viper
def decode_bits(w: ptr32, n_bits: int) -> int:
    """Return n_bits raw bits, at most 16, from the back (section 4.1.4)."""
    n_raw = w[_N_RAW]
    window = w[_RAW_WINDOW]
    if n_raw < n_bits:
        packet = ptr8(int(w) + 4 * _PACKET_IN)
        while n_raw <= 24:
            n = w[_N_BACK]
            if n < w[_STORAGE]:
                n += 1
                w[_N_BACK] = n
                window |= packet[w[_STORAGE] - n] << n_raw
            n_raw += 8
    value = window & ((1 << n_bits) - 1)
    w[_RAW_WINDOW] = int(uint(window) >> n_bits)
    w[_N_RAW] = n_raw - n_bits
    w[_N_BITS] = w[_N_BITS] + n_bits
    w[_TELL] = w[_TELL] + (n_bits << 3)
    return value
