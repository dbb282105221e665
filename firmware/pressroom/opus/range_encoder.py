"""The range encoder of CELT, and the raw bits at the packet's other end (RFC 6716 section 5.1). No I/O.

The packet is built inside the workspace and copied out once, by `finish`. Symbols fill it from the front, raw bits from
the back. _TELL is what was used so far, in 1/8 bit: that is what the bit allocation counts in. A call costs the chip
more for its arguments than for most symbols, so symbols lie in the workspace.
"""

import micropython
from micropython import const

_RANGE = const(0)  # 2**23 < range <= 2**31, as 32 bits without sign
_LOW = const(1)  # 31 bits
_HELD_BYTE = const(2)  # not yet written: a carry may still come; -1 before the first
_N_HELD = const(3)  # bytes of 255 behind it, which a carry would run through
_N_FRONT = const(4)  # bytes written at the front
_N_BACK = const(5)  # bytes written at the back
_RAW_WINDOW = const(6)
_N_RAW = const(7)  # bits in it
_N_BITS = const(8)  # whole bits used
_STORAGE = const(9)  # bytes there are, without the TOC
_TELL = const(10)  # bits used, in 1/8
_RAW_BITS = const(221)
_RAW_VALUE = const(222)
_SYMBOL_LOW = const(245)
_SYMBOL_HIGH = const(246)
_SYMBOL_TOTAL = const(247)
_PACKET = const(1512)
_ENCODER_CORRECTIONS = const(1584)  # LOG2_CORRECTION of tables.py

_TOC = const(0xB8)  # section 3.1: configuration 23, CELT wide band 20 ms; mono; one frame


@micropython.viper
def begin(w: ptr32):
    t = 1
    w[_RANGE] = t << 31
    w[_LOW] = 0
    w[_HELD_BYTE] = -1
    w[_N_HELD] = 0
    w[_N_FRONT] = 0
    w[_N_BACK] = 0
    w[_RAW_WINDOW] = 0
    w[_N_RAW] = 0
    w[_N_BITS] = 33
    w[_TELL] = 8


