"""From 20 ms of samples to the MDCT of CELT at 16 kHz (RFC 6716 section 4.3.7, the other way round). No I/O.

A decoder at 48 kHz has 960 bins and a window of 120 samples. Here are the low 320 of them, computed at 16 kHz with a
window of 40, which is every third value of that one: the same bins at a third of the rate.
Formats: _TIME is Q2; the spectrum has the frame's block exponent _SHIFT.
"""

import micropython
from micropython import const

_SHIFT = const(12)  # how far left the frame was shifted to have 13 bits
_PRE_X = const(16)
_PRE_Y = const(17)
_Z = const(320)
_SPECTRUM = const(640)
_SCALED = const(640)  # 360 words: the spectrum's place, before it is there
_TIME = const(1008)  # the last 40 samples of the frame before, then 320


@micropython.viper
def preemphasise(w: ptr32, pcm: ptr16):
    """Fill _TIME: samples at 16 kHz through the filter 1 - 0.85/z that RFC 6716 has at 48 kHz, fitted within 0.36 dB.

    y[n] = 1.7670 x[n] - 1.0011 x[n-1] - 0.2241 y[n-1] in Q2 for x in Q0; and _SCALED, which has 13 bits.
    """
    old = ptr32(int(w) + 4 * _TIME)
    new = ptr32(int(w) + 4 * (_TIME + 320))
    most = 0
    n = 40
    while n:
        v = new[0]
        old[0] = v
        if v < 0:
            v = 0 - v
        most |= v
        old = ptr32(int(old) + 4)
        new = ptr32(int(new) + 4)
        n -= 1
    x = w[_PRE_X]
    y = w[_PRE_Y]
    n = 320
    while n:
        v = (pcm[0] ^ 32768) - 32768
        y = (v * 14475 - x * 8201 - y * 1836) >> 13
        x = v
        old[0] = y
        v = y
        if v < 0:
            v = 0 - v
        most |= v
        pcm = ptr16(int(pcm) + 2)
        old = ptr32(int(old) + 4)
        n -= 1
    w[_PRE_X] = x
    w[_PRE_Y] = y
    # The whole frame to 13 bits and a sign: the FFT's sums then stay below 2**31.
    left = 0
    right = 0
    most |= 1
    while most >= 8192:
        most >>= 1
        right += 1
    while most < 4096:
        most <<= 1
        left += 1
    w[_SHIFT] = left - right
    old = ptr32(int(w) + 4 * _TIME)
    new = ptr32(int(w) + 4 * _SCALED)
    n = 360
    if left:
        while n:
            new[0] = old[0] << left
            old = ptr32(int(old) + 4)
            new = ptr32(int(new) + 4)
            n -= 1
    else:
        while n:
            new[0] = old[0] >> right
            old = ptr32(int(old) + 4)
            new = ptr32(int(new) + 4)
            n -= 1


@micropython.viper
def fold(w: ptr32, trig: ptr32, window: ptr32, places: ptr8, is_short: int):
    """Window _SCALED, fold it to half, and turn it into the complex values whose FFT is the MDCT.

    One block of 640 samples, or 8 of 80 whose windows meet in the middle. places: FFT_IN, or FFT_IN_SHORT.
    """
    half = 320
    n_quarter = 160
    n_blocks = 1
    if is_short:
        half = 40
        n_quarter = 20
        n_blocks = 8
    block = 0
    while block < n_blocks:
        # p1 runs up from the first quarter, p2 down from the last.
        p1 = ptr32(int(w) + 4 * (_SCALED + 20) + block * 160)
        p2 = ptr32(int(w) + 4 * (_SCALED + 19) + block * 160 + (half << 2))
        z = ptr32(int(w) + 4 * _Z + (block << 5))
        t = trig
        w1 = ptr32(int(window) + 80)
        w2 = ptr32(int(window) + 76)
        i = 0
        while i < n_quarter:
            if i < 10:  # the window rises: what lies before is folded in
                re = (w2[0] * p1[half] + w1[0] * p2[0]) >> 15
                p3 = ptr32(int(p2) - (half << 2))
                im = (w1[0] * p1[0] - w2[0] * p3[0]) >> 15
                w1 = ptr32(int(w1) + 8)
                w2 = ptr32(int(w2) - 8)
            elif i < n_quarter - 10:
                re = p2[0]
                im = p1[0]
            else:  # the window falls
                if i == n_quarter - 10:
                    w1 = window
                    w2 = ptr32(int(window) + 156)
                p3 = ptr32(int(p1) - (half << 2))
                re = (w2[0] * p2[0] - w1[0] * p3[0]) >> 15
                im = (w2[0] * p1[0] + w1[0] * p2[half]) >> 15
                w1 = ptr32(int(w1) + 8)
                w2 = ptr32(int(w2) - 8)
            p1 = ptr32(int(p1) + 8)
            p2 = ptr32(int(p2) - 8)
            c = t[0]
            s = t[1]
            t = ptr32(int(t) + 8)
            p3 = ptr32(int(z) + (places[i] << 3))
            p3[0] = (re * c - im * s) >> 14
            p3[1] = (im * c + re * s) >> 14
            i += 1
        block += 1


@micropython.viper
def unfold(w: ptr32, trig: ptr32, places: ptr8, is_short: int):
    """Turn the FFT's values into _SPECTRUM: 320 bins, or 40 times the same bin of 8 blocks."""
    n_quarter = 160
    n_blocks = 1
    if is_short:
        n_quarter = 20
        n_blocks = 8
    stride = n_blocks << 3  # bytes from a bin to the next but one
    block = 0
    while block < n_blocks:
        z = ptr32(int(w) + 4 * _Z + (block << 5))
        up = ptr32(int(w) + 4 * _SPECTRUM + (block << 2))
        down = ptr32(int(w) + 4 * (_SPECTRUM + 320) + ((block - n_blocks) << 2))
        t = trig
        i = 0
        while i < n_quarter:
            value = ptr32(int(z) + (places[i] << 3))
            re = value[0]
            im = value[1]
            c = t[0]
            s = t[1]
            t = ptr32(int(t) + 8)
            up[0] = (im * s - re * c) >> 14
            down[0] = (re * s + im * c) >> 14
            up = ptr32(int(up) + stride)
            down = ptr32(int(down) - stride)
            i += 1
        block += 1
