"""The energy of the bands, and everything else before the bit allocation (RFC 6716 sections 4.3.1 to 4.3.3). No I/O.

Energies are log2 of the amplitude in Q10, less the band's mean (ENERGY_MEANS). Everything is coded only while there is
room for it, exactly as the decoder reads it.
"""

import micropython
from micropython import const

_STORAGE = const(9)
_TELL = const(10)
_SHIFT = const(12)
_IS_INTRA = const(13)
_IS_SILENT = const(15)
_SPREAD = const(22)
_TRIM = const(23)
_OLD_ENERGY = const(32)
_BOOST = const(56)
_ERROR = const(80)
_FINE_BITS = const(128)
_FINE_PRIORITY = const(152)
_RAW_BITS = const(221)
_RAW_VALUE = const(222)
_SYMBOL_LOW = const(245)
_SYMBOL_HIGH = const(246)
_SYMBOL_TOTAL = const(247)
_SPECTRUM = const(640)
_ENERGY = const(960)

_N_BANDS = const(17)  # up to 8 kHz
_FLOOR = const(-20 * 1024)  # of a band without a sound
_ABSENT = const(-28 * 1024)
_LOG2_OF_160 = const(7498)


@micropython.viper
def measure(w: ptr32, edges: ptr8, means: ptr8, log2: ptr32):
    """Fill _ENERGY, and shift each band of _SPECTRUM so that its largest value has 13 bits."""
    shift_all = w[_SHIFT] - 3
    i = 0
    while i < _N_BANDS:
        x = ptr32(int(w) + 4 * _SPECTRUM + (edges[i] << 5))
        end = ptr32(int(w) + 4 * _SPECTRUM + (edges[i + 1] << 5))
        p = x
        most = 0
        while int(p) < int(end):
            v = p[0]
            if v < 0:
                v = 0 - v
            most |= v
            p = ptr32(int(p) + 4)
        energy = ptr32(int(w) + 4 * _ENERGY)
        if most == 0:
            energy[i] = _FLOOR
            x[0] = 4096
        else:
            left = 0
            right = 0
            while most >= 8192:
                most >>= 1
                right += 1
            while most < 4096:
                most <<= 1
                left += 1
            p = x
            s = 0
            if right:
                while int(p) < int(end):
                    v = p[0] >> right
                    p[0] = v
                    v *= v
                    s += v >> 2
                    p = ptr32(int(p) + 4)
            else:
                while int(p) < int(end):
                    v = p[0] << left
                    p[0] = v
                    v *= v
                    s += v >> 2
                    p = ptr32(int(p) + 4)
            # log2 of the sum of squares, from its 6 bits below the first by table, and 10 more by interpolation.
            n_bits = 30
            while s >> 30 == 0:
                s <<= 1
                n_bits -= 1
            j = (s >> 24) & 63
            s = (s >> 14) & 1023
            v = log2[j]
            v += ((log2[j + 1] - v) * s) >> 10
            v += (n_bits << 10) + 2048
            energy[i] = (v >> 1) - ((left - right + shift_all) << 10) - _LOG2_OF_160 - (means[i] << 6)
        i += 1


@micropython.viper
def flags(W, encode, encode_flag):
    """Encode silence, no comb filter, no transient, and intra, each while there is room (section 4.3, table 56)."""
    w = ptr32(W)
    total = w[_STORAGE] << 3
    encode_flag(W, encode, w[_IS_SILENT], 15)
    if w[_IS_SILENT]:
        i = 0
        while i < _N_BANDS:
            w[_OLD_ENERGY + i] = _ABSENT
            w[_ERROR + i] = 0
            i += 1
        return
    if ((w[_TELL] + 7) >> 3) + 16 <= total:
        encode_flag(W, encode, 0, 1)
    if ((w[_TELL] + 7) >> 3) + 3 <= total:
        encode_flag(W, encode, 0, 3)
    if ((w[_TELL] + 7) >> 3) + 3 <= total:
        encode_flag(W, encode, w[_IS_INTRA], 3)
    else:
        w[_IS_INTRA] = 0


