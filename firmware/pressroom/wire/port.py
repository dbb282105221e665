"""What the two Pythons spell differently: `const`, which MicroPython's compiler folds. No I/O."""

try:
    from micropython import const
except ImportError:

    def const(value):
        """Return value: CPython has nothing to fold."""
        return value
