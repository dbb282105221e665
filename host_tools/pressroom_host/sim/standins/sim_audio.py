"""What the simulated board's microphone hears and what its loudspeaker plays: raw files in the work folder."""

from micropython import const

_BLOCK_FRAMES = const(256)
_WORD_BYTES = const(4)


class ClipLate(Exception):
    """A clip was to begin at a time whose sound is settled already."""


class Microphone:
    """Hears silence, and the clips that the host lays on the time line.

    A clip is a file of 32-bit words made by the host, with a block of silence after its last: it ends inside a block.
    """

    def __init__(self, clock):
        self._clock = clock
        self._i2s = None
        self._clips = []  # (first frame, frame after the last, file) in order, none overlapping
        self._n_frames = 0  # handed out so far
        self._block = bytearray(_BLOCK_FRAMES * _WORD_BYTES)
        self._view = memoryview(self._block)
        self._silence = bytes(_BLOCK_FRAMES * _WORD_BYTES)

    def start(self, i2s):
        self._i2s = i2s
        self._n_frames = 0
        self._clips = []

    def lay(self, path, n_frames, at_us):
        """Lay a clip on the time line at `at_us`, or as soon as can be if None; returns when its first sample comes."""
        if self._i2s is None:
            raise ClipLate("the firmware has not started its microphone; wait until it has")
        self._i2s.run_dma()
        free_from = self._clips[-1][1] if self._clips else self._n_frames
        if at_us is None:
            first = max(free_from, self._i2s.frame_at(self._clock.now_us()) + 1)
        else:
            first = self._i2s.frame_at(at_us)
        if first < free_from:
            late_ms = (self._i2s.us_at(free_from) - at_us) // 1000
            raise ClipLate("the clip begins %d ms too early: what the microphone hears then is settled" % late_ms)
        self._clips.append((first, first + n_frames, open(path, "rb")))
        return self._i2s.us_at(first)

    def next_block(self):
        """Return the next 256 words, in a buffer that is valid until the next call."""
        first = self._n_frames
        end = self._n_frames = first + _BLOCK_FRAMES
        if not self._clips or self._clips[0][0] >= end:
            return self._silence
        if self._clips[0][0] <= first and not self._is_next_before(end):
            self._clips[0][2].readinto(self._block)
        else:
            self._compose(first, end)
        if self._clips[0][1] <= end:
            self._clips.pop(0)[2].close()
        return self._block

    def _is_next_before(self, end):
        return self._clips[0][1] < end and len(self._clips) > 1 and self._clips[1][0] < end

    def _compose(self, first, end):
        """A clip begins within this block; only here slices are allocated."""
        self._view[:] = self._silence
        while self._clips and self._clips[0][0] < end:
            clip_first, clip_end, file = self._clips[0]
            begin = max(clip_first - first, 0) * _WORD_BYTES
            file.readinto(self._view[begin : (min(clip_end, end) - first) * _WORD_BYTES])
            if clip_end >= end or len(self._clips) == 1 or self._clips[1][0] >= end:
                return
            self._clips.pop(0)[2].close()


class Loudspeaker:
    """Writes what is played, silence included: frame n of the file was played at us_at(n) of its I2S."""

    def __init__(self, path, report):
        self._path = path
        self._report = report
        self._file = None

    def start(self, i2s):
        if self._file is not None:
            self._file.close()
        self._file = open(self._path, "wb")
        self._report("speaker", us=i2s.us_at(0), rate_hz=i2s.rate)

    def play(self, block):
        self._file.write(block)
