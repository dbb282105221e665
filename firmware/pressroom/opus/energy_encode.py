"""The energy of the bands: measured, coded coarse with the header, then fine (RFC 6716 section 4.3.2). No I/O.

Energies are log2 of the amplitude in Q10, less the band's mean (ENERGY_MEANS). One loop encodes all that comes before
the bit allocation, since a call costs more than most of its symbols.
"""

import micropython
from micropython import const

_RANGE = const(0)
_LOW = const(1)
_HELD_BYTE = const(2)
_N_HELD = const(3)
_N_FRONT = const(4)
_N_BITS = const(8)
_STORAGE = const(9)
_TELL = const(10)
_SHIFT = const(12)
_IS_INTRA = const(13)
_IS_TRANSIENT = const(14)
_IS_SILENT = const(15)
_SPREAD = const(22)
_TRIM = const(23)
_TF_SELECT = const(24)
_BOOSTED = const(25)
_OLD_ENERGY = const(32)
_BOOST = const(56)
_ERROR = const(80)
_FINE_BITS = const(128)
_FINE_PRIORITY = const(152)
_SPECTRUM = const(640)
_ENERGY = const(960)
_TF = const(296)
_PACKET = const(1512)

_N_BANDS = const(17)  # up to 8 kHz
_FLOOR = const(-20 * 1024)  # of a band without a sound
_LOG2_OF_160 = const(7498)

