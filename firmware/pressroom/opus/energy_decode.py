"""The energy of the bands, and everything else before the bit allocation (RFC 6716 sections 4.3.1 to 4.3.3). No I/O.

Energies are log2 of the amplitude in Q10, less the band's mean (ENERGY_MEANS).
"""

import micropython
from micropython import const

_RANGE = const(0)
_STORAGE = const(9)
_TELL = const(10)
_SEED = const(13)
_IS_TRANSIENT = const(14)
_IS_SILENT = const(15)
_SPREAD = const(22)
_TRIM = const(23)
_END_BAND = const(31)
_OLD_ENERGY = const(32)
_BOOST = const(56)
_FINE_BITS = const(128)
_FINE_PRIORITY = const(152)
_RAW_BITS = const(221)
_RAW_VALUE = const(222)
_SYMBOL_LOW = const(245)
_SYMBOL_HIGH = const(246)
_SYMBOL_TOTAL = const(247)
_TF = const(296)
_ENERGY_1 = const(1736)
_ENERGY_2 = const(1760)
_FILTER = const(2454)
_NEW_LAG = const(3)  # of _FILTER
_NEW_GAIN = const(4)
_NEW_TAPSET = const(5)

_ALL_BANDS = const(21)
_ABSENT = const(-28 * 1024)


@micropython.viper
def flags(W, find, narrow, decode_choice, decode_uniform, decode_flag, decode_bits):
    """Decode the flags and the post-filter's parameters (table 56 and section 4.3.7.1); leaves _IS_SILENT."""
    w = ptr32(W)
    total = w[_STORAGE] << 3
    filter = ptr32(int(w) + 4 * _FILTER)
    filter[_NEW_LAG] = 15
    filter[_NEW_GAIN] = 0
    filter[_NEW_TAPSET] = 0
    w[_IS_TRANSIENT] = 0
    w[_IS_SILENT] = int(decode_flag(W, 15))
    if w[_IS_SILENT]:
        return
    if ((w[_TELL] + 7) >> 3) + 16 <= total and int(decode_flag(W, 1)):
        w[_SYMBOL_TOTAL] = 6
        decode_uniform(W)
        octave = w[_SYMBOL_LOW]
        w[_RAW_BITS] = 4 + octave
        decode_bits(W)
        filter[_NEW_LAG] = (16 << octave) + w[_RAW_VALUE] - 1
        w[_RAW_BITS] = 3
        decode_bits(W)
        filter[_NEW_GAIN] = w[_RAW_VALUE] + 1
        if ((w[_TELL] + 7) >> 3) + 2 <= total:
            w[_SYMBOL_TOTAL] = 4
            filter[_NEW_TAPSET] = int(decode_choice(W, find, narrow, 2, 3, 4))
    if ((w[_TELL] + 7) >> 3) + 3 <= total:
        w[_IS_TRANSIENT] = int(decode_flag(W, 3))


@micropython.viper
def coarse(W, find, narrow, decode_choice, decode_flag, probs: ptr8):
    """Decode each band's energy in steps of 6 dB, predicted in time and frequency (section 4.3.2.1)."""
    w = ptr32(W)
    end = w[_END_BAND]
    total = w[_STORAGE] << 3
    coefficient = 16384  # alpha and beta at 20 ms, Q15
    beta = 6554
    if ((w[_TELL] + 7) >> 3) + 3 <= total and int(decode_flag(W, 3)):
        coefficient = 0
        beta = 4915
        probs = ptr8(int(probs) + 42)
    prev = 0
    i = 0
    while i < end:
        left = total - ((w[_TELL] + 7) >> 3)
        qi = -1
        if left >= 15:
            # Laplace, with a tail of probability 1 of 32768 each.
            width = probs[2 * i] << 7
            decay = probs[2 * i + 1] << 6
            w[_SYMBOL_TOTAL] = 32768
            find(W)
            at = w[_SYMBOL_LOW]
            low = 0
            qi = 0
            if at >= width:
                qi = 1
                low = width
                width = (((32736 - width) * (16384 - decay)) >> 15) + 1
                while width > 1 and at >= low + 2 * width:
                    width *= 2
                    low += width
                    width = (((width - 2) * decay) >> 15) + 1
                    qi += 1
                if width <= 1:
                    n = (at - low) >> 1
                    qi += n
                    low += 2 * n
                if at < low + width:
                    qi = 0 - qi
                else:
                    low += width
            width += low
            if width > 32768:
                width = 32768
            w[_SYMBOL_LOW] = low
            w[_SYMBOL_HIGH] = width
            narrow(W)
        elif left >= 2:
            w[_SYMBOL_TOTAL] = 4
            qi = int(decode_choice(W, find, narrow, 2, 3, 4))
            if qi < 2:
                qi = 0 - qi
            else:
                qi = 1
        elif left >= 1:
            qi = 0 - int(decode_flag(W, 1))
        old = w[_OLD_ENERGY + i]
        if old < -9216:
            old = -9216
        v = ((coefficient * old + 128) >> 8) + prev + (qi << 17)
        if v < -28 * 131072:
            v = -28 * 131072
        w[_OLD_ENERGY + i] = (v + 64) >> 7
        prev += (qi << 17) - beta * (qi << 2)
        i += 1