@micropython.viper
def coarse(W, encode, encode_flag, probs: ptr8):
    """Encode each band's energy in steps of 6 dB, predicted in time and frequency (section 4.3.2.1).

    _OLD_ENERGY becomes what the decoder will have, _ERROR what is left for fine energy.
    """
    w = ptr32(W)
    energy = ptr32(int(w) + 4 * _ENERGY)
    total = w[_STORAGE] << 3
    coefficient = 16384  # alpha and beta of the prediction at 20 ms, Q15
    beta = 6554
    if w[_IS_INTRA]:
        coefficient = 0
        beta = 4915
        probs = ptr8(int(probs) + 42)
    max_decay = w[_STORAGE] << 7
    if max_decay > 16384:
        max_decay = 16384
    prev = 0
    i = 0
    while i < _N_BANDS:
        old = w[_OLD_ENERGY + i]
        x = energy[i]
        # A steady band keeps its error: a constant offset is heard less than one that comes and goes.
        if x - old < 2048 and old - x < 2048:
            x -= w[_ERROR + i] >> 2
        bound = old - max_decay
        if bound < _ABSENT:
            bound = _ABSENT
        if old < -9216:
            old = -9216
        predicted = ((coefficient * old + 128) >> 8) + prev
        f = (x << 7) - predicted
        qi = (f + 65536) >> 17
        # A band must not fall faster than it can be heard to fall.
        if qi < 0 and x < bound:
            qi += (bound - x) >> 10
            if qi > 0:
                qi = 0
        left = total - ((w[_TELL] + 7) >> 3)
        n = left - 3 * (_N_BANDS - i)
        if i and n < 30:
            if n < 24 and qi > 1:
                qi = 1
            if n < 16 and qi < -1:
                qi = -1
        if left >= 15:
            # Laplace, with a tail of probability 1 of 32768 each.
            low = 0
            width = probs[2 * i] << 7
            if qi:
                decay = probs[2 * i + 1] << 6
                sign = 0
                v = qi
                if qi < 0:
                    sign = -1
                    v = 0 - qi
                low = width
                width = ((32736 - width) * (16384 - decay)) >> 15
                j = 1
                while width > 0 and j < v:
                    width *= 2
                    low += width + 2
                    width = (width * decay) >> 15
                    j += 1
                if width == 0:
                    n = ((32768 - low - sign) >> 1) - 1
                    if v - j < n:
                        n = v - j
                    low += 2 * n + 1 + sign
                    width = 32768 - low
                    if width > 1:
                        width = 1
                    qi = (j + n + sign) ^ sign
                else:
                    width += 1
                    if sign == 0:
                        low += width
            w[_SYMBOL_LOW] = low
            w[_SYMBOL_HIGH] = low + width
            w[_SYMBOL_TOTAL] = 32768
            encode(W)
        elif left >= 2:
            w[_SYMBOL_LOW] = 0
            w[_SYMBOL_HIGH] = 2
            w[_SYMBOL_TOTAL] = 4
            if qi > 0:
                qi = 1
                w[_SYMBOL_LOW] = 3
                w[_SYMBOL_HIGH] = 4
            elif qi < 0:
                qi = -1
                w[_SYMBOL_LOW] = 2
                w[_SYMBOL_HIGH] = 3
            encode(W)
        elif left >= 1:
            n = 0
            if qi < 0:
                n = 1
            qi = 0 - n
            encode_flag(W, encode, n, 1)
        else:
            qi = -1
        w[_ERROR + i] = ((f + 64) >> 7) - (qi << 10)
        v = predicted + (qi << 17)
        if v < -28 * 131072:
            v = -28 * 131072
        w[_OLD_ENERGY + i] = (v + 64) >> 7
        prev += (qi << 17) - beta * (qi << 2)
        i += 1


