"""The range encoder of CELT, and the raw bits at the packet's other end (RFC 6716 section 5.1). No I/O.

The packet is built inside the workspace and copied out once, by `finish`. Symbols fill it from the front, raw bits from
the back. Positions are in 1/8 bit where a name says `tell`: that is what the bit allocation counts in.
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
_NOTED = const(11)
_PACKET = const(1512)

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
def encode(w: ptr32, low: int, high: int, total: int, corrections: ptr32):
    """Encode a symbol that owns [low, high) of total (section 5.1.1), and bring _TELL up to date."""
    r = w[_RANGE]
    # total divides the range as a number without sign; halving it first keeps the sign out of the division.
    step = (int(uint(r) >> 1) // total) << 1
    if r - step * total >= total:
        step += 1
    if low:
        w[_LOW] = w[_LOW] + r - step * (total - low)
        r = step * (high - low)
    else:
        r -= step * (total - high)
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
    n_bits = 24
    top = (r >> 24) & 255
    while top:
        n_bits += 1
        top >>= 1
    mantissa = 32768
    if n_bits < 32:
        mantissa = r >> (n_bits - 16)
    eighth = (mantissa >> 12) - 8
    if mantissa > corrections[eighth]:
        eighth += 1
    w[_TELL] = (w[_N_BITS] << 3) - (n_bits << 3) - eighth


@micropython.viper
def encode_bits(w: ptr32, value: int, n_bits: int):
    """Append n_bits raw bits at the back, at most 16 (section 5.1.3)."""
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
    w[_RAW_WINDOW] = window | (value << n_raw)
    w[_N_RAW] = n_raw + n_bits
    w[_N_BITS] = w[_N_BITS] + n_bits
    w[_TELL] = w[_TELL] + (n_bits << 3)


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
def note_bit(w: ptr32, bit: int, corrections: ptr32) -> int:
    """Take the one decision of the bit allocation, to be encoded when that is done. corrections: not used."""
    w[_NOTED] = 1
    return bit
