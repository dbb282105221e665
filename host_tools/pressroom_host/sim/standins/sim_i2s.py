"""machine.I2S as the ESP32 driver behaves, on the clock of the simulated chip.

DMA moves whole descriptors of 256 frames, at the pace of the crystal. One descriptor is always in the hardware's hands,
so of n descriptors n - 1 can wait: to be read (one more pushes out the oldest), or to be played (an empty one plays as
silence). Nothing runs in the background: every call first catches up with the clock, which gives the same result.

Source: MicroPython ports/esp32/machine_i2s.c and extmod/machine_i2s.c; ESP-IDF components/esp_driver_i2s/i2s_common.c
(msg_queue of desc_num - 1, auto_clear).
"""

import io

from micropython import RingIO, const

_DESCRIPTOR_FRAMES = const(256)  # DMA_BUF_LEN_IN_I2S_FRAMES
_RX_DMA_FRAME_BYTES = const(8)  # the hardware always takes two slots of 32 bits
_RX_BYTES = const(4)  # of them the left one is handed out
_TX_BYTES = const(2)
_POLL = const(3)  # MP_STREAM_POLL of py/stream.h
_POLL_READ = const(1)
_POLL_WRITE = const(4)
_EINVAL = const(22)
_PS_PER_S = 1_000_000_000_000


class I2S(io.IOBase):
    """One peripheral in one direction: RX of 32-bit mono words, or TX of 16-bit mono samples.

    Blocking until it has been polled once, as on the chip; from then on reads and writes move what they can.
    """

    RX = 1
    TX = 2
    MONO = 0
    STEREO = 1

    chip = None  # the board's power_on sets it: `clock`, `clock_ppm`, `microphone`, `loudspeaker`, `i2s` by id

    def __init__(self, id, *, sck, ws, sd, mode, bits, format, rate, ibuf):
        if id not in (0, 1):
            raise ValueError("invalid id")
        if (mode, bits, format) not in ((I2S.RX, 32, I2S.MONO), (I2S.TX, 16, I2S.MONO)):
            raise NotImplementedError("the stand-in I2S has RX with 32 bits and TX with 16 bits, both MONO")
        chip = self.chip
        if id in chip.i2s:
            chip.i2s[id].deinit()
        chip.i2s[id] = self
        self.id = id
        self.rate = rate
        self.n_overruns = 0  # descriptors that were pushed out before they were read
        self.n_underruns = 0  # descriptors that played silence, in whole or in part
        self._clock = chip.clock
        self._is_rx = mode == I2S.RX
        self._is_polled = False
        block_bytes = _DESCRIPTOR_FRAMES * (_RX_BYTES if self._is_rx else _TX_BYTES)
        dma_bytes = _DESCRIPTOR_FRAMES * (_RX_DMA_FRAME_BYTES if self._is_rx else _TX_BYTES)
        self._n_waiting_max = max(ibuf // dma_bytes, 2) - 1
        self._block = bytearray(block_bytes)
        self._silence = bytes(block_bytes)
        self._started_us = self._clock.now_us()
        self._descriptor_ps = _DESCRIPTOR_FRAMES * _PS_PER_S * 1_000_000 // (rate * (1_000_000 + chip.clock_ppm))
        self._edge_ps = self._descriptor_ps  # when the descriptor in the hardware's hands is done, from _started_us
        if self._is_rx:
            self._end = chip.microphone
            self._ring = RingIO((self._n_waiting_max + 1) * block_bytes)  # and the rest of the one being read
        else:
            self._end = chip.loudspeaker
            self._in_hand = self._silence
            self._ring = RingIO(self._n_waiting_max * block_bytes)
            for _ in range(self._n_waiting_max):  # the driver starts with a full round of zeros
                self._ring.write(self._silence)
        self._end.start(self)

    def init(self, **settings):
        raise NotImplementedError("the stand-in I2S has no init(): make a new I2S of the same id")

    def irq(self, handler):
        raise NotImplementedError("the stand-in I2S has no irq(): poll it once, then read and write without waiting")

    def deinit(self):
        self.run_dma()
        if self.chip.i2s.get(self.id) is self:
            del self.chip.i2s[self.id]

    def readinto(self, words, n_bytes=-1):
        """Return the number of bytes read; 0 when no descriptor is full yet."""
        if self._is_polled:
            self.run_dma()
            return self._ring.readinto(words, len(words) if n_bytes < 0 else n_bytes)
        return self._move_all(words, len(words) if n_bytes < 0 else n_bytes)

    def write(self, pcm, start=0, n_bytes=-1):
        """Return the number of bytes taken; 0 when every descriptor waits to be played."""
        n_bytes = len(pcm) - start if n_bytes < 0 else n_bytes
        if self._is_polled:
            self.run_dma()
            return self._ring.write(pcm, start, n_bytes)
        return self._move_all(memoryview(pcm)[start:], n_bytes)

    def ioctl(self, request, flags):
        if request != _POLL:
            return -_EINVAL
        self._is_polled = True
        self.run_dma()
        ready = _POLL_READ if self._is_rx else _POLL_WRITE
        has_room = self._ring.any() > 0 if self._is_rx else self._ring.any() < self._n_waiting_max * len(self._block)
        return ready & flags if has_room else 0

    def run_dma(self):
        """Catch up with the clock."""
        now_ps = (self._clock.now_us() - self._started_us) * 1_000_000
        while self._edge_ps <= now_ps:
            self._edge_ps += self._descriptor_ps
            if self._is_rx:
                self._take_descriptor()
            else:
                self._play_descriptor()

    def frame_at(self, at_us):
        """Return the number of the frame that is captured or played at that time."""
        return (at_us - self._started_us) * 1_000_000 * _DESCRIPTOR_FRAMES // self._descriptor_ps

    def us_at(self, frame):
        """Return when that frame is captured or played."""
        return self._started_us + frame * self._descriptor_ps // _DESCRIPTOR_FRAMES // 1_000_000

    def _take_descriptor(self):
        if self._ring.any() // len(self._block) >= self._n_waiting_max:
            self._ring.readinto(self._block)
            self.n_overruns += 1
        self._ring.write(self._end.next_block())

    def _play_descriptor(self):
        """The one in the hardware's hands is done; the next is taken up as it stands now."""
        self._end.play(self._in_hand)
        n_bytes = self._ring.readinto(self._block)
        self._in_hand = self._block if n_bytes else self._silence
        if n_bytes < len(self._block):
            self.n_underruns += 1
        while 0 < n_bytes < len(self._block):
            self._block[n_bytes] = 0
            n_bytes += 1

    def _move_all(self, buf, n_bytes):
        view = memoryview(buf)[:n_bytes]
        n_done = 0
        while n_done < n_bytes:
            self.run_dma()
            rest = view[n_done:]
            n_done += self._ring.readinto(rest) if self._is_rx else self._ring.write(rest)
            if n_done < n_bytes:
                now_ps = (self._clock.now_us() - self._started_us) * 1_000_000
                self._clock.sleep_us((self._edge_ps - now_ps) // 1_000_000 + 1)
        return n_done