@micropython.viper
def encode(w: ptr32):
    """Encode the symbol that owns [_SYMBOL_LOW, _SYMBOL_HIGH) of _SYMBOL_TOTAL (section 5.1.1)."""
    r = w[_RANGE]
    total = w[_SYMBOL_TOTAL]
    # total divides the range as a number without sign; halving it first keeps the sign out of the division.
    unit = (int(uint(r) >> 1) // total) << 1
    if r - unit * total >= total:
        unit += 1
    low = w[_SYMBOL_LOW]
    if low:
        w[_LOW] = w[_LOW] + r - unit * (total - low)
        r = unit * (w[_SYMBOL_HIGH] - low)
    else:
        r -= unit * (total - w[_SYMBOL_HIGH])
    while (r - 1) >> 23 == 0:
        r <<= 8
        byte = (w[_LOW] >> 23) & 511
        if byte == 255:
            w[_N_HELD] = w[_N_HELD] + 1
        else:
            packet = ptr8(int(w) + 4 * _PACKET)
            carry = byte >> 8
            n = w[_N_FRONT]
            if w[_HELD_BYTE] >= 0:
                packet[n] = w[_HELD_BYTE] + carry
                n += 1
            while w[_N_HELD]:
                packet[n] = 255 + carry
                n += 1
                w[_N_HELD] = w[_N_HELD] - 1
            w[_N_FRONT] = n
            w[_HELD_BYTE] = byte & 255
        w[_LOW] = int(uint(w[_LOW] << 9) >> 1)
        w[_N_BITS] = w[_N_BITS] + 8
    w[_RANGE] = r
    # Section 4.1.6.1: log2 of the range in 1/8, by its top 16 bits.
    n = 24
    low = (r >> 24) & 255
    while low:
        n += 1
        low >>= 1
    low = 32768
    if n < 32:
        low = r >> (n - 16)
    eighth = (low >> 12) - 8
    corrections = ptr32(int(w) + 4 * _ENCODER_CORRECTIONS)
    if low > corrections[eighth]:
        eighth += 1
    w[_TELL] = ((w[_N_BITS] - n) << 3) - eighth


@micropython.viper
def encode_bits(w: ptr32):
    """Append _RAW_VALUE as _RAW_BITS raw bits at the back, at most 16 (section 5.1.3)."""
    n_bits = w[_RAW_BITS]
    n_raw = w[_N_RAW]
    window = w[_RAW_WINDOW]
    if n_raw + n_bits > 30:
        packet = ptr8(int(w) + 4 * _PACKET)
        n = w[_N_BACK]
        while n_raw >= 8:
            n += 1
            packet[w[_STORAGE] - n] = window & 255
            window >>= 8
            n_raw -= 8
        w[_N_BACK] = n
    w[_RAW_WINDOW] = window | (w[_RAW_VALUE] << n_raw)
    w[_N_RAW] = n_raw + n_bits
    w[_N_BITS] = w[_N_BITS] + n_bits
    w[_TELL] = w[_TELL] + (n_bits << 3)


@micropython.viper
def encode_flag(W, encode, is_set: int, n_bits: int):
    """Encode a flag that is set with probability 2**-n_bits (section 5.1.2)."""
    w = ptr32(W)
    low = (1 << n_bits) - 1
    w[_SYMBOL_LOW] = 0
    w[_SYMBOL_HIGH] = low
    w[_SYMBOL_TOTAL] = low + 1
    if is_set:
        w[_SYMBOL_LOW] = low
        w[_SYMBOL_HIGH] = low + 1
    encode(W)


@micropython.viper
def finish(w: ptr32, opus_frame: ptr8):
    """Write the TOC, the fewest bits that name the range (section 5.1.5), zeros, the raw bits: 1 + _STORAGE bytes."""
    low = w[_LOW]
    r = w[_RANGE]
    n_end = 8  # leading zeros of the range, and so bits to write
    top = (r >> 24) & 255
    while top:
        n_end -= 1
        top >>= 1
    ones = -1
    mask = int(uint(ones) >> 1) >> n_end
    end = (low + mask) & (-1 ^ mask)
    if (end | mask) - (low + r) >= 0:
        n_end += 1
        mask >>= 1
        end = (low + mask) & (-1 ^ mask)
    packet = ptr8(int(w) + 4 * _PACKET)
    n = w[_N_FRONT]
    while n_end > 0:
        byte = (end >> 23) & 511
        if byte == 255:
            w[_N_HELD] = w[_N_HELD] + 1
        else:
            if w[_HELD_BYTE] >= 0:
                packet[n] = w[_HELD_BYTE] + (byte >> 8)
                n += 1
            while w[_N_HELD]:
                packet[n] = 255 + (byte >> 8)
                n += 1
                w[_N_HELD] = w[_N_HELD] - 1
            w[_HELD_BYTE] = byte & 255
        end = int(uint(end << 9) >> 1)
        n_end -= 8
    if w[_HELD_BYTE] >= 0:
        packet[n] = w[_HELD_BYTE]
        n += 1
    while w[_N_HELD]:
        packet[n] = 255
        n += 1
        w[_N_HELD] = w[_N_HELD] - 1
    storage = w[_STORAGE]
    window = w[_RAW_WINDOW]
    n_raw = w[_N_RAW]
    n_back = w[_N_BACK]
    while n_raw >= 8:
        n_back += 1
        packet[storage - n_back] = window & 255
        window >>= 8
        n_raw -= 8
    i = n
    while i < storage - n_back:
        packet[i] = 0
        i += 1
    if n_raw > 0:
        # The last raw bits share their byte with the last symbol's, as many as that left.
        if n + n_back >= storage and 0 - n_end < n_raw:
            window &= (1 << (0 - n_end)) - 1
        i = storage - n_back - 1
        packet[i] = packet[i] | window
    opus_frame[0] = _TOC
    i = 0
    while i < storage:
        opus_frame[i + 1] = packet[i]
        i += 1


@micropython.viper
def end_skipping(W, encode, encode_flag) -> int:
    """Encode that no more bands are skipped (section 4.3.3): up to 8 kHz that is always worth its bit."""
    encode_flag(W, encode, 1, 1)
    return 1
