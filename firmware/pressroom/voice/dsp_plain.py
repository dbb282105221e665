"""The passes of dsp.py where there is no viper: the same results, byte by byte, and as little allocation."""


def capture_into(words, n_words, ring, state):
    position = state[0]
    ring_samples = state[1]
    shift = state[2]
    half = (1 << shift) >> 1
    dc = state[3]
    for i in range(0, 4 * n_words, 4):
        sample = (_sample(words, i + 2) << 6) | (words[i + 1] >> 2)
        sample -= dc >> 8
        dc += sample
        sample = (sample + half) >> shift
        _put_sample(ring, 2 * position, max(-32768, min(sample, 32767)))
        position += 1
        if position == ring_samples:
            position = 0
    state[0] = position
    state[3] = dc


def swap_bytes_into(pcm, frame, n_bytes):
    i = 0
    while i < n_bytes:
        first = frame[i]
        pcm[i] = frame[i + 1]
        pcm[i + 1] = first
        i += 2


def scale_in_place(pcm, n_samples, gain_q8):
    i = 0
    while i < 2 * n_samples:
        _put_sample(pcm, i, (_sample(pcm, i) * gain_q8) >> 8)
        i += 2


def fade_into(pcm, other, n_samples, is_reversed, gain_q14, step_q14):
    source = 2 * n_samples - 2 if is_reversed else 0
    direction = -2 if is_reversed else 2
    i = 0
    while i < 2 * n_samples:
        _put_sample(pcm, i, (_sample(other, source) * gain_q14) >> 14)
        gain_q14 = max(0, gain_q14 - step_q14)
        source += direction
        i += 2


def cross_fade_in_place(pcm, other, n_samples):
    i = 0
    while i < n_samples:
        begin = _sample(other, 2 * i)
        end = _sample(pcm, 2 * i)
        _put_sample(pcm, 2 * i, begin + (end - begin) * i // n_samples)
        i += 1


def peak(pcm, n_samples):
    highest = 0
    i = 0
    while i < 2 * n_samples:
        highest = max(highest, abs(_sample(pcm, i)))
        i += 2
    return highest


def _sample(pcm, i):
    return ((pcm[i] | pcm[i + 1] << 8) ^ 0x8000) - 0x8000


def _put_sample(pcm, i, sample):
    pcm[i] = sample & 0xFF
    pcm[i + 1] = (sample >> 8) & 0xFF