@micropython.viper
def resolution(W, encode, encode_flag):
    """Encode that no band changes its time-frequency resolution, and the spread (sections 4.3.4.5, 4.3.4.3)."""
    w = ptr32(W)
    total = w[_STORAGE] << 3
    bits = 4
    limit = total
    if ((w[_TELL] + 7) >> 3) + bits + 1 <= total:
        limit -= 1  # kept for a choice that no change makes superfluous
    i = 0
    while i < _N_BANDS:
        if ((w[_TELL] + 7) >> 3) + bits <= limit:
            encode_flag(W, encode, 0, bits)
        bits = 5
        i += 1
    if ((w[_TELL] + 7) >> 3) + 4 <= total:
        # Table 59: 7, 2, 21 and 2 of 32.
        v = w[_SPREAD]
        w[_SYMBOL_LOW] = 0
        w[_SYMBOL_HIGH] = 7
        if v == 2:
            w[_SYMBOL_LOW] = 9
            w[_SYMBOL_HIGH] = 30
        elif v:
            w[_SYMBOL_LOW] = 7 + 23 * (v >> 1)
            w[_SYMBOL_HIGH] = 9 + 23 * (v >> 1)
        w[_SYMBOL_TOTAL] = 32
        encode(W)
    else:
        w[_SPREAD] = 2


@micropython.viper
def boosts(W, encode, encode_flag, edges: ptr8, caps: ptr32, trim_icdf: ptr8):
    """Encode the bands' boosts and the trim of the allocation (section 4.3.3).

    _BOOST holds how many quanta each band is to get, and becomes what it got in 1/8 bits.
    """
    w = ptr32(W)
    total = w[_STORAGE] << 6
    first_bits = 6
    i = 0
    while i < _N_BANDS:
        # A quantum is 6 bits, but at least 1/8 bit and at most 1 bit a bin.
        n = (edges[i + 1] - edges[i]) << 3
        quantum = n << 3
        if quantum > 48:
            quantum = 48
            if n > 48:
                quantum = n
        bits = first_bits
        wanted = w[_BOOST + i]
        boost = 0
        while w[_TELL] + (bits << 3) < total and boost < caps[i]:
            if wanted == 0:
                encode_flag(W, encode, 0, bits)
                break
            encode_flag(W, encode, 1, bits)
            wanted -= 1
            boost += quantum
            total -= quantum
            bits = 1
        w[_BOOST + i] = boost
        if boost > 0 and first_bits > 2:
            first_bits -= 1
        i += 1
    if w[_TELL] + 48 <= total:
        i = w[_TRIM]
        n = 128
        if i:
            n = trim_icdf[i - 1]
        w[_SYMBOL_LOW] = 128 - n
        w[_SYMBOL_HIGH] = 128 - trim_icdf[i]
        w[_SYMBOL_TOTAL] = 128
        encode(W)
    else:
        w[_TRIM] = 5


@micropython.viper
def fine(W, encode_bits):
    """Encode what is left of each energy with the bits it was given (section 4.3.2.2)."""
    w = ptr32(W)
    i = 0
    while i < _N_BANDS:
        n_bits = w[_FINE_BITS + i]
        if n_bits > 0:
            level = (w[_ERROR + i] + 512) >> (10 - n_bits)
            most = (1 << n_bits) - 1
            if level > most:
                level = most
            if level < 0:
                level = 0
            w[_RAW_VALUE] = level
            w[_RAW_BITS] = n_bits
            encode_bits(W)
            offset = (((level << 10) + 512) >> n_bits) - 512
            w[_OLD_ENERGY + i] = w[_OLD_ENERGY + i] + offset
            w[_ERROR + i] = w[_ERROR + i] - offset
        i += 1


@micropython.viper
def finer(W, encode_bits):
    """Spend what bits are left over, one a band, those of higher priority first (section 4.3.2.2)."""
    w = ptr32(W)
    left = (w[_STORAGE] << 3) - ((w[_TELL] + 7) >> 3)
    priority = 0
    while priority < 2:
        i = 0
        while i < _N_BANDS and left >= 1:
            n_bits = w[_FINE_BITS + i]
            if n_bits < 8 and w[_FINE_PRIORITY + i] == priority:
                is_above = 1
                if w[_ERROR + i] < 0:
                    is_above = 0
                w[_RAW_VALUE] = is_above
                w[_RAW_BITS] = 1
                encode_bits(W)
                offset = ((is_above << 10) - 512) >> (n_bits + 1)
                w[_OLD_ENERGY + i] = w[_OLD_ENERGY + i] + offset
                w[_ERROR + i] = w[_ERROR + i] - offset
                left -= 1
            i += 1
        priority += 1
