"""The shapes of the bands, put together from their pieces (RFC 6716 section 4.3.4). No I/O.

The splits are those of bands_encode.py, written again here because the chip pays more for a call. Beside the shape, a
decoder keeps for each band a copy that higher bands may fold (_FOLD), and which short blocks got any pulses at all
(_COLLAPSE). Shapes are unit vectors in Q14.
Bands above 8 kHz are decoded, so that the range coder stays in step, but not put together.
"""

import micropython
from micropython import const

_STORAGE = const(9)
_TELL = const(10)
_SEED = const(13)
_IS_TRANSIENT = const(14)
_N_BLOCKS = const(18)
_GAIN = const(19)
_BALANCE = const(20)
_CODED = const(21)
_SPREAD = const(22)
_LEAF_AT = const(25)
_LEAF_N = const(26)
_LEAF_K = const(27)
_INDEX = const(28)
_ANTI_COLLAPSE = const(30)
_END_BAND = const(31)
_OLD_ENERGY = const(32)
_COLLAPSE = const(80)
_PULSES = const(104)
_RAW_BITS = const(221)
_RAW_VALUE = const(222)
_SYMBOL_LOW = const(245)
_SYMBOL_HIGH = const(246)
_SYMBOL_TOTAL = const(247)
_STACK = const(248)
_TF = const(296)
_SPECTRUM = const(640)
_FOLD = const(960)
_BAND = const(1640)
_SCRATCH = const(1688)
_ENERGY_1 = const(1736)
_ENERGY_2 = const(1760)

_HEARD_BANDS = const(17)  # up to 8 kHz
_SPLIT_WORDS = const(12)


@micropython.viper
def haar(w: ptr32, at: int, n: int, stride: int):
    """Join or part neighbours in time and frequency (section 4.3.4.5): n values at word `at`, `stride` interleaved."""
    n >>= 1
    i = 0
    while i < stride:
        p = ptr32(int(w) + ((at + i) << 2))
        j = n
        while j:
            a = p[0] * 11585
            b = p[stride] * 11585
            p[0] = (a + b) >> 14
            p[stride] = (a - b) >> 14
            p = ptr32(int(p) + (stride << 3))
            j -= 1
        i += 1


@micropython.viper
def interleave(w: ptr32, order: ptr8, at: int, n: int, stride: int, is_hadamard: int, is_back: int):
    """From bin after bin to block after block, n values each, or with is_back the other way (section 4.3.4.5).

    order: HADAMARD_ORDER, for blocks that a Haar transform has made; real short blocks keep theirs.
    """
    p = ptr32(int(w) + (at << 2))
    t = ptr32(int(w) + 4 * _SCRATCH)
    i = n * stride
    while i:
        t[0] = p[0]
        p = ptr32(int(p) + 4)
        t = ptr32(int(t) + 4)
        i -= 1
    step = stride << 2
    while i < stride:
        k = i
        if is_hadamard:
            k = order[stride - 2 + i]
        j = n
        if is_back:
            t = ptr32(int(w) + 4 * _SCRATCH + ((k * n) << 2))
            p = ptr32(int(w) + ((at + i) << 2))
            while j:
                p[0] = t[0]
                t = ptr32(int(t) + 4)
                p = ptr32(int(p) + step)
                j -= 1
        else:
            t = ptr32(int(w) + 4 * _SCRATCH + (i << 2))
            p = ptr32(int(w) + ((at + k * n) << 2))
            while j:
                p[0] = t[0]
                p = ptr32(int(p) + 4)
                t = ptr32(int(t) + step)
                j -= 1
        i += 1


@micropython.viper
def fold(W, square_root, has_source: int, source: int):
    """Fill a piece that got no pulses: with the lower band at word `source`, or with noise (section 4.3.4.4).

    Its norm becomes _GAIN. Values of the source are of unit size in Q12; 16 is added or taken at random.
    """
    w = ptr32(W)
    n = w[_LEAF_N]
    seed = w[_SEED]
    p = ptr32(int(w) + (w[_LEAF_AT] << 2))
    s = 0
    i = n
    if has_source:
        q = ptr32(int(w) + (source << 2))
        while i:
            seed = 1664525 * seed + 1013904223
            v = q[0] - 16
            if seed & 0x8000:
                v += 32
            p[0] = v
            s += (v * v) >> 4
            p = ptr32(int(p) + 4)
            q = ptr32(int(q) + 4)
            i -= 1
    else:
        while i:
            seed = 1664525 * seed + 1013904223
            v = seed >> 20
            p[0] = v
            s += (v * v) >> 4
            p = ptr32(int(p) + 4)
            i -= 1
    w[_SEED] = seed
    g = (w[_GAIN] << 11) // (int(square_root(s)) + 1)
    right = 14
    while g >= 32768:
        g >>= 1
        right -= 1
    p = ptr32(int(w) + (w[_LEAF_AT] << 2))
    i = n
    if right < 0:
        right = 0 - right
        while i:
            p[0] = (p[0] * g) << right
            p = ptr32(int(p) + 4)
            i -= 1
    else:
        while i:
            p[0] = (p[0] * g) >> right
            p = ptr32(int(p) + 4)
            i -= 1


