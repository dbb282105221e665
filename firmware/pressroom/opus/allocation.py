"""How many bits each band gets, which encoder and decoder must agree on to the last (RFC 6716 section 4.3.3). No I/O.

All bits are counted in 1/8. Mono, 20 ms: no stereo, no intensity.
"""

import micropython
from micropython import const

_STORAGE = const(9)
_TELL = const(10)
_IS_TRANSIENT = const(14)
_BALANCE = const(20)
_CODED = const(21)  # bands that get shape at all
_TRIM = const(23)
_ANTI_COLLAPSE = const(30)  # bits kept for that flag: 8 or 0
_END_BAND = const(31)
_BOOST = const(56)
_PULSES = const(104)  # bits of each band's shape
_FINE_BITS = const(128)  # whole bits of each band's fine energy
_FINE_PRIORITY = const(152)
_LOWER = const(176)
_STEP = const(200)
_THRESHOLD = const(224)

_N_ROWS = const(11)
_MAX_FINE_BITS = const(8)


@micropython.viper
def allocate(W, code_skip, code, code_flag, edges: ptr8, table: ptr8, caps: ptr32, log_n: ptr8):
    """Fill _PULSES, _FINE_BITS, _FINE_PRIORITY, _BALANCE and _CODED; needs _BOOST, _TRIM and _TELL.

    code_skip(W, code, code_flag) codes whether the skipping of bands ends here, and returns it.
    """
    w = ptr32(W)
    low = ptr32(int(w) + 4 * _LOWER)
    step = ptr32(int(w) + 4 * _STEP)
    threshold = ptr32(int(w) + 4 * _THRESHOLD)
    bits = ptr32(int(w) + 4 * _PULSES)
    boost = ptr32(int(w) + 4 * _BOOST)
    end = w[_END_BAND]
    total = (w[_STORAGE] << 6) - w[_TELL] - 1
    w[_ANTI_COLLAPSE] = 0
    if w[_IS_TRANSIENT] and total >= 40:
        w[_ANTI_COLLAPSE] = 8
        total -= 8
    skip_reserve = 0
    if total >= 8:
        skip_reserve = 8
    total -= skip_reserve
    # A band below its threshold gets no shape; the trim tilts all of them. _PULSES holds the tilt until further down.
    trim = w[_TRIM] - 8
    i = 0
    while i < end:
        n = edges[i + 1] - edges[i]
        v = n * 12
        if v < 8:
            v = 8
        threshold[i] = v
        bits[i] = n * trim * (end - i - 1)
        i += 1
    # The highest row of the static table that fits...
    first = 1
    last = _N_ROWS - 1
    while first <= last:
        row = (first + last) >> 1
        at = row * 21
        used = 0
        is_done = 0
        i = end
        while i:
            i -= 1
            v = ((edges[i + 1] - edges[i]) * table[at + i]) << 1
            if v > 0:
                v += bits[i]
                if v < 0:
                    v = 0
            v += boost[i]
            if is_done or v >= threshold[i]:
                is_done = 1
                if v > caps[i]:
                    v = caps[i]
                used += v
            elif v >= 8:
                used += 8
        if used > total:
            last = row - 1
        else:
            first = row + 1
    # ... and the one above it, which is the way to go on from there.
    row = first - 1
    at = row * 21
    skip_start = 0
    i = 0
    while i < end:
        n = (edges[i + 1] - edges[i]) << 1
        v = n * table[at + i]
        if first >= _N_ROWS:
            more = caps[i]
        else:
            more = n * table[at + 21 + i]
        if v > 0:
            v += bits[i]
            if v < 0:
                v = 0
        if more > 0:
            more += bits[i]
            if more < 0:
                more = 0
        if boost[i] > 0:
            skip_start = i
            more += boost[i]
            if row > 0:
                v += boost[i]
        more -= v
        if more < 0:
            more = 0
        low[i] = v
        step[i] = more
        i += 1
    # Between the two in steps of 1/64: six halvings, and once more with what they found.
    first = 0
    last = 64
    n = 0
    while n < 7:
        row = (first + last) >> 1
        if n == 6:
            row = first
        used = 0
        is_done = 0
        i = end
        while i:
            i -= 1
            v = low[i] + (row * step[i] >> 6)
            if is_done or v >= threshold[i]:
                is_done = 1
            elif v >= 8:
                v = 8
            else:
                v = 0
            if v > caps[i]:
                v = caps[i]
            bits[i] = v
            used += v
        if used > total:
            last = row
        else:
            first = row
        n += 1
    # Bands are skipped from the top until one is worth it; a boosted band, and all below, never are.
    coded = end
    while True:
        i = coded - 1
        if i <= skip_start:
            total += skip_reserve
            break
        left = total - used
        n = edges[coded]
        each = left // n
        left -= n * each
        rest = left - edges[i]
        if rest < 0:
            rest = 0
        v = bits[i] + each * (n - edges[i]) + rest
        least = threshold[i]
        if least < 16:
            least = 16
        if v >= least:
            if int(code_skip(W, code, code_flag)):
                break
            used += 8
            v -= 8
        used -= bits[i]
        bits[i] = 0
        if v >= 8:
            used += 8
            bits[i] = 8
        coded -= 1
    # What is left over goes to all coded bands, by their width.
    left = total - used
    n = edges[coded]
    each = left // n
    left -= n * each
    i = 0
    while i < coded:
        n = edges[i + 1] - edges[i]
        v = n
        if left < v:
            v = left
        bits[i] = bits[i] + each * n + v
        left -= v
        i += 1
    # Each band's bits are divided between fine energy and shape; what a band cannot use goes to the next.
    balance = 0
    i = 0
    while i < coded:
        n = (edges[i + 1] - edges[i]) << 3
        v = bits[i] + balance
        excess = v - caps[i]
        if excess < 0:
            excess = 0
        v -= excess
        n_log_n = n * (log_n[i] + 24)
        offset = (n_log_n >> 1) - n * 21
        if v + offset < n * 16:
            offset += n_log_n >> 2
        elif v + offset < n * 24:
            offset += n_log_n >> 3
        fine = v + offset + (n << 2)
        if fine < 0:
            fine = 0
        fine = (fine // n) >> 3
        if fine > v >> 3:
            fine = v >> 3
        if fine > _MAX_FINE_BITS:
            fine = _MAX_FINE_BITS
        is_later = 0
        if fine * (n << 3) >= v + offset:
            is_later = 1
        v -= fine << 3
        if excess > 0:
            more = excess >> 3
            if more > _MAX_FINE_BITS - fine:
                more = _MAX_FINE_BITS - fine
            fine += more
            is_later = 0
            if more << 3 >= excess - balance:
                is_later = 1
            excess -= more << 3
        balance = excess
        bits[i] = v
        w[_FINE_BITS + i] = fine
        w[_FINE_PRIORITY + i] = is_later
        i += 1
    w[_BALANCE] = balance
    w[_CODED] = coded
    # A skipped band may still have a bit or two of fine energy.
    while i < end:
        fine = bits[i] >> 3
        bits[i] = 0
        is_later = 0
        if fine < 1:
            is_later = 1
        w[_FINE_BITS + i] = fine
        w[_FINE_PRIORITY + i] = is_later
        i += 1
