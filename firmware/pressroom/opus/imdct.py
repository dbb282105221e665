"""From the shapes and energies of the bands to samples (RFC 6716 sections 4.3.6 and 4.3.7). No I/O.

At 16 kHz: the low 320 bins of CELT's 960, with every third value of its window (mdct.py has why that is the same).
"""

import micropython
from micropython import const

_EXPONENT = const(12)
_END_BAND = const(31)
_OLD_ENERGY = const(32)
_Z = const(320)
_SPECTRUM = const(640)
_OVERLAPPED = const(1280)  # 20 words from the frame before, 320 of this one, 20 for the next

_HEARD_BANDS = const(17)


@micropython.viper
def scale(w: ptr32, edges: ptr8, means: ptr8, exp2: ptr32):
    """Give each band of _SPECTRUM its amplitude; all share the block exponent of the loudest (section 4.3.6)."""
    end = w[_END_BAND]
    if end > _HEARD_BANDS:
        end = _HEARD_BANDS
    most = -40
    i = 0
    while i < end:
        v = (w[_OLD_ENERGY + i] + (means[i] << 6)) >> 10
        if v > most:
            most = v
        i += 1
    w[_EXPONENT] = most
    i = 0
    while i < _HEARD_BANDS:
        p = ptr32(int(w) + 4 * _SPECTRUM + (edges[i] << 5))
        last = ptr32(int(w) + 4 * _SPECTRUM + (edges[i + 1] << 5))
        if i < end:
            v = w[_OLD_ENERGY + i] + (means[i] << 6)
            f = v & 1023
            g = exp2[f >> 4]
            g += ((exp2[(f >> 4) + 1] - g) * (f & 15)) >> 4
            right = 16 + most - (v >> 10)
            if right > 31:
                right = 31
            while int(p) < int(last):
                p[0] = (p[0] * g) >> right
                p = ptr32(int(p) + 4)
        else:
            while int(p) < int(last):
                p[0] = 0
                p = ptr32(int(p) + 4)
        i += 1


@micropython.viper
def unmix(w: ptr32, trig: ptr32, places: ptr8, is_short: int):
    """Turn _SPECTRUM into the complex values whose FFT is the inverse MDCT. places: FFT_IN, or FFT_IN_SHORT."""
    n_quarter = 160
    n_blocks = 1
    if is_short:
        n_quarter = 20
        n_blocks = 8
    stride = n_blocks << 3
    block = 0
    while block < n_blocks:
        up = ptr32(int(w) + 4 * _SPECTRUM + (block << 2))
        down = ptr32(int(w) + 4 * (_SPECTRUM + 320) + ((block - n_blocks) << 2))
        z = ptr32(int(w) + 4 * _Z + (block << 5))
        t = trig
        i = 0
        while i < n_quarter:
            c = t[0]
            s = t[1]
            a = up[0]
            b = down[0]
            p = ptr32(int(z) + (places[i] << 3))
            p[1] = (b * c + a * s) >> 14
            p[0] = (a * c - b * s) >> 14
            up = ptr32(int(up) + stride)
            down = ptr32(int(down) - stride)
            t = ptr32(int(t) + 8)
            i += 1
        block += 1


@micropython.viper
def overlap(w: ptr32, trig: ptr32, window: ptr32, places: ptr8, is_short: int):
    """Turn the FFT's values into samples and add the block before: _OVERLAPPED then begins with 320 of them, Q1."""
    up = ptr32(int(w) + 4 * _OVERLAPPED)
    down = ptr32(int(w) + 4 * (_OVERLAPPED + 320))
    i = 20
    while i:
        up[0] = down[0]
        up = ptr32(int(up) + 4)
        down = ptr32(int(down) + 4)
        i -= 1
    n_quarter = 160
    n_blocks = 1
    right = 6
    if is_short:
        n_quarter = 20
        n_blocks = 8
        right = 9
    right -= w[_EXPONENT]
    left = 0
    if right < 0:
        left = 0 - right
        right = 0
    if right > 31:
        right = 31
    half = n_quarter << 1
    block = 0
    while block < n_blocks:
        z = ptr32(int(w) + 4 * _Z + (block << 5))
        up = ptr32(int(w) + 4 * (_OVERLAPPED + 20) + block * 160)
        down = ptr32(int(up) + ((half - 2) << 2))
        t = trig
        u = ptr32(int(trig) + ((n_quarter - 1) << 3))
        i = 0
        while i < n_quarter >> 1:
            p = ptr32(int(z) + (places[i] << 3))
            re = p[1]
            im = p[0]
            c = t[0]
            s = t[1]
            a = (re * c + im * s) >> 14
            b = (re * s - im * c) >> 14
            p = ptr32(int(z) + (places[n_quarter - 1 - i] << 3))
            re = p[1]
            im = p[0]
            c = u[0]
            s = u[1]
            up[0] = (a << left) >> right
            down[1] = (b << left) >> right
            a = (re * c + im * s) >> 14
            b = (re * s - im * c) >> 14
            down[0] = (a << left) >> right
            up[1] = (b << left) >> right
            up = ptr32(int(up) + 8)
            down = ptr32(int(down) - 8)
            t = ptr32(int(t) + 8)
            u = ptr32(int(u) - 8)
            i += 1
        # What two blocks share was aliased in both, with opposite signs (section 4.3.7).
        up = ptr32(int(w) + 4 * _OVERLAPPED + block * 160)
        down = ptr32(int(up) + 156)
        t = window
        u = ptr32(int(window) + 156)
        i = 0
        while i < 20:
            a = down[0]
            b = up[0]
            c = t[0] >> 2
            s = u[0] >> 2
            up[0] = (b * s - a * c) >> 13
            down[0] = (b * c + a * s) >> 13
            up = ptr32(int(up) + 4)
            down = ptr32(int(down) - 4)
            t = ptr32(int(t) + 4)
            u = ptr32(int(u) - 4)
            i += 1
        block += 1
