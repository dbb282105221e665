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
def flags(W, find, narrow, decode_uniform, decode_flag, decode_bits, corrections):
    """Decode the flags and the post-filter's parameters (table 56 and section 4.3.7.1); leaves _IS_SILENT."""
    w = ptr32(W)
    total = w[_STORAGE] << 3
    filter = ptr32(int(w) + 4 * _FILTER)
    filter[_NEW_LAG] = 15
    filter[_NEW_GAIN] = 0
    filter[_NEW_TAPSET] = 0
    w[_IS_TRANSIENT] = 0
    w[_IS_SILENT] = int(decode_flag(W, 15, corrections))
    if w[_IS_SILENT]:
        return
    if ((w[_TELL] + 7) >> 3) + 16 <= total and int(decode_flag(W, 1, corrections)):
        octave = int(decode_uniform(W, 6, corrections))
        filter[_NEW_LAG] = (16 << octave) + int(decode_bits(W, 4 + octave)) - 1
        filter[_NEW_GAIN] = int(decode_bits(W, 3)) + 1
        if ((w[_TELL] + 7) >> 3) + 2 <= total:
            at = int(find(W, 4))
            if at < 2:
                narrow(W, 0, 2, 4, corrections)
            else:
                narrow(W, at, at + 1, 4, corrections)
                filter[_NEW_TAPSET] = at - 1
    if ((w[_TELL] + 7) >> 3) + 3 <= total:
        w[_IS_TRANSIENT] = int(decode_flag(W, 3, corrections))


@micropython.viper
def coarse(W, find, narrow, decode_flag, corrections, probs: ptr8):
    """Decode each band's energy in steps of 6 dB, predicted in time and frequency (section 4.3.2.1)."""
    w = ptr32(W)
    end = w[_END_BAND]
    total = w[_STORAGE] << 3
    coefficient = 16384  # alpha and beta at 20 ms, Q15
    beta = 6554
    if ((w[_TELL] + 7) >> 3) + 3 <= total and int(decode_flag(W, 3, corrections)):
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
            at = int(find(W, 32767 + 1))
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
            narrow(W, low, width, 32767 + 1, corrections)
        elif left >= 2:
            at = int(find(W, 4))
            qi = 0
            if at < 2:
                narrow(W, 0, 2, 4, corrections)
            else:
                narrow(W, at, at + 1, 4, corrections)
                qi = 1
                if at == 2:
                    qi = -1
        elif left >= 1:
            qi = 0 - int(decode_flag(W, 1, corrections))
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
def resolution(W, find, narrow, decode_flag, corrections, tf_select: ptr8):
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
            change ^= int(decode_flag(W, bits, corrections))
            changed |= change
        w[_TF + i] = change
        bits = 5
        if row:
            bits = 4
        i += 1
    if limit < total and tf_select[row + changed] != tf_select[row + 2 + changed]:
        row += 2 * int(decode_flag(W, 1, corrections))
    i = 0
    while i < end:
        w[_TF + i] = (tf_select[row + w[_TF + i]] ^ 128) - 128
        i += 1
    w[_SPREAD] = 2
    if ((w[_TELL] + 7) >> 3) + 4 <= total:
        # Table 59: 7, 2, 21 and 2 of 32.
        at = int(find(W, 32))
        if at < 7:
            narrow(W, 0, 7, 32, corrections)
            w[_SPREAD] = 0
        elif at < 9:
            narrow(W, 7, 9, 32, corrections)
            w[_SPREAD] = 1
        elif at < 30:
            narrow(W, 9, 30, 32, corrections)
        else:
            narrow(W, 30, 32, 32, corrections)
            w[_SPREAD] = 3


@micropython.viper
def boosts(W, find, narrow, decode_flag, corrections, edges: ptr8, caps: ptr32, trim_icdf: ptr8):
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
            if int(decode_flag(W, bits, corrections)) == 0:
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
        at = int(find(W, 128))
        low = 0
        i = 0
        while at >= 128 - trim_icdf[i]:
            low = 128 - trim_icdf[i]
            i += 1
        narrow(W, low, 128 - trim_icdf[i], 128, corrections)
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
            level = int(decode_bits(W, n_bits))
            w[_OLD_ENERGY + i] = w[_OLD_ENERGY + i] + (((level << 10) + 512) >> n_bits) - 512
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
                level = int(decode_bits(W, 1))
                w[_OLD_ENERGY + i] = w[_OLD_ENERGY + i] + (((level << 10) - 512) >> (n_bits + 1))
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
