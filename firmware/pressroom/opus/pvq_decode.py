"""From the number of a vector of pulses to a piece of a band (RFC 6716 sections 4.3.4.2 and 4.3.4.3). No I/O."""

import micropython
from micropython import const

_N_BLOCKS = const(18)
_GAIN = const(19)
_SPREAD = const(22)
_LEAF_AT = const(25)
_LEAF_N = const(26)
_LEAF_K = const(27)
_INDEX = const(28)


@micropython.viper
def unpulse(p: ptr32, v: int, w: ptr32, pvq_u: ptr32, rows: ptr32, cosines: ptr32, square_root) -> int:
    """Fill the piece with vector _INDEX of norm _GAIN, Q14; return a bit for each short block that has pulses.

    p: the workspace too. The first two arguments are what the Xtensa compiler keeps in registers.
    """
    n = w[_LEAF_N]
    k = w[_LEAF_K]
    start = ptr32(int(w) + (w[_LEAF_AT] << 2))
    # U(m, k) is symmetric and the table has the half k >= m. Numbers are compared without sign.
    index = uint(w[_INDEX])
    m = n
    yy = 0
    p = start
    while m > 1:
        a = k + 1
        if m < a:
            u = uint(pvq_u[rows[m] + a])
        else:
            u = uint(pvq_u[rows[a] + m])
        is_negative = 0
        if index >= u:
            index -= u
            is_negative = 1
        a = k
        if m < k:
            u = uint(pvq_u[rows[m] + k])
        else:
            u = uint(pvq_u[rows[k] + m])
        while u > index:
            k -= 1
            if m < k:
                u = uint(pvq_u[rows[m] + k])
            else:
                u = uint(pvq_u[rows[k] + m])
        index -= u
        v = a - k
        if v:
            yy += v * v
            if is_negative:
                v = 0 - v
        p[0] = v
        p = ptr32(int(p) + 4)
        m -= 1
    yy += k * k
    if int(index):
        k = 0 - k
    p[0] = k
    n_blocks = w[_N_BLOCKS]
    per_block = n // n_blocks
    collapse = 1
    if n_blocks > 1:
        collapse = 0
        p = start
        m = 0
        while m < n_blocks:
            v = 0
            a = per_block
            while a:
                v |= p[0]
                p = ptr32(int(p) + 4)
                a -= 1
            if v:
                collapse |= 1 << m
            m += 1
    # Pulses to Q14: times gain / sqrt(yy).
    v = (w[_GAIN] << 14) // int(square_root(yy << 14))
    p = start
    m = n
    while m:
        p[0] = (p[0] * v) >> 8
        p = ptr32(int(p) + 4)
        m -= 1
    if w[_SPREAD] == 0 or 2 * w[_LEAF_K] >= n:
        return collapse
    # The rotation of pvq_encode.rotate, the other way.
    factor = 10
    if w[_SPREAD] == 1:
        factor = 15
    elif w[_SPREAD] == 3:
        factor = 5
    v = (n << 15) // (n + factor * w[_LEAF_K])
    v = (v * v) >> 16
    a = v >> 9
    c = cosines[a] + (((cosines[a + 1] - cosines[a]) * (v & 511)) >> 9)
    v = 32767 - v
    a = v >> 9
    s = cosines[a] + (((cosines[a + 1] - cosines[a]) * (v & 511)) >> 9)
    far = 0
    if n >= 8 * n_blocks:
        far = 1
        while (far * far + far) * n_blocks + (n_blocks >> 2) < n:
            far += 1
    while n_blocks:
        if far:
            p = start
            m = per_block - far
            while m > 0:
                a = p[0]
                v = p[far]
                p[far] = (s * v + c * a) >> 15
                p[0] = (s * a - c * v) >> 15
                p = ptr32(int(p) + 4)
                m -= 1
            m = per_block - 2 * far
            p = ptr32(int(start) + 4 * (m - 1))
            while m > 0:
                a = p[0]
                v = p[far]
                p[far] = (s * v + c * a) >> 15
                p[0] = (s * a - c * v) >> 15
                p = ptr32(int(p) - 4)
                m -= 1
        p = start
        m = per_block - 1
        while m > 0:
            a = p[0]
            v = p[1]
            p[1] = (c * v + s * a) >> 15
            p[0] = (c * a - s * v) >> 15
            p = ptr32(int(p) + 4)
            m -= 1
        p = ptr32(int(start) + 4 * (per_block - 3))
        m = per_block - 2
        while m > 0:
            a = p[0]
            v = p[1]
            p[1] = (c * v + s * a) >> 15
            p[0] = (c * a - s * v) >> 15
            p = ptr32(int(p) - 4)
            m -= 1
        start = ptr32(int(start) + (per_block << 2))
        n_blocks -= 1
    return collapse
