"""From 20 ms of samples to the MDCT of CELT at 16 kHz (RFC 6716 section 4.3.7, the other way round). No I/O.

A decoder at 48 kHz has 960 bins and a window of 120 samples. Here are the low 320 of them, computed at 16 kHz with a
window of 40, which is every third value of that one: the same bins at a third of the rate.
Formats: _TIME is Q2; the spectrum has the frame's block exponent _SHIFT.
"""

import micropython
from micropython import const

_SHIFT = const(12)  # how far left the frame was shifted to have 13 bits
_IS_SILENT = const(15)
_PRE_X = const(16)
_PRE_Y = const(17)
_Z = const(320)
_SPECTRUM = const(640)
_SCALED = const(640)  # 360 words: the spectrum's place, before it is there
_TIME = const(1008)  # the last 40 samples of the frame before, then 320


@micropython.viper
def preemphasise(w: ptr32, pcm: ptr16):
    """Fill _TIME: samples at 16 kHz through the filter 1 - 0.85/z that RFC 6716 has at 48 kHz, fitted within 0.36 dB.

    y[n] = 1.7670 x[n] - 1.0011 x[n-1] - 0.2241 y[n-1] in Q2 for x in Q0; and _SCALED, which has 13 bits. _IS_SILENT
    says that all of _TIME is zero.
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
    w[_IS_SILENT] = 0
    if most == 0:
        w[_IS_SILENT] = 1
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
def fold(w: ptr32, trig: ptr32, window: ptr32, places: ptr8):
    """Window _SCALED, fold it to half, and turn it into the complex values whose FFT is the MDCT. places: FFT_IN."""
    # p runs up from the first quarter, q down from the last.
    p = ptr32(int(w) + 4 * (_SCALED + 20))
    q = ptr32(int(w) + 4 * (_SCALED + 339))
    z = ptr32(int(w) + 4 * _Z)
    rising = ptr32(int(window) + 80)
    falling = ptr32(int(window) + 76)
    i = 0
    while i < 160:
        if i < 10:  # the window rises: what lies before is folded in
            r = ptr32(int(p) + 1280)
            re = (falling[0] * r[0] + rising[0] * q[0]) >> 15
            r = ptr32(int(q) - 1280)
            im = (rising[0] * p[0] - falling[0] * r[0]) >> 15
            rising = ptr32(int(rising) + 8)
            falling = ptr32(int(falling) - 8)
        elif i < 150:
            re = q[0]
            im = p[0]
            rising = window
            falling = ptr32(int(window) + 156)
        else:  # the window falls
            r = ptr32(int(p) - 1280)
            re = (falling[0] * q[0] - rising[0] * r[0]) >> 15
            r = ptr32(int(q) + 1280)
            im = (falling[0] * p[0] + rising[0] * r[0]) >> 15
            rising = ptr32(int(rising) + 8)
            falling = ptr32(int(falling) - 8)
        p = ptr32(int(p) + 8)
        q = ptr32(int(q) - 8)
        c = trig[0]
        s = trig[1]
        trig = ptr32(int(trig) + 8)
        r = ptr32(int(z) + (places[i] << 3))
        r[0] = (re * c - im * s) >> 14
        r[1] = (im * c + re * s) >> 14
        i += 1


@micropython.viper
def unfold(w: ptr32, trig: ptr32, places: ptr8):
    """Turn the FFT's values into _SPECTRUM, 320 bins. places: FFT_OUT."""
    z = ptr32(int(w) + 4 * _Z)
    up = ptr32(int(w) + 4 * _SPECTRUM)
    down = ptr32(int(w) + 4 * (_SPECTRUM + 319))
    i = 0
    while i < 160:
        value = ptr32(int(z) + (places[i] << 3))
        re = value[0]
        im = value[1]
        c = trig[0]
        s = trig[1]
        trig = ptr32(int(trig) + 8)
        up[0] = (im * s - re * c) >> 14
        down[0] = (re * s + im * c) >> 14
        up = ptr32(int(up) + 8)
        down = ptr32(int(down) - 8)
        i += 1
