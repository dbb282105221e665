"""Stand-in for the frozen neopixel module: reports the colour of the first pixel when it changes."""

import sim_chip


class NeoPixel:
    def __init__(self, pin, n, bpp=3, timing=1):
        self.n = n
        self._pixels = [(0,) * bpp] * n
        self._shown = None

    def __len__(self):
        return self.n

    def __setitem__(self, i, colour):
        self._pixels[i] = tuple(colour)

    def __getitem__(self, i):
        return self._pixels[i]

    def fill(self, colour):
        for i in range(self.n):
            self[i] = colour

    def write(self):
        if self._pixels[0] != self._shown:
            self._shown = self._pixels[0]
            sim_chip.chip.report("led", rgb=self._shown)
