"""The FFT of both directions: 160 = 5 * 32 complex values, or 8 of 20 = 5 * 4 side by side. No I/O.

Good's prime factor split: rows of 32 (radix 4, 4, 2), then columns of 5, with no twiddles between; the maps FFT_IN and
FFT_OUT of tables.py put values where their row wants them. A row of 32 also holds 8 transforms of 4, which is how short
blocks share this code: only the first stage and the last are theirs.
"""

import micropython
from micropython import const

_Z = const(320)  # 5 rows of 32 complex values, (re, im) words


@micropython.viper
def fft(w: ptr32, twiddles: ptr32, is_short: int):
    """Transform _Z in place, scaled by 1/32, or 1/4 for short blocks. Values below 2**15 cannot overflow."""
    z = ptr32(int(w) + 4 * _Z)
    # Radix 4, no twiddles.
    n = 40
    while n:
        a = z[0]
        b = z[2]
        c = z[4]
        d = z[6]
        s = a + c
        a -= c
        c = b + d
        b -= d
        z[0] = s + c
        z[4] = s - c
        s = z[1]
        d = z[5]
        c = s + d
        s -= d
        d = z[3]
        e = z[7]
        f = d + e
        d -= e
        z[1] = c + f
        z[5] = c - f
        z[2] = a + d
        z[3] = s - b
        z[6] = a - d
        z[7] = s + b
        z = ptr32(int(z) + 32)
        n -= 1
    # Radix 4 within 16, twiddles W16**(jk).
    k = 0
    if is_short:
        k = 4
    while k < 4:
        z = ptr32(int(w) + 4 * _Z + (k << 3))
        c1 = twiddles[0]
        s1 = twiddles[1]
        c2 = twiddles[2]
        s2 = twiddles[3]
        c3 = twiddles[4]
        s3 = twiddles[5]
        n = 10
        while n:
            if k:
                a = z[8]
                b = z[9]
                br = (a * c1 - b * s1) >> 14
                bi = (a * s1 + b * c1) >> 14
                a = z[16]
                b = z[17]
                cr = (a * c2 - b * s2) >> 14
                ci = (a * s2 + b * c2) >> 14
                a = z[24]
                b = z[25]
                dr = (a * c3 - b * s3) >> 14
                di = (a * s3 + b * c3) >> 14
            else:
                br = z[8]
                bi = z[9]
                cr = z[16]
                ci = z[17]
                dr = z[24]
                di = z[25]
            a = z[0]
            b = a + cr
            a -= cr
            e = br + dr
            br -= dr
            z[0] = (b + e) >> 2
            z[16] = (b - e) >> 2
            b = z[1]
            e = b + ci
            b -= ci
            cr = bi + di
            bi -= di
            z[1] = (e + cr) >> 2
            z[17] = (e - cr) >> 2
            z[8] = (a + bi) >> 2
            z[9] = (b - br) >> 2
            z[24] = (a - bi) >> 2
            z[25] = (b + br) >> 2
            z = ptr32(int(z) + 128)
            n -= 1
        twiddles = ptr32(int(twiddles) + 24)
        k += 1
    # Radix 2 within 32, twiddles W32**k.
    k = 0
    if is_short:
        k = 16
    while k < 16:
        z = ptr32(int(w) + 4 * _Z + (k << 3))
        c1 = twiddles[0]
        s1 = twiddles[1]
        n = 5
        while n:
            a = z[32]
            b = z[33]
            br = (a * c1 - b * s1) >> 14
            bi = (a * s1 + b * c1) >> 14
            a = z[0]
            b = z[1]
            z[0] = (a + br) >> 1
            z[1] = (b + bi) >> 1
            z[32] = (a - br) >> 1
            z[33] = (b - bi) >> 1
            z = ptr32(int(z) + 256)
            n -= 1
        twiddles = ptr32(int(twiddles) + 8)
        k += 1
    # Radix 5 across the rows; constants are cos and sin of 72 and 144 degrees in Q13.
    z = ptr32(int(w) + 4 * _Z)
    n = 32
    while n:
        p1 = ptr32(int(z) + 256)
        p2 = ptr32(int(z) + 512)
        p3 = ptr32(int(z) + 768)
        p4 = ptr32(int(z) + 1024)
        a = p1[0]
        b = p4[0]
        ar = a + b
        br = a - b
        a = p1[1]
        b = p4[1]
        ai = a + b
        bi = a - b
        a = p2[0]
        b = p3[0]
        cr = a + b
        dr = a - b
        a = p2[1]
        b = p3[1]
        ci = a + b
        di = a - b
        a = z[0]
        b = z[1]
        z[0] = (a + ar + cr) >> 2
        z[1] = (b + ai + ci) >> 2
        e = a + ((ar * 2531 - cr * 6627) >> 13)
        f = b + ((ai * 2531 - ci * 6627) >> 13)
        g = (bi * 7791 + di * 4815) >> 13
        h = (br * 7791 + dr * 4815) >> 13
        p1[0] = (e + g) >> 2
        p1[1] = (f - h) >> 2
        p4[0] = (e - g) >> 2
        p4[1] = (f + h) >> 2
        e = a + ((cr * 2531 - ar * 6627) >> 13)
        f = b + ((ci * 2531 - ai * 6627) >> 13)
        g = (bi * 4815 - di * 7791) >> 13
        h = (br * 4815 - dr * 7791) >> 13
        p2[0] = (e + g) >> 2
        p2[1] = (f - h) >> 2
        p3[0] = (e - g) >> 2
        p3[1] = (f + h) >> 2
        z = ptr32(int(z) + 8)
        n -= 1
