"""The integer square root that both directions need. No I/O."""

import micropython


@micropython.viper
def square_root(v: int) -> int:
    """Return the largest integer whose square is not above v, for 0 <= v < 2**31."""
    r = 0
    b = 1 << 28
    while b > v:
        b >>= 2
    while b:
        t = r + b
        if v >= t:
            v -= t
            r = (r >> 1) + b
        else:
            r >>= 1
        b >>= 2
    return r
