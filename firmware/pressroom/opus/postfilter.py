"""The end of the decoder: the comb filter for voices, the de-emphasis, 16-bit samples (RFC 6716 section 4.3.7). No I/O.

The filter's lags are thirds of a sample here, so its 3 taps at 48 kHz are 7 at 16 kHz (POSTFILTER_TAPS).
"""

import micropython
from micropython import const

_DE_X = const(16)
_DE_Y = const(17)
_OVERLAPPED = const(1280)
_HISTORY = const(1784)  # 350 filtered samples, then 320
_FILTER = const(2454)  # lag, gain, tapset of the last frame; of this; 7 taps and the lag of each

_PAST_SAMPLES = const(350)


@micropython.viper
def set_taps(w: ptr32, source: int, place: int, taps: ptr32):
    """Scale the taps that word `source` of _FILTER asks for by their gain, Q12; they and the lag go to `place`."""
    filter = ptr32(int(w) + 4 * _FILTER)
    lag = filter[source]
    if lag < 15:
        lag = 15
    whole = (lag + 1) // 3
    taps = ptr32(int(taps) + 28 * (3 * filter[source + 2] + lag - 3 * whole + 1))
    gain = filter[source + 1] * 3
    i = 0
    while i < 7:
        filter[place + i] = (taps[i] * gain) >> 5
        i += 1
    filter[place + 7] = whole


@micropython.viper
def postfilter(W, set_taps, taps, window: ptr32):
    """Filter _OVERLAPPED into _HISTORY; over the first 80 samples the last frame's filter gives way to this one's."""
    w = ptr32(W)
    p = ptr32(int(w) + 4 * _HISTORY)
    q = ptr32(int(w) + 4 * (_HISTORY + 320))
    i = _PAST_SAMPLES
    while i:
        p[0] = q[0]
        p = ptr32(int(p) + 4)
        q = ptr32(int(q) + 4)
        i -= 1
    q = ptr32(int(w) + 4 * _OVERLAPPED)
    i = 320
    while i:
        p[0] = q[0]
        p = ptr32(int(p) + 4)
        q = ptr32(int(q) + 4)
        i -= 1
    filter = ptr32(int(w) + 4 * _FILTER)
    if filter[1] or filter[4]:
        set_taps(W, 0, 6, taps)
        set_taps(W, 3, 14, taps)
        old = ptr32(int(filter) + 24)
        new = ptr32(int(filter) + 56)
        p = ptr32(int(w) + 4 * (_HISTORY + _PAST_SAMPLES))
        q = ptr32(int(p) - ((old[7] + 3) << 2))
        r = ptr32(int(p) - ((new[7] + 3) << 2))
        if filter[1] == 0:
            p = ptr32(int(p) + 160)
            q = ptr32(int(q) + 160)
            r = ptr32(int(r) + 160)
            i = 40
        while i < 80:
            v = old[6] * q[0] + old[5] * q[1] + old[4] * q[2] + old[3] * q[3]
            v = (v + old[2] * q[4] + old[1] * q[5] + old[0] * q[6]) >> 12
            if i >= 40:
                f = window[i - 40]
                f = (f * f) >> 17
                u = new[6] * r[0] + new[5] * r[1] + new[4] * r[2] + new[3] * r[3]
                u = (u + new[2] * r[4] + new[1] * r[5] + new[0] * r[6]) >> 12
                v = (v * (8192 - f) + u * f) >> 13
            p[0] = p[0] + v
            p = ptr32(int(p) + 4)
            q = ptr32(int(q) + 4)
            r = ptr32(int(r) + 4)
            i += 1
        if filter[4]:
            while i < 320:
                v = new[6] * r[0] + new[5] * r[1] + new[4] * r[2] + new[3] * r[3]
                p[0] = p[0] + ((v + new[2] * r[4] + new[1] * r[5] + new[0] * r[6]) >> 12)
                p = ptr32(int(p) + 4)
                r = ptr32(int(r) + 4)
                i += 1
    filter[0] = filter[3]
    filter[1] = filter[4]
    filter[2] = filter[5]


@micropython.viper
def deemphasise(w: ptr32, pcm: ptr16):
    """Write 320 samples: the inverse of mdct.preemphasise, and saturation.

    y[n] = 2.2639 x[n] + 0.5073 x[n-1] + 0.5666 y[n-1]; x and y are Q1.
    """
    p = ptr32(int(w) + 4 * (_HISTORY + _PAST_SAMPLES))
    x = w[_DE_X]
    y = w[_DE_Y]
    n = 320
    while n:
        v = p[0]
        y = (v * 9273 + x * 2078 + y * 2321) >> 12
        x = v
        v = (y + 1) >> 1
        if v > 32767:
            v = 32767
        if v < -32768:
            v = -32768
        pcm[0] = v
        pcm = ptr16(int(pcm) + 2)
        p = ptr32(int(p) + 4)
        n -= 1
    w[_DE_X] = x
    w[_DE_Y] = y