@micropython.viper
def prepare(W, haar, interleave, order, source: int, n: int, joined: int, parted: int):
    """Copy what a band folds to _BAND, and change its resolution as the band's own (section 4.3.4.5)."""
    w = ptr32(W)
    p = ptr32(int(w) + (source << 2))
    q = ptr32(int(w) + 4 * _BAND)
    i = n
    while i:
        q[0] = p[0]
        p = ptr32(int(p) + 4)
        q = ptr32(int(q) + 4)
        i -= 1
    while i < joined:
        haar(W, _BAND, n >> i, 1 << i)
        i += 1
    n_blocks = 1
    is_hadamard = 1
    if w[_IS_TRANSIENT]:
        n_blocks = 8 >> joined
        is_hadamard = 0
    per_block = n // n_blocks
    while parted:
        haar(W, _BAND, per_block, n_blocks)
        n_blocks <<= 1
        per_block >>= 1
        parted -= 1
    if n_blocks > 1:
        interleave(W, order, _BAND, per_block >> joined, n_blocks << joined, is_hadamard, 0)


@micropython.viper
def decode_bands(
    W,
    find,
    narrow,
    decode_uniform,
    decode_bits,
    square_root,
    unpulse,
    prepare,
    fold,
    haar,
    interleave,
    order,
    cosines,
    pvq_u,
    pvq_rows,
    edges: ptr8,
    log_n: ptr8,
    cache_index: ptr32,
    cache_bits: ptr8,
    exp2: ptr32,
    join: ptr8,
    part: ptr8,
):
    """Decode the shape of every band into _SPECTRUM. The last eleven are tables of tables.py."""
    w = ptr32(W)
    U = ptr32(pvq_u)
    rows = ptr32(pvq_rows)
    end = w[_END_BAND]
    total = (w[_STORAGE] << 6) - w[_ANTI_COLLAPSE]
    balance = w[_BALANCE]
    coded = w[_CODED]
    is_transient = w[_IS_TRANSIENT]
    fold_band = 0  # where the band to be folded begins, at most this one
    has_spectrum = 1
    band = 0
    while band < end:
        # Section 4.3.4: the band's bits, and a third of what the bands before have left.
        told = w[_TELL]
        if band:
            balance -= told
        band_told = told
        left = total - told - 1
        bits = 0
        if band < coded:
            n = coded - band
            if n > 3:
                n = 3
            if balance >= 0:
                bits = balance // n
            else:
                bits = 0 - ((0 - balance) // n)
            bits += w[_PULSES + band]
            if bits > left + 1:
                bits = left + 1
            if bits > 16383:
                bits = 16383
            if bits < 0:
                bits = 0
        band_bits = bits
        band_at = edges[band] << 3
        band_n = (edges[band + 1] << 3) - band_at
        n = band_n
        is_heard = 1
        if band >= _HEARD_BANDS:
            is_heard = 0
        # What a piece without pulses is filled with, and which of its short blocks have something (section 4.3.4.4).
        if (band_at >= n or band == 1) and (has_spectrum or fold_band == 0):
            fold_band = band
        tf = w[_TF + band]
        n_blocks = 1
        if is_transient:
            n_blocks = 8
        fill = (1 << n_blocks) - 1
        fold_by = 0  # from a value to what it is folded with, in words; 0 for none
        if fold_band and (w[_SPREAD] != 3 or n_blocks > 1 or tf < 0):
            v = (edges[fold_band] << 3) - n
            if v < 0:
                v = 0
            fold_by = _FOLD - _SPECTRUM + v - band_at
            i = fold_band - 1
            while edges[i] << 3 > v:
                i -= 1
            j = fold_band
            while j < band and edges[j] << 3 < v + n:
                j += 1
            fill = 0
            while i < j:
                fill |= w[_COLLAPSE + i]
                i += 1
        at = _SPECTRUM + band_at
        # Changes of resolution. What is folded goes through them too, but most bands fold nothing: see `prepare`.
        joined = 0
        if tf > 0:
            joined = tf
        per_block = n // n_blocks
        i = 0
        while i < joined:
            fill = join[fill & 15] | (join[fill >> 4] << 2)
            i += 1
        n_blocks >>= joined
        per_block <<= joined
        parted = 0
        while per_block & 1 == 0 and tf < 0:
            fill |= fill << n_blocks
            n_blocks <<= 1
            per_block >>= 1
            parted += 1
            tf += 1
        is_changed = joined + parted
        if n_blocks > 1:
            is_changed = 1
        band_blocks = n_blocks
        band_per_block = per_block
        is_hadamard = 1
        if is_transient:
            is_hadamard = 0
        gain = 32767
        collapse = 0  # a bit for each block that got pulses
        block = 0  # the piece's first
        level = 3
        depth = _STACK
        while True:
            cache = cache_index[(level + 1) * 21 + band]
            if level >= 0 and n > 2 and bits > cache_bits[cache + cache_bits[cache]] + 12:
                # Split (section 4.3.4.4). The resolution of the angle comes from the bits there are.
                n >>= 1
                level -= 1
                blocks_before = n_blocks
                if n_blocks == 1:
                    fill = (fill & 1) | (fill << 1)
                n_blocks = (n_blocks + 1) >> 1
                cap = log_n[band] + (level << 3)
                j = 2 * n - 1
                i = bits + j * ((cap >> 1) - 4)
                if i >= 0:
                    i = i // j
                else:
                    i = 0 - ((0 - i) // j)
                j = bits - cap - 32
                if i > j:
                    i = j
                if i > 64:
                    i = 64
                steps = 1
                if i >= 4:
                    steps = ((exp2[i & 7] >> (14 - (i >> 3))) + 1) >> 1 << 1
                theta = 0
                told = w[_TELL]
                if steps > 1:
                    if blocks_before > 1:
                        # Blocks in time: every angle is equally likely.
                        if steps > 255:
                            w[_SYMBOL_TOTAL] = (steps >> 1) + 1
                            decode_uniform(W)
                            w[_RAW_BITS] = 1
                            decode_bits(W)
                            theta = (w[_SYMBOL_LOW] << 1) | w[_RAW_VALUE]
                            if theta > steps:  # no encoder writes it
                                theta = steps
                        else:
                            w[_SYMBOL_TOTAL] = steps + 1
                            decode_uniform(W)
                            theta = w[_SYMBOL_LOW]
                    else:
                        # Halves of a spectrum: a triangle, whose inverse is a square root.
                        half = steps >> 1
                        whole = (half + 1) * (half + 1)
                        w[_SYMBOL_TOTAL] = whole
                        find(W)
                        i = w[_SYMBOL_LOW]
                        if i < (half * (half + 1)) >> 1:
                            theta = (int(square_root(8 * i + 1)) - 1) >> 1
                            v = theta + 1
                            i = (theta * (theta + 1)) >> 1
                        else:
                            theta = (2 * (steps + 1) - int(square_root(8 * (whole - i - 1) + 1))) >> 1
                            v = steps + 1 - theta
                            i = whole - ((v * (v + 1)) >> 1)
                        w[_SYMBOL_LOW] = i
                        w[_SYMBOL_HIGH] = i + v
                        narrow(W)
                    theta = (theta << 14) // steps
                told = w[_TELL] - told
                bits -= told
                # The halves' gains, and how many more bits the larger needs: exact to the bit (section 4.3.4.4).
                if theta == 0:
                    delta = -16384
                    mid = 32767
                    side = 0
                    fill &= (1 << n_blocks) - 1
                elif theta == 16384:
                    delta = 16384
                    mid = 0
                    side = 32767
                    fill &= ((1 << n_blocks) - 1) << n_blocks
                else:
                    i = (4096 + theta * theta) >> 13
                    v = 8277 + ((16384 - 626 * i) >> 15)
                    v = -7651 + ((16384 + i * v) >> 15)
                    mid = 1 + (32767 - i) + ((16384 + i * v) >> 15)
                    i = 16384 - theta
                    i = (4096 + i * i) >> 13
                    v = 8277 + ((16384 - 626 * i) >> 15)
                    v = -7651 + ((16384 + i * v) >> 15)
                    side = 1 + (32767 - i) + ((16384 + i * v) >> 15)
                    j = 0
                    i = mid
                    while i < 16384:
                        i <<= 1
                        j += 1
                    v = side
                    while v < 16384:
                        v <<= 1
                        j -= 1
                    v = (16384 + v * (((16384 - 2597 * v) >> 15) + 7932)) >> 15
                    i = (16384 + i * (((16384 - 2597 * i) >> 15) + 7932)) >> 15
                    delta = (16384 + ((n - 1) << 7) * ((j << 11) + v - i)) >> 15
                    if blocks_before > 1:
                        # In time the later half is masked by the earlier, but not the other way round.
                        if theta > 8192:
                            delta -= delta >> (4 - level)
                        else:
                            delta += (n << 3) >> (5 - level)
                            if delta > 0:
                                delta = 0
                i = (bits - delta) >> 1
                if bits < delta:
                    i = 0
                if i > bits:
                    i = bits
                if i < 0:
                    i = 0
                j = bits - i
                left -= told
                mid = (gain * mid + 16384) >> 15
                side = (gain * side + 16384) >> 15
                p = ptr32(int(w) + (depth << 2))
                depth += _SPLIT_WORDS
                p[2] = n
                p[3] = level
                p[5] = left
                p[8] = n_blocks
                if i >= j:
                    p[0] = at + n
                    p[1] = j
                    p[4] = i
                    p[6] = theta
                    p[7] = side
                    p[9] = fill >> n_blocks
                    p[10] = block + (blocks_before >> 1)
                    gain = mid
                    bits = i
                else:
                    p[0] = at
                    p[1] = i
                    p[4] = j
                    p[6] = 16384 - theta
                    p[7] = mid
                    p[9] = fill
                    p[10] = block
                    fill >>= n_blocks
                    block += blocks_before >> 1
                    at += n
                    gain = side
                    bits = j
                continue
            # A piece for one vector: the number of pulses whose cost is nearest to its bits (section 4.3.4.1).
            costs = ptr8(int(cache_bits) + cache)
            i = 0
            j = costs[0]
            v = bits - 1
            k = 6
            while k:
                mid = (i + j + 1) >> 1
                if costs[mid] >= v:
                    j = mid
                else:
                    i = mid
                k -= 1
            cost = -1
            if i:
                cost = costs[i]
            k = j
            if v - cost <= costs[j] - v:
                k = i
            cost = 0
            if k:
                cost = costs[k] + 1
            left -= cost
            while left < 0 and k > 0:
                left += cost
                k -= 1
                cost = 0
                if k:
                    cost = costs[k] + 1
                left -= cost
            w[_LEAF_AT] = at
            w[_LEAF_N] = n
            w[_GAIN] = gain
            if k:
                if k >= 8:
                    k = (8 + (k & 7)) << ((k >> 3) - 1)
                # Of the number of a vector the top 8 bits are a symbol, the rest raw (section 4.1.5). V = U + U.
                j = k + 1
                if n < k:
                    v = U[rows[n] + k]
                else:
                    v = U[rows[k] + n]
                if n < j:
                    v += U[rows[n] + j]
                else:
                    v += U[rows[j] + n]
                v -= 1
                raw = 0
                i = int(uint(v) >> 8)
                while i:
                    raw += 1
                    i >>= 1
                w[_SYMBOL_TOTAL] = int(uint(v) >> raw) + 1
                decode_uniform(W)
                i = w[_SYMBOL_LOW]
                if raw:
                    i <<= raw
                    w[_RAW_BITS] = raw
                    if raw > 16:
                        w[_RAW_BITS] = 16
                        decode_bits(W)
                        i |= w[_RAW_VALUE]
                        w[_RAW_BITS] = raw - 16
                        decode_bits(W)
                        i |= w[_RAW_VALUE] << 16
                    else:
                        decode_bits(W)
                        i |= w[_RAW_VALUE]
                    if uint(i) > uint(v):  # no encoder writes it
                        i = v
                if is_heard:
                    w[_INDEX] = i
                    w[_LEAF_K] = k
                    w[_N_BLOCKS] = n_blocks
                    collapse |= int(unpulse(W, 0, W, pvq_u, pvq_rows, cosines, square_root)) << block
            elif is_heard:
                fill &= (1 << n_blocks) - 1
                if fold_by:
                    collapse |= fill << block
                elif fill:
                    collapse |= ((1 << n_blocks) - 1) << block
                if gain == 0 or fill == 0:
                    p = ptr32(int(w) + (at << 2))
                    i = n
                    while i:
                        p[0] = 0
                        p = ptr32(int(p) + 4)
                        i -= 1
                else:
                    if fold_by and is_changed:
                        i = _SPECTRUM + band_at
                        prepare(W, haar, interleave, order, i + fold_by, band_n, joined, parted)
                        fold_by = _BAND - i
                        is_changed = 0
                    fold(W, square_root, fold_by, at + fold_by)
            if depth == _STACK:
                break
            depth -= _SPLIT_WORDS
            p = ptr32(int(w) + (depth << 2))
            at = p[0]
            bits = p[1]
            n = p[2]
            level = p[3]
            gain = p[7]
            n_blocks = p[8]
            fill = p[9]
            block = p[10]
            v = p[4] - (p[5] - left)
            if v > 24 and p[6] != 0:
                bits += v - 24
        balance += w[_PULSES + band] + band_told
        if is_heard:
            # The changes of resolution undone, the last one first.
            at = _SPECTRUM + band_at
            n_blocks = band_blocks
            per_block = band_per_block
            if n_blocks > 1:
                interleave(W, order, at, per_block >> joined, n_blocks << joined, is_hadamard, 1)
            while parted:
                n_blocks >>= 1
                per_block <<= 1
                collapse |= collapse >> n_blocks
                haar(W, at, per_block, n_blocks)
                parted -= 1
            i = 0
            while i < joined:
                collapse = part[collapse & 15]
                haar(W, at, band_n >> i, 1 << i)
                i += 1
            n_blocks <<= joined
            w[_COLLAPSE + band] = collapse & ((1 << n_blocks) - 1)
            # For folding the norm must not depend on the band's width: times sqrt(n), Q12.
            v = int(square_root(band_n << 8))
            p = ptr32(int(w) + (at << 2))
            q = ptr32(int(w) + ((at + _FOLD - _SPECTRUM) << 2))
            i = band_n
            while i:
                q[0] = (p[0] * v) >> 6
                p = ptr32(int(p) + 4)
                q = ptr32(int(q) + 4)
                i -= 1
        has_spectrum = 0
        if band_bits > band_n << 3:
            has_spectrum = 1
        band += 1


@micropython.viper
def fill_collapsed(W, square_root, edges: ptr8, exp2: ptr32):
    """Put noise where a short block of a band got no pulses, as loud as the frames before were (section 4.3.5)."""
    w = ptr32(W)
    last = ptr32(int(w) + 4 * _ENERGY_1)
    before = ptr32(int(w) + 4 * _ENERGY_2)
    seed = w[_SEED]
    end = w[_END_BAND]
    if end > _HEARD_BANDS:
        end = _HEARD_BANDS
    i = 0
    while i < end:
        if w[_COLLAPSE + i] != 255:
            width = edges[i + 1] - edges[i]
            depth = ((1 + w[_PULSES + i]) // width) >> 3
            a = last[i]
            if before[i] < a:
                a = before[i]
            a = w[_OLD_ENERGY + i] - a
            if a < 0:
                a = 0
            # min(2.83 * 2**-a, 0.5 * 2**(-depth/8)) / sqrt(8 width), Q14.
            log = 1536 - a
            if log > -1024 - depth * 128:
                log = -1024 - depth * 128
            g = exp2[(log & 1023) >> 4]
            log = 0 - (log >> 10)
            if log > 20:
                log = 20
            g = ((g >> log) << 4) // int(square_root(width << 11))
            start = ptr32(int(w) + 4 * _SPECTRUM + (edges[i] << 5))
            k = 0
            while k < 8:
                if (w[_COLLAPSE + i] >> k) & 1 == 0:
                    p = ptr32(int(start) + (k << 2))
                    j = width
                    while j:
                        seed = 1664525 * seed + 1013904223
                        p[0] = 0 - g
                        if seed & 0x8000:
                            p[0] = g
                        p = ptr32(int(p) + 32)
                        j -= 1
                k += 1
            # To norm 1 again.
            s = 0
            p = start
            j = width << 3
            while j:
                a = p[0]
                s += (a * a) >> 6
                p = ptr32(int(p) + 4)
                j -= 1
            a = (1 << 24) // (int(square_root(s)) + 1)
            p = start
            j = width << 3
            while j:
                p[0] = (p[0] * a) >> 13
                p = ptr32(int(p) + 4)
                j -= 1
        i += 1
