"""The kernels of the microphone and of SRTP, as the machine code of both kinds of chip.

What they compute on the simulated board is held by tests/both.
"""

import hashlib
import hmac
import random
import struct

import pytest
from tests.opus.machines.host import execute

from pressroom.voice import dsp_plain
from pressroom_host import assets

SHA1_START = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0)  # FIPS 180-4 section 5.3.1


@pytest.fixture
def seeded():
    return random.Random(16_000)


@pytest.fixture
def dsp(machine):
    path = assets.firmware_folder() / "pressroom/voice/dsp_viper.py"
    return execute(path.read_text(), "dsp_viper", machine)


@pytest.fixture
def crypto(machine):
    path = assets.firmware_folder() / "pressroom/wire/crypto_viper.py"
    without_aes = path.read_text().replace("from cryptolib import aes\n", "aes = None\n")
    return execute(without_aes, "crypto_viper", machine)


def assert_twins_agree(dsp, name, *arguments):
    by_chip, by_plain = ([bytearray(each) if isinstance(each, bytes) else each for each in arguments] for _ in range(2))
    found = getattr(dsp, name)(*by_chip)
    expected = getattr(dsp_plain, name)(*by_plain)
    assert by_chip == by_plain
    if expected is not None:
        assert found == expected


def test_the_microphone_is_captured_alike(dsp, seeded):
    state = struct.pack("<4i", 5, 97, 0, 0)
    for shift in range(7):
        for words in (seeded.randbytes(4 * 53), b"\xff\xff\xff\x7f" * 53, b"\x00\x00\x00\x80" * 53):
            by_chip, in_plain = bytearray(state), list(struct.unpack("<4i", state))
            by_chip[8:12] = struct.pack("<i", shift)
            in_plain[2] = shift
            rings = bytearray(2 * 97), bytearray(2 * 97)
            dsp.capture_into(words, 53, rings[0], by_chip)
            dsp_plain.capture_into(words, 53, rings[1], in_plain)
            assert rings[0] == rings[1]
            assert by_chip == struct.pack("<4i", *in_plain)
            state = bytes(by_chip)


def test_pcm_is_changed_alike(dsp, seeded):
    assert_twins_agree(dsp, "swap_bytes_into", bytes(640), seeded.randbytes(640), 640)
    assert_twins_agree(dsp, "cross_fade_in_place", seeded.randbytes(128), seeded.randbytes(128), 64)
    assert_twins_agree(dsp, "peak", seeded.randbytes(640), 320)
    assert_twins_agree(dsp, "peak", b"\x00\x80" * 320, 320)
    for gain_q8 in (0, 77, 256):
        assert_twins_agree(dsp, "scale_in_place", seeded.randbytes(640), 320, gain_q8)
    for is_reversed in (0, 1):
        assert_twins_agree(dsp, "fade_into", bytes(640), seeded.randbytes(640), 320, is_reversed, 8192, 51)


def test_the_tag_of_a_packet_is_that_of_hmac(crypto, seeded):
    key = seeded.randbytes(20)
    for n_bytes in (0, 1, 51, 52, 55, 63, 64, 65, 119, 652):
        message, roc = seeded.randbytes(n_bytes), seeded.getrandbits(30)
        inner = sha1(crypto, padded(key, 0x36), message, roc, 4)
        tag = sha1(crypto, padded(key, 0x5C), inner, 0, 0)
        assert tag == hmac.digest(key, message + roc.to_bytes(4, "big"), hashlib.sha1)


def padded(key, pad):
    return bytes(byte ^ pad for byte in key.ljust(64, b"\0"))


def sha1(crypto, first_block, message, roc, n_roc_bytes):
    state, words, block, digest = (
        bytearray(struct.pack("<5I", *SHA1_START)),
        bytearray(320),
        bytearray(128),
        bytearray(20),
    )
    crypto._sha1_blocks(state, words, first_block, 0, 1)
    n_whole = len(message) // 64
    crypto._sha1_blocks(state, words, message, 0, n_whole)
    n_blocks = crypto._last_blocks_into(block, message, 64 * n_whole, len(message), roc, n_roc_bytes)
    crypto._sha1_blocks(state, words, block, 0, n_blocks)
    crypto._words_into(digest, state)
    return bytes(digest)


def test_a_keystream_is_counted_and_laid_over(crypto, seeded):
    counters, iv = bytearray(64), seeded.randbytes(14) + bytes(2)
    crypto._counters_into(counters, iv, 0x1FE)
    assert counters == b"".join(iv[:14] + n.to_bytes(2, "big") for n in range(0x1FE, 0x202))
    buf, keystream = bytearray(100), seeded.randbytes(64)
    crypto._xor_in_place(buf, 12, keystream, 64)
    assert buf == bytes(12) + keystream + bytes(24)


def test_tags_are_compared_to_the_last_bit(crypto):
    tag = bytes(range(10))
    assert crypto.is_same(b"header" + tag, 6, tag, 10)
    assert not crypto.is_same(b"header" + tag[:9] + b"\x08", 6, tag, 10)
