"""The shape of a piece of a band as a vector of pulses, and the number of that vector (RFC 6716 section 4.3.4). No I/O.

A piece of n values becomes n integers whose magnitudes sum to k, the nearest in direction. Which of the V(n, k) such
vectors it is, is one number, coded as an equally likely symbol. Only ratios matter, so nothing has unit norm.
"""

import micropython
from micropython import const

_SPREAD = const(22)
_LEAF_AT = const(25)  # where the piece lies in the workspace
_LEAF_N = const(26)
_LEAF_K = const(27)
_INDEX = const(28)  # result: the number of the vector, 32 bits without sign
_N_VECTORS = const(29)  # result: V(n, k), likewise
_PULSES_AT = const(1368)  # (magnitude, twice the pulses) a value


@micropython.viper
def rotate(w: ptr32, cosines: ptr32):
    """Spread tonal pieces (section 4.3.4.3, encoder's direction), so that few pulses do not sound like tones."""
    n = w[_LEAF_N]
    factor = 10
    if w[_SPREAD] == 1:
        factor = 15
    elif w[_SPREAD] == 3:
        factor = 5
    g = (n << 15) // (n + factor * w[_LEAF_K])
    g = (g * g) >> 16
    j = g >> 9
    c = cosines[j] + (((cosines[j + 1] - cosines[j]) * (g & 511)) >> 9)
    g = 32767 - g
    j = g >> 9
    s = cosines[j] + (((cosines[j + 1] - cosines[j]) * (g & 511)) >> 9)
    x = ptr32(int(w) + (w[_LEAF_AT] << 2))
    p = x
    i = n - 1
    while i:
        a = p[0]
        b = p[1]
        p[1] = (c * b - s * a) >> 15
        p[0] = (c * a + s * b) >> 15
        p = ptr32(int(p) + 4)
        i -= 1
    p = ptr32(int(x) + 4 * (n - 3))
    i = n - 2
    while i:
        a = p[0]
        b = p[1]
        p[1] = (c * b - s * a) >> 15
        p[0] = (c * a + s * b) >> 15
        p = ptr32(int(p) - 4)
        i -= 1
    if n < 8:
        return
    far = 1
    while far * far + far < n:
        far += 1
    p = x
    i = n - far
    while i:
        a = p[0]
        b = p[far]
        p[far] = (s * b - c * a) >> 15
        p[0] = (s * a + c * b) >> 15
        p = ptr32(int(p) + 4)
        i -= 1
    i = n - 2 * far
    p = ptr32(int(x) + 4 * (i - 1))
    while i > 0:
        a = p[0]
        b = p[far]
        p[far] = (s * b - c * a) >> 15
        p[0] = (s * a + c * b) >> 15
        p = ptr32(int(p) - 4)
        i -= 1


@micropython.viper
def search(p: ptr32, v: int, w: ptr32, pvq_u: ptr32, rows: ptr32):
    """Find the vector of pulses nearest to the piece, and its number (section 4.3.4.2). p: the workspace too.

    The first two arguments are what the Xtensa compiler keeps in registers: here they walk through the hot loops.
    """
    n = w[_LEAF_N]
    k = w[_LEAF_K]
    x = ptr32(int(w) + (w[_LEAF_AT] << 2))
    pulses = ptr32(int(w) + 4 * _PULSES_AT)
    end = ptr32(int(pulses) + (n << 3))
    # Magnitudes, so large that k of the largest have 15 bits.
    most = 0
    p = pulses
    while int(p) < int(end):
        v = x[0]
        if v < 0:
            v = 0 - v
        p[0] = v
        p[1] = 0
        most |= v
        x = ptr32(int(x) + 4)
        p = ptr32(int(p) + 8)
    left_shift = 0
    right_shift = 0
    most *= k
    while most >= 32768:
        most >>= 1
        right_shift += 1
    if most:
        while most < 16384:
            most <<= 1
            left_shift += 1
    else:
        pulses[0] = 1
    total = 0
    p = pulses
    while int(p) < int(end):
        v = (p[0] << left_shift) >> right_shift
        p[0] = v
        total += v
        p = ptr32(int(p) + 8)
    xy = 0
    yy = 0
    left = k
    if total > k:
        # Most pulses at once: the projection onto the pyramid, rounded down.
        r = ((k << 16) + 49152) // total
        p = pulses
        while int(p) < int(end):
            v = (p[0] * r) >> 16
            if v:
                yy += v * v
                xy += p[0] * v
                left -= v
                p[1] = v << 1
            p = ptr32(int(p) + 8)
    if left > n + 3:
        v = pulses[1]
        yy += left * left + left * v
        xy += left * pulses[0]
        pulses[1] = v + (left << 1)
        left = 0
    # The rest one by one, each where it raises (x . y)^2 / (y . y) most; fractions are compared by cross products. Two
    # values a round: behind an odd last one stands a value that is never best.
    end[0] = 0
    end[1] = 32768
    while left > 0:
        yy += 1
        p = pulses
        best = pulses
        best_xy = 0
        best_yy = 1
        while int(p) < int(end):
            v = p[0] + xy
            v *= v
            v >>= 15
            y = p[1] + yy
            if v * best_yy > y * best_xy:
                best_xy = v
                best_yy = y
                best = p
            v = p[2] + xy
            v *= v
            v >>= 15
            y = p[3] + yy
            if v * best_yy > y * best_xy:
                best_xy = v
                best_yy = y
                best = ptr32(int(p) + 8)
            p = ptr32(int(p) + 16)
        xy += best[0]
        yy += best[1]
        best[1] = best[1] + 2
        left -= 1
    # The number, from the last value to the first; U(n, k) is symmetric and the table has the half k >= n.
    x = ptr32(int(w) + ((w[_LEAF_AT] + n - 1) << 2))
    p = ptr32(int(end) - 8)
    v = p[1] >> 1
    index = 0
    if v and x[0] < 0:
        index = 1
    j = 2
    while j <= n:
        p = ptr32(int(p) - 8)
        x = ptr32(int(x) - 4)
        if j < v:
            index += pvq_u[rows[j] + v]
        else:
            index += pvq_u[rows[v] + j]
        y = p[1] >> 1
        if y:
            v += y
            if x[0] < 0:
                y = v + 1
                if j < y:
                    index += pvq_u[rows[j] + y]
                else:
                    index += pvq_u[rows[y] + j]
        j += 1
    w[_INDEX] = index
    index = 0
    j = k
    while j < k + 2:
        if n < j:
            index += pvq_u[rows[n] + j]
        else:
            index += pvq_u[rows[j] + n]
        j += 1
    w[_N_VECTORS] = index
