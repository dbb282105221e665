"""What the encoder decides by listening: the tilt of the allocation, and what stands out (RFC 6716 5.3.4). No I/O.

The RFC leaves these decisions to the encoder. They follow libopus' reasoning, in Q10 of log2.
"""

import micropython
from micropython import const

_STORAGE = const(9)
_TRIM = const(23)
_BOOST = const(56)
_FOLLOWER = const(176)  # words of the bit allocation, before it needs them
_ENERGY = const(960)

_N_BANDS = const(17)
_MIN_BOOSTED_BYTES = const(45)  # 18 kbit/s: below that no band can be given more
_MAX_FOLLOWED = const(4096)  # 24 dB


@micropython.viper
def tilt(w: ptr32):
    """Set _TRIM: more for the low bands where the spectrum falls, more for the high ones where it rises."""
    energy = ptr32(int(w) + 4 * _ENERGY)
    v = 0
    i = 0
    while i < _N_BANDS - 1:
        v += energy[i] * (2 + 2 * i - _N_BANDS)
        i += 1
    # 7 less the mean slope and one over six, at most 2 either way. libopus begins at 4; for voices at 16 kHz PESQ is
    # higher with more for the low bands, at every bitrate from 24 to 48 kbit/s.
    v = (v // (_N_BANDS - 1) + 1024) // 6
    if v > 2048:
        v = 2048
    if v < -2048:
        v = -2048
    w[_TRIM] = (7 * 1024 + 512 - v) >> 10


@micropython.viper
def emphasise(w: ptr32, edges: ptr8, log_n: ptr8, means: ptr8):
    """Set _BOOST, in quanta: what rises above its neighbourhood, as tones and formants do, is worth more bits."""
    i = 0
    while i < _N_BANDS:
        w[_BOOST + i] = 0
        i += 1
    if w[_STORAGE] < _MIN_BOOSTED_BYTES:
        return
    energy = ptr32(int(w) + 4 * _ENERGY)
    f = ptr32(int(w) + 4 * _FOLLOWER)
    # A floor that climbs by at most 9 dB a band from below, and 12 dB from above the last rise.
    v = energy[0]
    f[0] = v
    last = 0
    i = 1
    while i < _N_BANDS:
        v += 1536
        if energy[i] < v:
            v = energy[i]
        f[i] = v
        if energy[i] > energy[i - 1] + 512:
            last = i
        i += 1
    i = last
    while i > 0:
        i -= 1
        v = f[i + 1] + 2048
        if f[i] > v:
            f[i] = v
    # It is not lower than 6 dB below the median of five bands, nor than what nobody hears.
    i = 0
    while i < _N_BANDS:
        j = i - 2
        if j < 0:
            j = 0
        if j > _N_BANDS - 5:
            j = _N_BANDS - 5
        p = ptr32(int(energy) + (j << 2))
        j = p[0]
        k = p[1]
        if j > k:
            k = j
            j = p[1]
        m = p[3]
        n = p[4]
        if m > n:
            n = m
            m = p[4]
        if j > m:  # the least of these four is left out
            m = j
            j = k
            k = n
            n = j
        # Of k and the middle one, and of m <= n, the second.
        j = p[2]
        if k > j:
            j = k
            k = p[2]
        v = m
        if k < m:
            if j < m:
                v = j
        else:
            v = k
            if n < k:
                v = n
        v -= 1024
        if f[i] < v:
            f[i] = v
        v = (log_n[i] << 6) + 512 - 7168 - (means[i] << 6) + ((i + 5) * (i + 5) * 6349 >> 10)
        if f[i] < v:
            f[i] = v
        i += 1
    # All of it for the low bands, half for those from 1.6 kHz on, a quarter from 3.2 kHz on.
    spent = 0
    most = (w[_STORAGE] << 7) // 3  # two thirds of all bits, 1/8 bits
    i = 0
    while i < _N_BANDS:
        v = energy[i] - f[i]
        if v < 0:
            v = 0
        if i >= 8:
            v >>= 1
        if i >= 12:
            v >>= 1
        if v > _MAX_FOLLOWED:
            v = _MAX_FOLLOWED
        n = (edges[i + 1] - edges[i]) << 3
        v = v * n // 6 >> 10
        spent += v * 48
        if spent > most:
            return
        w[_BOOST + i] = v
        i += 1
