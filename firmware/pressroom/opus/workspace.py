"""Where the numbers of a codec lie: one array of 32-bit words for each direction.

Viper folds `const` within a file only, so every file names the words it uses; tests hold that a name means one word in
all of them. Words 0 to 319 mean the same in both directions, which is how they share fft.py and allocation.py:

       0  range coder                                      range_encoder.py, range_decoder.py
      12  block exponent, flags, results of the last leaf
      32  energy of each band as the other side knows it, log2 in Q10, without the mean
      56  boost of each band, 1/8 bits
      80  encoder: what coarse energy left for fine energy
     104  bits of each band's shape, of its fine energy (128), and whose turn it is (152)
     176  the allocation's own; the raw bits of a call (221)
     245  the symbol of a call: where it begins, where it ends, of how many
     248  the stack of splits
     296  time-frequency change of each band
     320  160 complex values of the FFT
     640  the spectrum, 320 bins

A decoder goes on: what higher bands fold (960), 360 samples that overlap (1280), a band twice (1640), energies of two
frames (1736), 670 samples of the past (1784), the comb filter (2454), the packet (2476), log2 corrections (2796).

An encoder goes on: energies (960), 360 samples (1008), a piece's pulses (1368), the packet (1512), log2
corrections (1584).
"""

from array import array

import micropython
from micropython import const

_ENCODER_WORDS = const(1592)
_DECODER_WORDS = const(2804)


@micropython.viper
def clear(w: ptr32, n_words: int):
    """Set all words to zero."""
    i = 0
    while i < n_words:
        w[i] = 0
        i += 1


def encoder_workspace():
    """Return the words of an encoder, all zero."""
    return array("i", bytes(4 * _ENCODER_WORDS))


def decoder_workspace():
    """Return the words of a decoder, all zero."""
    return array("i", bytes(4 * _DECODER_WORDS))
