"""Passes over PCM: in viper on the device, in plain Python where there is none. No I/O.

     capture_into(words, n_words, ring, state)          32-bit I2S words to 16-bit samples: DC block, gain, saturation
     swap_bytes_into(pcm, frame, n_bytes)               little-endian to big-endian 16-bit samples, or back
     scale_in_place(pcm, n_samples, gain_q8)            gain_q8 at most 256: it cannot overflow
     fade_into(pcm, other, n_samples, is_reversed, gain_q14, step_q14)   a copy that grows quieter
     cross_fade_in_place(pcm, other, n_samples)         begins as `other` and ends as `pcm`
     peak(pcm, n_samples)                               the largest magnitude

All PCM is 16-bit little-endian, in a bytearray or memoryview. Nothing here checks a length: the caller does, once.

capture_into keeps its state in an array("i") of four:
     0  where the next sample goes in the ring, in samples; wraps at 1
     1  samples the ring holds
     2  shift: a word is divided by 2**(10 + shift); 0 to 6, so 6 is the top 16 bits and each step less doubles
     3  the DC level, in units of 2**18 of a word: a one-pole low pass, corner 10 Hz at 16 kHz
"""

CAPTURE_POSITION, CAPTURE_RING_SAMPLES, CAPTURE_SHIFT, CAPTURE_DC = range(4)

try:
    from .dsp_viper import capture_into, cross_fade_in_place, fade_into, peak, scale_in_place, swap_bytes_into
except (ImportError, SyntaxError):  # CPython has no `micropython`; the WebAssembly port refuses the decorator
    from .dsp_plain import capture_into, cross_fade_in_place, fade_into, peak, scale_in_place, swap_bytes_into