# The steps of the header loop.
_SILENCE = const(0)
_POSTFILTER = const(1)
_TRANSIENT = const(2)
_INTRA = const(3)
_COARSE = const(4)
_TF_CHANGE = const(21)
_TF_CHOICE = const(38)
_SPREADING = const(39)
_BOOSTS = const(40)
_TRIMMING = const(57)
_END = const(58)


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
def header(w: ptr32, edges: ptr8, caps: ptr32, probs: ptr8, tf_select: ptr8, trim_icdf: ptr8, corrections: ptr32):
    """Encode everything before the allocation (section 4.3, table 56): one symbol a round, totals all powers of two.

    Each symbol is coded only while bits last, as the decoder does; _OLD_ENERGY becomes what the decoder will have,
    _ERROR what is left for fine energy, _TF and _BOOST what was coded.
    """
    r = w[_RANGE]
    storage_bits = w[_STORAGE] << 3
    n_bits = w[_N_BITS]  # bits used are n_bits - 32 + leading zeros of the range
    intra = w[_IS_INTRA]
    prev = 0
    coefficient = 16384  # section 4.3.2.1: alpha and beta of the prediction at 20 ms, Q15
    beta = 6554
    max_decay = w[_STORAGE] << 7
    if max_decay > 16384:
        max_decay = 16384
    tf_bits = 0
    tf_last = 0
    tf_changed = 0
    total = storage_bits << 3  # of 1/8 bits, less the boosts
    boosted = 0
    logp = 6  # of a band's first boost
    wanted = 0
    i = 0
    step = _SILENCE
    while step < _END:
        low = 0
        width = 0  # 0: nothing to code in this step
        bits = 1
        next_step = step + 1
        n_used = n_bits
        if r > 0:
            n_used += 1
            if r >> 24 < 64:
                top = 64
                while r >> 24 < top:
                    top >>= 1
                    n_used += 1
        n_used -= 32
        if step < _COARSE:
            flag = 0
            bits = 3
            if step == _SILENCE:
                bits = 15
                flag = w[_IS_SILENT]
                if flag:
                    next_step = _END
            elif step == _POSTFILTER:
                bits = 16  # what must be there, for one that is on
            elif step == _TRANSIENT:
                flag = w[_IS_TRANSIENT]
            else:
                flag = intra
            if step == _SILENCE or n_used + bits <= storage_bits:
                if step == _POSTFILTER:
                    bits = 1
                width = (1 << bits) - 1
                if flag:
                    low = width
                    width = 1
            elif step == _TRANSIENT:
                w[_IS_TRANSIENT] = 0
            elif step == _INTRA:
                intra = 0
            if step == _INTRA and intra:
                coefficient = 0
                beta = 4915
                probs = ptr8(int(probs) + 42)
        elif step < _TF_CHANGE:
            i = step - _COARSE
            p = ptr32(int(w) + 4 * _ENERGY)
            x = p[i]
            old = w[_OLD_ENERGY + i]
            oe = old
            if oe < -9216:
                oe = -9216
            predicted = ((coefficient * oe + 128) >> 8) + prev
            f = (x << 7) - predicted
            qi = (f + 65536) >> 17
            bound = old - max_decay
            if bound < -28672:
                bound = -28672
            if qi < 0 and x < bound:
                qi += (bound - x) >> 10
                if qi > 0:
                    qi = 0
            left = storage_bits - n_used - 3 * (_N_BANDS - i)
            if i and left < 30:
                if left < 24 and qi > 1:
                    qi = 1
                if left < 16 and qi < -1:
                    qi = -1
            left = storage_bits - n_used
            if left >= 15:
                # Section 4.3.2.1: Laplace, with a tail of probability 1 of 32768 each.
                bits = 15
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
            elif left >= 2:
                bits = 2
                if qi > 0:
                    qi = 1
                    low = 3
                    width = 1
                elif qi < 0:
                    qi = -1
                    low = 2
                    width = 1
                else:
                    width = 2
            elif left >= 1:
                width = 1
                if qi < 0:
                    qi = -1
                    low = 1
                else:
                    qi = 0
            else:
                qi = -1
            w[_ERROR + i] = ((f + 64) >> 7) - (qi << 10)
            v = predicted + (qi << 17)
            if v < -28 * 131072:
                v = -28 * 131072
            w[_OLD_ENERGY + i] = (v + 64) >> 7
            prev += (qi << 17) - beta * (qi << 2)
        elif step < _TF_CHOICE:
            # Section 4.3.4.5: does this band's choice differ from the one before?
            if step == _TF_CHANGE:
                tf_bits = 4
                if w[_IS_TRANSIENT]:
                    tf_bits = 2
                tf_limit = storage_bits
                if n_used + tf_bits + 1 <= storage_bits:
                    tf_limit -= 1
            p = ptr32(int(w) + 4 * (_TF - _TF_CHANGE))
            if n_used + tf_bits <= tf_limit:
                bits = tf_bits
                width = (1 << bits) - 1
                if p[step] != tf_last:
                    tf_last = p[step]
                    tf_changed |= tf_last
                    low = width
                    width = 1
            p[step] = tf_last
            tf_bits = 5
            if w[_IS_TRANSIENT]:
                tf_bits = 4
        elif step == _TF_CHOICE:
            j = 0
            if w[_IS_TRANSIENT]:
                j = 4
            choice = 0
            if tf_limit < storage_bits and tf_select[j + tf_changed] != tf_select[j + 2 + tf_changed]:
                choice = w[_TF_SELECT]
                low = choice
                width = 1
            j += 2 * choice
            p = ptr32(int(w) + 4 * _TF)
            i = 0
            while i < _N_BANDS:
                p[i] = (tf_select[j + p[i]] ^ 128) - 128
                i += 1
        elif step == _SPREADING:
            i = 0
            if n_used + 4 <= storage_bits:
                # Section 4.3.4.3, table 59: 7, 2, 21 and 2 of 32.
                bits = 5
                v = w[_SPREAD]
                width = 7
                if v == 1:
                    low = 7
                    width = 2
                elif v == 2:
                    low = 9
                    width = 21
                elif v == 3:
                    low = 30
                    width = 2
            else:
                w[_SPREAD] = 2
            wanted = w[_BOOST]
            w[_BOOST] = 0
        elif step < _TRIMMING:
            # Section 4.3.3: boosts, a bit each; a quantum is 6 bits, or 1/8 bit a bin, or 1 bit a bin.
            i = step - _BOOSTS
            n = (edges[i + 1] - edges[i]) << 3
            quantum = n << 3
            if quantum > 48:
                quantum = 48
                if n > 48:
                    quantum = n
            bits = logp
            if w[_BOOST + i]:
                bits = 1
            # The exact count of 1/8 bits matters only near the end.
            v = (n_used + bits) << 3
            if v >= total:
                mantissa = 32768
                j = 0
                while (r >> 23) >> j > 1:
                    j += 1
                if r > 0:
                    mantissa = r >> (j + 8)
                    j = (mantissa >> 12) - 8
                    if mantissa > corrections[j]:
                        j += 1
                    v -= j
            if v < total and w[_BOOST + i] < caps[i]:
                width = (1 << bits) - 1
                if wanted > 0:
                    wanted -= 1
                    low = width
                    width = 1
                    w[_BOOST + i] = w[_BOOST + i] + quantum
                    total -= quantum
                    boosted += quantum
                    next_step = step
            if next_step != step:
                if w[_BOOST + i] and logp > 2:
                    logp -= 1
                wanted = w[_BOOST + i + 1]
                w[_BOOST + i + 1] = 0
        else:
            w[_BOOSTED] = boosted
            v = (n_used << 3) + 48
            if v > total:
                mantissa = 32768
                j = 0
                while (r >> 23) >> j > 1:
                    j += 1
                if r > 0:
                    mantissa = r >> (j + 8)
                    j = (mantissa >> 12) - 8
                    if mantissa > corrections[j]:
                        j += 1
                    v -= j
            if v <= total:
                bits = 7
                j = w[_TRIM]
                low = 128
                if j:
                    low = trim_icdf[j - 1]
                width = low - trim_icdf[j]
                low = 128 - low
            else:
                w[_TRIM] = 5
        if width:
            # Section 5.1.1, as in range_encoder.encode.
            unit = int(uint(r) >> 1) >> (bits - 1)
            if low:
                w[_LOW] = w[_LOW] + r - unit * ((1 << bits) - low)
                r = unit * width
            else:
                r -= unit * ((1 << bits) - width)
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
                n_bits += 8
        step = next_step
    w[_RANGE] = r
    w[_N_BITS] = n_bits
    # Section 4.1.6.1, as in range_encoder.encode.
    n_used = 24
    top = (r >> 24) & 255
    while top:
        n_used += 1
        top >>= 1
    mantissa = 32768
    if n_used < 32:
        mantissa = r >> (n_used - 16)
    j = (mantissa >> 12) - 8
    if mantissa > corrections[j]:
        j += 1
    w[_TELL] = (n_bits << 3) - (n_used << 3) - j


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
            encode_bits(W, level, n_bits)
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
                encode_bits(W, is_above, 1)
                w[_OLD_ENERGY + i] = w[_OLD_ENERGY + i] + (((is_above << 10) - 512) >> (n_bits + 1))
                left -= 1
            i += 1
        priority += 1
