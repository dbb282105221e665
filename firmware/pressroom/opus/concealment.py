"""Sound in place of a lost packet: the last pitch period goes on and fades within 100 ms. No I/O.

The RFC leaves this to the decoder (section 4.4). The extension is 40 samples longer than a frame, and folded as a
transform would have it, so that the next packet's window finds what it expects: no click where they meet.
"""

import micropython
from micropython import const

_LAG = const(24)  # of the pitch, in samples
_N_LOST = const(29)  # frames since the last good one
_SCALED = const(640)  # the spectrum's place, which nobody needs now
_OVERLAPPED = const(1280)
_HISTORY = const(1784)
_FILTER = const(2454)

_MIN_LAG = const(32)  # 500 Hz
_MAX_LAG = const(320)  # 50 Hz
_N_HISTORY = const(670)
_FADED_FRAMES = const(5)


@micropython.viper
def find_lag(w: ptr32):
    """Leave the lag at which the last 15 ms repeat best: coarsely at 4 kHz, then to the sample."""
    p = ptr32(int(w) + 4 * _HISTORY)
    most = 1
    i = _N_HISTORY
    while i:
        v = p[0]
        if v < 0:
            v = 0 - v
        most |= v
        p = ptr32(int(p) + 4)
        i -= 1
    right = 0
    while most >> right >= 1024:
        right += 1
    # 167 sums of four at 4 kHz, 12 bits and a sign.
    p = ptr32(int(w) + 4 * (_HISTORY + 2))
    q = ptr32(int(w) + 4 * _SCALED)
    i = 167
    while i:
        q[0] = (p[0] + p[1] + p[2] + p[3]) >> right
        p = ptr32(int(p) + 16)
        q = ptr32(int(q) + 4)
        i -= 1
    stage = 0
    n = 60
    end = ptr32(int(w) + 4 * (_SCALED + 167))
    lag = _MIN_LAG >> 2
    last = _MAX_LAG >> 2
    best = last
    while stage < 2:
        best_score = -1
        while lag <= last:
            p = ptr32(int(end) - 4 * n)
            q = ptr32(int(p) - 4 * lag)
            xy = 0
            yy = 0
            while int(p) < int(end):
                v = q[0]
                xy += (p[0] * v) >> 4
                yy += (v * v) >> 4
                p = ptr32(int(p) + 4)
                q = ptr32(int(q) + 4)
            if xy > 0:
                xy >>= 11
                v = (xy * xy) // ((yy >> 11) + 1)
                if v > best_score:
                    best_score = v
                    best = lag
            lag += 1
        stage += 1
        if stage == 1:
            # Once more around it, at 16 kHz, over 15 ms.
            p = ptr32(int(w) + 4 * _HISTORY)
            q = ptr32(int(w) + 4 * _SCALED)
            i = _N_HISTORY
            while i > 0:
                q[0] = p[0] >> right
                p = ptr32(int(p) + 4)
                q = ptr32(int(q) + 4)
                i -= 1
            end = q
            n = 240
            lag = 4 * best - 3
            last = lag + 6
            if lag < _MIN_LAG:
                lag = _MIN_LAG
            if last > _MAX_LAG:
                last = _MAX_LAG
    w[_LAG] = best


@micropython.viper
def extend(w: ptr32, window: ptr32):
    """Fill _OVERLAPPED from the past, as `overlap` of imdct.py would have; the comb filter is off from here."""
    end = ptr32(int(w) + 4 * (_HISTORY + _N_HISTORY))
    q = ptr32(int(end) - (w[_LAG] << 2))
    # The period need not begin where the past ended: the difference is given back within 2 ms.
    p = ptr32(int(q) - 4)
    jump = p[0]
    p = ptr32(int(end) - 4)
    jump = p[0] - jump
    lost = w[_N_LOST]
    slope = 10 + 22 * lost
    gain = 32767
    if lost >= _FADED_FRAMES:
        gain = 0
    p = ptr32(int(w) + 4 * _OVERLAPPED)
    i = 0
    while i < 360:
        if int(q) == int(end):
            q = ptr32(int(w) + 4 * _OVERLAPPED)
        v = q[0]
        if i < 32:
            v += (jump * (32 - i)) >> 5
        p[0] = v
        p = ptr32(int(p) + 4)
        q = ptr32(int(q) + 4)
        i += 1
    p = ptr32(int(w) + 4 * _OVERLAPPED)
    while i:
        p[0] = ((p[0] >> 4) * gain) >> 11
        gain -= slope
        if gain < 0:
            gain = 0
        p = ptr32(int(p) + 4)
        i -= 1
    # The half that the next block folds in, with its window: what cancels its aliasing.
    p = ptr32(int(w) + 4 * (_OVERLAPPED + 320))
    q = ptr32(int(w) + 4 * (_OVERLAPPED + 359))
    while i < 20:
        p[0] = ((window[i] >> 2) * q[0] + (window[39 - i] >> 2) * p[0]) >> 13
        p = ptr32(int(p) + 4)
        q = ptr32(int(q) - 4)
        i += 1
    p = ptr32(int(w) + 4 * _FILTER)
    p[1] = 0
    p[4] = 0
    w[_N_LOST] = lost + 1
