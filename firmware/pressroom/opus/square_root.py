"""The integer square root that both directions need. No I/O."""

import micropython


@micropython.viper
def square_root(v: int) -> int:
    """Return the largest integer whose square is not above v, for 0 <= v < 2**31: Newton's way, from above."""
    if v < 1:
        return 0
    if v >> 16:
        r = 1 << 16
        if v >> 28 == 0:
            r = 1 << 14
        if v >> 24 == 0:
            r = 1 << 12
        if v >> 20 == 0:
            r = 1 << 10
    else:
        r = 1 << 8
        if v >> 12 == 0:
            r = 1 << 6
        if v >> 8 == 0:
            r = 1 << 4
    while True:
        t = v // r
        if t >= r:
            return r
        r = (r + t) >> 1
