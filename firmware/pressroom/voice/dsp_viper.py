"""The passes of dsp.py for the device, whose integers have 32 bits and wrap."""

import micropython


@micropython.viper
def capture_into(words: ptr32, n_words: int, ring: ptr16, state: ptr32):
    position = state[0]
    ring_samples = state[1]
    shift = state[2]
    half = (1 << shift) >> 1
    dc = state[3]
    i = 0
    while i < n_words:
        sample = (words[i] >> 10) - (dc >> 8)
        dc += sample
        sample = (sample + half) >> shift
        if sample > 32767:
            sample = 32767
        elif sample < -32768:
            sample = -32768
        ring[position] = sample
        position += 1
        if position == ring_samples:
            position = 0
        i += 1
    state[0] = position
    state[3] = dc


@micropython.viper
def swap_bytes_into(pcm: ptr8, frame: ptr8, n_bytes: int):
    i = 0
    while i < n_bytes:
        first = frame[i]
        pcm[i] = frame[i + 1]
        pcm[i + 1] = first
        i += 2


@micropython.viper
def scale_in_place(pcm: ptr16, n_samples: int, gain_q8: int):
    i = 0
    while i < n_samples:
        pcm[i] = (((pcm[i] ^ 0x8000) - 0x8000) * gain_q8) >> 8
        i += 1


@micropython.viper
def fade_into(pcm: ptr16, other: ptr16, n_samples: int, is_reversed: int, gain_q14: int, step_q14: int):
    source = n_samples - 1 if is_reversed else 0
    direction = -1 if is_reversed else 1
    i = 0
    while i < n_samples:
        pcm[i] = (((other[source] ^ 0x8000) - 0x8000) * gain_q14) >> 14
        gain_q14 -= step_q14
        if gain_q14 < 0:
            gain_q14 = 0
        source += direction
        i += 1


@micropython.viper
def cross_fade_in_place(pcm: ptr16, other: ptr16, n_samples: int):
    i = 0
    while i < n_samples:
        begin = (other[i] ^ 0x8000) - 0x8000
        end = (pcm[i] ^ 0x8000) - 0x8000
        pcm[i] = begin + (end - begin) * i // n_samples
        i += 1


@micropython.viper
def peak(pcm: ptr16, n_samples: int) -> int:
    highest = 0
    i = 0
    while i < n_samples:
        sample = (pcm[i] ^ 0x8000) - 0x8000
        if sample < 0:
            sample = 0 - sample
        if sample > highest:
            highest = sample
        i += 1
    return highest
