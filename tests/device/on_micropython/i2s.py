"""The stand-in I2S against what the driver of the ESP32 does. Runs under MicroPython, on a virtual clock."""

import gc
import os
import struct

import chip as board
from machine import I2S
from micropython import const
from sim_audio import ClipLate

from pressroom.hal.mic import Mic
from pressroom.hal.speaker import Speaker

PINS = {"id": 0, "sck": 5, "ws": 4, "sd": 6}
DESCRIPTOR_US = const(16_000)
RX_BYTES = const(1024)  # of one descriptor, as the firmware reads it
TX_BYTES = const(512)


def i2s(mode, n_descriptors):
    bits, dma_bytes = (32, 2048) if mode == I2S.RX else (16, 512)
    made = I2S(0, sck=5, ws=4, sd=6, mode=mode, bits=bits, format=I2S.MONO, rate=16000, ibuf=n_descriptors * dma_bytes)
    made.ioctl(3, 5)  # a poll, after which it does not block
    return made


def words_of(data, n_bytes):
    return list(struct.unpack("<%di" % (n_bytes // 4), bytes(data[:n_bytes])))


def test_nothing_can_be_read_before_a_descriptor_is_full():
    chip = board.power_on()
    mic = i2s(I2S.RX, 4)
    words = bytearray(4 * RX_BYTES)
    chip.clock.advance_us(DESCRIPTOR_US - 1)
    assert mic.readinto(words) == 0
    chip.clock.advance_us(1)
    assert mic.readinto(words) == RX_BYTES


def test_a_read_takes_what_is_there_and_what_fits():
    chip = board.power_on()
    mic = i2s(I2S.RX, 4)
    frame = bytearray(1280)
    chip.clock.advance_us(2 * DESCRIPTOR_US)
    assert mic.readinto(frame) == 1280
    assert mic.readinto(frame) == 2 * RX_BYTES - 1280
    assert mic.readinto(frame) == 0


def test_the_oldest_descriptor_is_lost_when_nobody_reads():
    chip = board.power_on()
    mic = i2s(I2S.RX, 4)
    board.write_clip("ramp.raw", range(2048))
    chip.microphone.lay("ramp.raw", 2048, chip.clock.now_us())
    chip.clock.advance_us(5 * DESCRIPTOR_US)
    words = bytearray(8 * RX_BYTES)
    n_bytes = mic.readinto(words)
    assert n_bytes == 3 * RX_BYTES  # of four descriptors one is being filled
    assert words_of(words, n_bytes)[0] == 2 * 256
    assert mic.n_overruns == 2


def test_at_least_two_descriptors_are_made():
    chip = board.power_on()
    mic = I2S(0, sck=5, ws=4, sd=6, mode=I2S.RX, bits=32, format=I2S.MONO, rate=16000, ibuf=1)
    mic.ioctl(3, 1)
    chip.clock.advance_us(10 * DESCRIPTOR_US)
    assert mic.readinto(bytearray(4 * RX_BYTES)) == RX_BYTES


def test_a_clip_is_heard_from_its_sample_on():
    chip = board.power_on()
    mic = i2s(I2S.RX, 8)
    board.write_clip("clip.raw", [7] * 300)
    at_us = chip.clock.now_us() + 10_000
    assert chip.microphone.lay("clip.raw", 300, at_us) == at_us
    chip.clock.advance_us(3 * DESCRIPTOR_US)
    words = bytearray(4 * RX_BYTES)
    heard = words_of(words, mic.readinto(words))
    assert heard == [0] * 160 + [7] * 300 + [0] * 308


def test_clips_that_share_a_descriptor_are_all_heard():
    chip = board.power_on()
    mic = i2s(I2S.RX, 8)
    now_us = chip.clock.now_us()
    for n in (1, 2, 3):
        board.write_clip("clip%d.raw" % n, [n] * 20)
        chip.microphone.lay("clip%d.raw" % n, 20, now_us + n * 2_000)
    chip.clock.advance_us(DESCRIPTOR_US)
    words = bytearray(RX_BYTES)
    heard = words_of(words, mic.readinto(words))
    assert heard == [0] * 32 + [1] * 20 + [0] * 12 + [2] * 20 + [0] * 12 + [3] * 20 + [0] * 140


def test_a_clip_that_begins_before_now_is_refused():
    chip = board.power_on()
    i2s(I2S.RX, 4)
    board.write_clip("clip.raw", [7] * 300)
    at_us = chip.clock.now_us()
    chip.clock.advance_us(2 * DESCRIPTOR_US)
    try:
        chip.microphone.lay("clip.raw", 300, at_us)
        is_taken = True
    except ClipLate:
        is_taken = False
    assert not is_taken


def test_a_loudspeaker_starts_with_its_descriptors_full_of_silence():
    board.power_on()
    assert i2s(I2S.TX, 4).write(bytes(TX_BYTES)) == 0


def test_a_write_takes_what_finds_room():
    chip = board.power_on()
    speaker = i2s(I2S.TX, 4)
    chip.clock.advance_us(DESCRIPTOR_US)
    frame = bytes(640)
    assert speaker.write(frame) == TX_BYTES
    assert speaker.write(frame, TX_BYTES) == 0
    chip.clock.advance_us(DESCRIPTOR_US)
    assert speaker.write(frame, TX_BYTES) == 128
    assert speaker.write(frame) == TX_BYTES - 128


def test_an_empty_loudspeaker_plays_silence_and_the_next_write_at_the_next_descriptor():
    chip = board.power_on()
    speaker = i2s(I2S.TX, 4)
    chip.clock.advance_us(10 * DESCRIPTOR_US + DESCRIPTOR_US // 2)
    assert speaker.write(struct.pack("<h", 5) * 256) == TX_BYTES
    chip.clock.advance_us(2 * DESCRIPTOR_US)
    assert board.played(speaker) == [0] * 256 * 11 + [5] * 256
    assert speaker.n_underruns == 8  # 4 to 10 and 12; the first four were silence that the driver had queued


def test_a_descriptor_that_is_partly_filled_ends_in_silence():
    chip = board.power_on()
    speaker = i2s(I2S.TX, 2)
    chip.clock.advance_us(2 * DESCRIPTOR_US)
    assert speaker.write(struct.pack("<h", 5) * 100) == 200
    chip.clock.advance_us(2 * DESCRIPTOR_US)
    assert board.played(speaker)[2 * 256 :] == [0] * 256 + [5] * 100 + [0] * 156


def test_every_sample_of_the_file_has_its_time():
    chip = board.power_on(clock_ppm=100)
    speaker = i2s(I2S.TX, 4)
    kind, started_us, fields = board.reports.kept[0]
    assert (kind, started_us, fields["rate_hz"]) == ("speaker", 5_000_000, 16000)
    chip.clock.advance_us(60_000_000)
    speaker.run_dma()
    n_samples = os.stat("speaker.raw")[6] // 2
    exact = 60 * 16000 * (1 + 100e-6)
    assert exact - 256 < n_samples <= exact


def test_five_minutes_at_100_ppm_drift_by_480_samples():
    for ppm in (-100, 100):
        chip = board.power_on(clock_ppm=ppm)
        mic = i2s(I2S.RX, 4)
        words = bytearray(RX_BYTES)
        n_bytes = 0
        for _ in range(300 * 125):
            chip.clock.advance_us(8_000)
            n_bytes += mic.readinto(words)
        exact = 300 * 16000 * (1 + ppm / 1e6)
        assert exact - 256 < n_bytes // 4 <= exact, n_bytes
        assert mic.n_overruns == 0


def test_it_blocks_until_it_is_polled():
    chip = board.power_on()
    mic = I2S(0, sck=5, ws=4, sd=6, mode=I2S.RX, bits=32, format=I2S.MONO, rate=16000, ibuf=8192)
    began_us = chip.clock.now_us()
    assert mic.readinto(bytearray(2 * RX_BYTES)) == 2 * RX_BYTES
    waited_us = chip.clock.now_us() - began_us
    assert 2 * DESCRIPTOR_US <= waited_us <= 2 * DESCRIPTOR_US + 2


def test_a_second_object_of_a_peripheral_ends_the_first():
    chip = board.power_on()
    first = i2s(I2S.RX, 4)
    second = i2s(I2S.RX, 4)
    assert chip.i2s[0] is second
    assert first is not second


def test_hal_moves_500_frames_without_allocating():
    chip = board.power_on()
    mic = Mic(PINS)
    speaker = Speaker({"id": 1, "sck": 15, "ws": 16, "sd": 7})
    board.write_clip("clip.raw", [3] * 160_000)
    chip.microphone.lay("clip.raw", 160_000, chip.clock.now_us())
    words = bytearray(1280)
    pcm = bytes(640)
    move_frames(chip.clock, mic, speaker, words, pcm, 2)
    gc.collect()
    before = gc.mem_alloc()
    move_frames(chip.clock, mic, speaker, words, pcm, 500)
    assert gc.mem_alloc() - before == 0, gc.mem_alloc() - before


def move_frames(clock, mic, speaker, words, pcm, n_frames):
    n = 0
    while n < n_frames:
        clock.advance_us(20_000)
        while mic.read_into(words):
            pass
        taken = speaker.write(pcm)
        if taken < 640:
            speaker.write(pcm, taken)
        n += 1


def test_a_frame_of_64_words_comes_whole():
    chip = board.power_on()
    mic = Mic(PINS)
    words = bytearray(256)
    sizes = set()
    for _ in range(1000):
        chip.clock.advance_us(3_000)
        sizes.add(mic.read_into(words))
    assert sizes == {0, 256}
