"""What the portable tests share: they run on three Pythons, so they can use neither pytest nor hypothesis."""

import binascii
import gc
import json

try:
    from os import getenv
except ImportError:  # the WebAssembly port has no environment

    def getenv(name):
        return None


N_EXAMPLES = 100_000 if getenv("PRESSROOM_LONG") == "1" else 1_000  # that a parser is given

_HAS_COUNTED_HEAP = hasattr(gc, "mem_alloc")  # CPython has none: there is nothing to measure


def vectors(name):
    """Return what tests/vectors/NAME.json holds."""
    with open(__file__.rsplit("/", 1)[0] + "/../vectors/" + name + ".json") as file:
        return json.load(file)


def unhex(digits):
    """Return the bytes that hex digits stand for."""
    return binascii.unhexlify(digits)


def raised(error, call, *arguments):
    """Return the error that the call raises; no other will do, nor will none."""
    try:
        call(*arguments)
    except error as caught:
        return caught
    raise AssertionError("%s was not raised" % error.__name__)


def allocates_nothing(step, n_warm=30, n_steps=500):
    """Return whether n_steps calls of step() leave the heap as it was, after n_warm of them; True on CPython."""
    for _ in range(n_warm):
        step()
    if not _HAS_COUNTED_HEAP:
        return True
    from micropython import heap_lock, heap_unlock

    gc.collect()
    heap_lock()  # an allocation raises MemoryError, also one that would be given back at once
    try:
        while n_steps:
            step()
            n_steps -= 1
    except MemoryError:
        return False
    finally:
        heap_unlock()
    return True


class Noise:
    """A seeded generator of bytes and numbers, the same on every Python (xorshift, 24 bits a step).

    Marsaglia, "Xorshift RNGs", J. Stat. Soft. 8(14), 2003; 32 bits with shifts of 13, 17 and 5.
    """

    def __init__(self, seed):
        self._state = seed or 1

    def below(self, n):
        """Return a number from 0 to n - 1; n: at most 2**24."""
        state = self._state
        state ^= state << 13 & 0xFFFFFFFF
        state ^= state >> 17
        state ^= state << 5 & 0xFFFFFFFF
        self._state = state
        return (state >> 8) % n

    def octets(self, n):
        """Return n random bytes."""
        return bytes([self.below(256) for _ in range(n)])

    def mutated(self, octets):
        """Return a copy that was cut short, has bits flipped, or has a stretch of random bytes."""
        changed = bytearray(octets)
        kind = self.below(4)
        if kind == 0:
            return bytes(changed[: self.below(len(changed) + 1)])
        if kind == 1:
            return bytes(changed) + self.octets(self.below(40))
        for _ in range(1 + self.below(4)):
            if changed:
                at = self.below(len(changed))
                changed[at] = changed[at] ^ 1 << self.below(8) if kind == 2 else self.below(256)
        return bytes(changed)