@micropython.viper
def resolution(W, find, narrow, decode_choice, decode_flag, tf_select: ptr8):
    """Decode each band's change of time-frequency resolution and the spread (sections 4.3.4.5, 4.3.4.3)."""
    w = ptr32(W)
    end = w[_END_BAND]
    total = w[_STORAGE] << 3
    bits = 4
    row = 0
    if w[_IS_TRANSIENT]:
        bits = 2
        row = 4
    limit = total
    if ((w[_TELL] + 7) >> 3) + bits + 1 <= total:
        limit -= 1
    change = 0
    changed = 0
    i = 0
    while i < end:
        if ((w[_TELL] + 7) >> 3) + bits <= limit:
            change ^= int(decode_flag(W, bits))
            changed |= change
        w[_TF + i] = change
        bits = 5
        if row:
            bits = 4
        i += 1
    if limit < total and tf_select[row + changed] != tf_select[row + 2 + changed]:
        row += 2 * int(decode_flag(W, 1))
    i = 0
    while i < end:
        w[_TF + i] = (tf_select[row + w[_TF + i]] ^ 128) - 128
        i += 1
    w[_SPREAD] = 2
    if ((w[_TELL] + 7) >> 3) + 4 <= total:
        # Table 59: 7, 2, 21 and 2 of 32.
        w[_SYMBOL_TOTAL] = 32
        w[_SPREAD] = int(decode_choice(W, find, narrow, 7, 9, 30))


@micropython.viper
def boosts(W, find, narrow, decode_flag, edges: ptr8, caps: ptr32, trim_icdf: ptr8):
    """Decode the bands' boosts and the trim of the allocation (section 4.3.3)."""
    w = ptr32(W)
    end = w[_END_BAND]
    total = w[_STORAGE] << 6
    first_bits = 6
    i = 0
    while i < end:
        n = (edges[i + 1] - edges[i]) << 3
        quantum = n << 3
        if quantum > 48:
            quantum = 48
            if n > 48:
                quantum = n
        bits = first_bits
        boost = 0
        while w[_TELL] + (bits << 3) < total and boost < caps[i]:
            if int(decode_flag(W, bits)) == 0:
                break
            boost += quantum
            total -= quantum
            bits = 1
        w[_BOOST + i] = boost
        if boost > 0 and first_bits > 2:
            first_bits -= 1
        i += 1
    w[_TRIM] = 5
    if w[_TELL] + 48 <= total:
        w[_SYMBOL_TOTAL] = 128
        find(W)
        at = w[_SYMBOL_LOW]
        low = 0
        i = 0
        while at >= 128 - trim_icdf[i]:
            low = 128 - trim_icdf[i]
            i += 1
        w[_SYMBOL_LOW] = low
        w[_SYMBOL_HIGH] = 128 - trim_icdf[i]
        narrow(W)
        w[_TRIM] = i


@micropython.viper
def fine(W, decode_bits):
    """Refine each energy by the bits it was given (section 4.3.2.2)."""
    w = ptr32(W)
    end = w[_END_BAND]
    i = 0
    while i < end:
        n_bits = w[_FINE_BITS + i]
        if n_bits > 0:
            w[_RAW_BITS] = n_bits
            decode_bits(W)
            w[_OLD_ENERGY + i] = w[_OLD_ENERGY + i] + (((w[_RAW_VALUE] << 10) + 512) >> n_bits) - 512
        i += 1


@micropython.viper
def finer(W, decode_bits):
    """Use the bits that are left over, one a band, those of higher priority first (section 4.3.2.2)."""
    w = ptr32(W)
    end = w[_END_BAND]
    left = (w[_STORAGE] << 3) - ((w[_TELL] + 7) >> 3)
    priority = 0
    while priority < 2:
        i = 0
        while i < end and left >= 1:
            n_bits = w[_FINE_BITS + i]
            if n_bits < 8 and w[_FINE_PRIORITY + i] == priority:
                w[_RAW_BITS] = 1
                decode_bits(W)
                w[_OLD_ENERGY + i] = w[_OLD_ENERGY + i] + (((w[_RAW_VALUE] << 10) - 512) >> (n_bits + 1))
                left -= 1
            i += 1
        priority += 1


@micropython.viper
def silence(w: ptr32):
    """Every band is as quiet as can be."""
    i = 0
    while i < _ALL_BANDS:
        w[_OLD_ENERGY + i] = _ABSENT
        i += 1


@micropython.viper
def remember(w: ptr32):
    """Keep the energies of the last two frames for anti-collapse, and the range, which is the next frame's seed.

    The bands that this packet has not are forgotten.
    """
    w[_SEED] = w[_RANGE]
    last = ptr32(int(w) + 4 * _ENERGY_1)
    before = ptr32(int(w) + 4 * _ENERGY_2)
    end = w[_END_BAND]
    i = 0
    while i < _ALL_BANDS:
        v = w[_OLD_ENERGY + i]
        if w[_IS_TRANSIENT]:
            if v < last[i]:
                last[i] = v
        else:
            before[i] = last[i]
            last[i] = v
        if i >= end:
            w[_OLD_ENERGY + i] = 0
            last[i] = _ABSENT
            before[i] = _ABSENT
        i += 1
