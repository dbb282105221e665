"""The range decoder of CELT, and the raw bits at the packet's other end (RFC 6716 section 4.1). No I/O.

Whatever bytes come, it gives symbols: past its end a packet reads as zeros. _TELL is what was used so far, in 1/8 bit.
Calls are dear on the chip: each kind of symbol takes one, brings its own copy of the few lines that end all of them,
and leaves what it found in the workspace.
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
_RAW_BITS = const(221)
_RAW_VALUE = const(222)
_SYMBOL_LOW = const(245)
_SYMBOL_HIGH = const(246)
_SYMBOL_TOTAL = const(247)
_PACKET_IN = const(2476)
_DECODER_CORRECTIONS = const(2796)  # LOG2_CORRECTION of tables.py


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
def find(w: ptr32):
    """Leave in _SYMBOL_LOW where in [0, _SYMBOL_TOTAL) the symbol lies; `narrow` comes next (section 4.1.2)."""
    r = w[_RANGE]
    total = w[_SYMBOL_TOTAL]
    # The range is a number without sign; halving it first keeps the sign out of the division.
    unit = (int(uint(r) >> 1) // total) << 1
    if r - unit * total >= total:
        unit += 1
    w[_UNIT] = unit
    n = w[_LOW] // unit + 1
    if n > total:
        n = total
    w[_SYMBOL_LOW] = total - n


@micropython.viper
def narrow(w: ptr32):
    """Take the symbol that owns [_SYMBOL_LOW, _SYMBOL_HIGH) of _SYMBOL_TOTAL, after `find`."""
    unit = w[_UNIT]
    n = w[_SYMBOL_HIGH]
    r = unit * (w[_SYMBOL_TOTAL] - n)
    w[_LOW] = w[_LOW] - r
    if w[_SYMBOL_LOW]:
        r = unit * (n - w[_SYMBOL_LOW])
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
    corrections = ptr32(int(w) + 4 * _DECODER_CORRECTIONS)
    if byte > corrections[eighth]:
        eighth += 1
    w[_TELL] = ((w[_N_BITS] - n) << 3) - eighth


@micropython.viper
def decode_uniform(w: ptr32):
    """Leave in _SYMBOL_LOW one of _SYMBOL_TOTAL equally likely symbols: `find` and `narrow` at once."""
    r = w[_RANGE]
    total = w[_SYMBOL_TOTAL]
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
    w[_SYMBOL_LOW] = total - symbol
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
    corrections = ptr32(int(w) + 4 * _DECODER_CORRECTIONS)
    if byte > corrections[eighth]:
        eighth += 1
    w[_TELL] = ((w[_N_BITS] - n) << 3) - eighth


@micropython.viper
def decode_flag(w: ptr32, n_bits: int) -> int:
    """Return a flag that is set with probability 2**-n_bits (section 4.1.3.1)."""
    r = w[_RANGE]
    unit = int(uint(r) >> n_bits)
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
    corrections = ptr32(int(w) + 4 * _DECODER_CORRECTIONS)
    if byte > corrections[eighth]:
        eighth += 1
    w[_TELL] = ((w[_N_BITS] - n) << 3) - eighth
    return flag


@micropython.viper
def decode_bits(w: ptr32):
    """Leave in _RAW_VALUE the next _RAW_BITS raw bits, at most 16, from the back (section 4.1.4)."""
    n_bits = w[_RAW_BITS]
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
    w[_RAW_VALUE] = window & ((1 << n_bits) - 1)
    w[_RAW_WINDOW] = int(uint(window) >> n_bits)
    w[_N_RAW] = n_raw - n_bits
    w[_N_BITS] = w[_N_BITS] + n_bits
    w[_TELL] = w[_TELL] + (n_bits << 3)


@micropython.viper
def decode_choice(W, find, narrow, n0: int, n1: int, n2: int) -> int:
    """Return one of 4 symbols that own [0, n0), [n0, n1), [n1, n2) and the rest of _SYMBOL_TOTAL."""
    w = ptr32(W)
    find(W)
    at = w[_SYMBOL_LOW]
    choice = 0
    low = 0
    high = n0
    if at >= n2:
        choice = 3
        low = n2
        high = w[_SYMBOL_TOTAL]
    elif at >= n1:
        choice = 2
        low = n1
        high = n2
    elif at >= n0:
        choice = 1
        low = n0
        high = n1
    w[_SYMBOL_LOW] = low
    w[_SYMBOL_HIGH] = high
    narrow(W)
    return choice


@micropython.viper
def decode_skipping(W, find, decode_flag) -> int:
    """Return whether the skipping of bands ends here (section 4.3.3)."""
    return int(decode_flag(W, 1))
