"""The shapes of the bands: split until a piece has few enough bits for one vector of pulses (RFC 6716 section 4.3.4).

Halves are coded with the angle between their energies, the larger first, so that what it saves is given to the other.
The recursion of the RFC is a stack in the workspace. Nothing is put together again: a mono encoder does not need to
hear what it has said.
"""

import micropython
from micropython import const

_STORAGE = const(9)
_TELL = const(10)
_BALANCE = const(20)
_CODED = const(21)
_SPREAD = const(22)
_LEAF_AT = const(25)
_LEAF_N = const(26)
_LEAF_K = const(27)
_INDEX = const(28)
_N_VECTORS = const(29)
_PULSES = const(104)
_RAW_BITS = const(221)
_RAW_VALUE = const(222)
_SYMBOL_LOW = const(245)
_SYMBOL_HIGH = const(246)
_SYMBOL_TOTAL = const(247)
_STACK = const(248)
_SPECTRUM = const(640)

_N_BANDS = const(17)
_ENTRY_WORDS = const(7)


@micropython.viper
def encode_bands(
    W,
    encode,
    encode_bits,
    rotate,
    search,
    square_root,
    cosines,
    pvq_u,
    rows,
    edges: ptr8,
    log_n: ptr8,
    cache_index: ptr32,
    cache_bits: ptr8,
    exp2: ptr32,
):
    """Encode the shape of every band. The last eight are tables of tables.py."""
    w = ptr32(W)
    total = w[_STORAGE] << 6
    balance = w[_BALANCE]
    coded = w[_CODED]
    band = 0
    while band < _N_BANDS:
        # Section 4.3.4: the band's bits, and a third of what the bands before have left.
        told = w[_TELL]
        if band:
            balance -= told
        band_told = told
        left = total - told - 1
        bits = 0
        if band < coded:
            n = coded - band
            if n > 3:
                n = 3
            if balance >= 0:
                bits = balance // n
            else:
                bits = 0 - ((0 - balance) // n)
            bits += w[_PULSES + band]
            if bits > left + 1:
                bits = left + 1
            if bits > 16383:
                bits = 16383
            if bits < 0:
                bits = 0
        at = _SPECTRUM + (edges[band] << 3)
        n = (edges[band + 1] - edges[band]) << 3
        level = 3
        depth = _STACK
        while True:
            cache = cache_index[(level + 1) * 21 + band]
            if level >= 0 and n > 2 and bits > cache_bits[cache + cache_bits[cache]] + 12:
                # Split (section 4.3.4.4). The resolution of the angle comes from the bits there are.
                n >>= 1
                level -= 1
                cap = log_n[band] + (level << 3)
                j = 2 * n - 1
                i = bits + j * ((cap >> 1) - 4)
                if i >= 0:
                    i = i // j
                else:
                    i = 0 - ((0 - i) // j)
                j = bits - cap - 32
                if i > j:
                    i = j
                if i > 64:
                    i = 64
                steps = 1
                if i >= 4:
                    steps = ((exp2[i & 7] >> (14 - (i >> 3))) + 1) >> 1 << 1
                theta = 0
                told = w[_TELL]
                if steps > 1:
                    # The angle whose tangent is the ratio of the halves' norms; 16384 is a right angle.
                    p = ptr32(int(w) + (at << 2))
                    mid = 1
                    side = 0
                    i = n
                    while i:
                        v = p[0]
                        mid += (v * v) >> 8
                        v = p[n]
                        side += (v * v) >> 8
                        p = ptr32(int(p) + 4)
                        i -= 1
                    i = side
                    v = mid
                    if side > mid:
                        i = mid
                        v = side
                    while v >> 16:
                        v >>= 4
                        i >>= 4
                    i = int(square_root(((i << 14) // v) << 14)) << 1
                    v = -11943 + ((i * 4936) >> 15)
                    v = -21 + ((i * v) >> 15)
                    v = 32767 + ((i * v) >> 15)
                    v = (i * v) >> 15
                    theta = (v * 20861) >> 16
                    if side > mid:
                        theta = 16384 - theta
                    theta = (theta * steps + 8192) >> 14
                    # Halves of a spectrum: a triangle, since both mostly have energy.
                    half = steps >> 1
                    whole = (half + 1) * (half + 1)
                    if theta <= half:
                        v = theta + 1
                        i = (theta * (theta + 1)) >> 1
                    else:
                        v = steps + 1 - theta
                        i = whole - ((v * (v + 1)) >> 1)
                    w[_SYMBOL_LOW] = i
                    w[_SYMBOL_HIGH] = i + v
                    w[_SYMBOL_TOTAL] = whole
                    encode(W)
                    theta = (theta << 14) // steps
                told = w[_TELL] - told
                bits -= told
                # How many more bits the larger half needs: log2 of the tangent, exact to the bit (section 4.3.4.4).
                if theta == 0:
                    delta = -16384
                elif theta == 16384:
                    delta = 16384
                else:
                    i = (4096 + theta * theta) >> 13
                    v = 8277 + ((16384 - 626 * i) >> 15)
                    v = -7651 + ((16384 + i * v) >> 15)
                    mid = 1 + (32767 - i) + ((16384 + i * v) >> 15)
                    i = 16384 - theta
                    i = (4096 + i * i) >> 13
                    v = 8277 + ((16384 - 626 * i) >> 15)
                    v = -7651 + ((16384 + i * v) >> 15)
                    side = 1 + (32767 - i) + ((16384 + i * v) >> 15)
                    j = 0
                    while mid < 16384:
                        mid <<= 1
                        j += 1
                    while side < 16384:
                        side <<= 1
                        j -= 1
                    v = (16384 + side * (((16384 - 2597 * side) >> 15) + 7932)) >> 15
                    i = (16384 + mid * (((16384 - 2597 * mid) >> 15) + 7932)) >> 15
                    delta = (16384 + ((n - 1) << 7) * ((j << 11) + v - i)) >> 15
                mid = (bits - delta) >> 1
                if bits < delta:
                    mid = 0
                if mid > bits:
                    mid = bits
                if mid < 0:
                    mid = 0
                side = bits - mid
                left -= told
                p = ptr32(int(w) + (depth << 2))
                depth += _ENTRY_WORDS
                p[2] = n
                p[3] = level
                p[5] = left
                if mid >= side:
                    p[0] = at + n
                    p[1] = side
                    p[4] = mid
                    p[6] = theta
                    bits = mid
                else:
                    p[0] = at
                    p[1] = mid
                    p[4] = side
                    p[6] = 16384 - theta
                    at += n
                    bits = side
                continue
            # A piece for one vector: the number of pulses whose cost is nearest to its bits (section 4.3.4.1).
            costs = ptr8(int(cache_bits) + cache)
            i = 0
            j = costs[0]
            v = bits - 1
            k = 6
            while k:
                mid = (i + j + 1) >> 1
                if costs[mid] >= v:
                    j = mid
                else:
                    i = mid
                k -= 1
            cost = -1
            if i:
                cost = costs[i]
            k = j
            if v - cost <= costs[j] - v:
                k = i
            cost = 0
            if k:
                cost = costs[k] + 1
            left -= cost
            while left < 0 and k > 0:
                left += cost
                k -= 1
                cost = 0
                if k:
                    cost = costs[k] + 1
                left -= cost
            if k:
                if k >= 8:
                    k = (8 + (k & 7)) << ((k >> 3) - 1)
                w[_LEAF_AT] = at
                w[_LEAF_N] = n
                w[_LEAF_K] = k
                if w[_SPREAD] and 2 * k < n:
                    rotate(W, cosines)
                search(W, 0, W, pvq_u, rows)
                # Section 5.1.3: of a number up to V - 1 the top 8 bits are a symbol, the rest raw.
                v = w[_N_VECTORS] - 1
                j = w[_INDEX]
                raw = 0
                i = int(uint(v) >> 8)
                while i:
                    raw += 1
                    i >>= 1
                i = int(uint(j) >> raw)
                w[_SYMBOL_LOW] = i
                w[_SYMBOL_HIGH] = i + 1
                w[_SYMBOL_TOTAL] = int(uint(v) >> raw) + 1
                encode(W)
                if raw > 16:
                    w[_RAW_VALUE] = j & 65535
                    w[_RAW_BITS] = 16
                    encode_bits(W)
                    j = int(uint(j) >> 16)
                    raw -= 16
                if raw:
                    w[_RAW_VALUE] = j & ((1 << raw) - 1)
                    w[_RAW_BITS] = raw
                    encode_bits(W)
            if depth == _STACK:
                break
            depth -= _ENTRY_WORDS
            p = ptr32(int(w) + (depth << 2))
            at = p[0]
            bits = p[1]
            n = p[2]
            level = p[3]
            v = p[4] - (p[5] - left)
            if v > 24 and p[6] != 0:
                bits += v - 24
        balance += w[_PULSES + band] + band_told
        band += 1
