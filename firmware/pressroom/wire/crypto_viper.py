"""What crypto.py promises, in viper and by the chip's AES: nothing is allocated after __init__. No I/O.

There is no counter mode in stock firmware, and its hashes can neither be copied nor be used twice without allocating.
The kernels are written for the chip, whose integers have 32 bits and wrap. They check no length; their callers have.
"""

from array import array

import micropython
from cryptolib import aes
from micropython import const

_AES_ECB = const(1)
_BLOCKS = const(4)  # keystream made at a time: one call for a packet of Opus, ten for one of L16
_CHUNK_BYTES = const(64)

_SHA1_START = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0)  # FIPS 180-4 section 5.3.1
_SHA1_WORDS = const(5)
_SHA1_BLOCK_BYTES = const(64)
_SHA1_BYTES = const(20)
_INNER_PAD = const(0x36)  # RFC 2104 section 2
_OUTER_PAD = const(0x5C)
_ROC_BYTES = const(4)


class AesCounter:
    """AES-128 in counter mode, as SRTP counts (RFC 3711 section 4.1.1)."""

    __slots__ = ("_aes", "_keystream")

    def __init__(self, key: bytes) -> None:
        self._aes = aes(bytes(key), _AES_ECB)
        self._keystream = bytearray(_CHUNK_BYTES)

    def xor_keystream_in_place(self, buf: bytearray, start: int, end: int, iv: bytearray) -> None:
        """Encrypt or decrypt buf[start:end]; iv: 16 bytes, the last two zero."""
        keystream = self._keystream
        n_block = 0
        while start < end:
            _counters_into(keystream, iv, n_block)
            self._aes.encrypt(keystream, keystream)
            n_block += _BLOCKS
            n_bytes = end - start if end - start < _CHUNK_BYTES else _CHUNK_BYTES
            _xor_in_place(buf, start, keystream, n_bytes)
            start += n_bytes


class HmacSha1:
    """HMAC-SHA1 of a message and a rollover counter (RFC 3711 section 4.2)."""

    __slots__ = ("_inner", "_outer", "_state", "_words", "_block")

    def __init__(self, key: bytes) -> None:
        self._state = array("I", _SHA1_START)
        self._words = array("I", [0] * 80)
        self._block = bytearray(2 * _SHA1_BLOCK_BYTES)
        self._inner = self._state_after(key, _INNER_PAD)
        self._outer = self._state_after(key, _OUTER_PAD)

    def tag_into(self, tag: bytearray, message: bytearray, n_bytes: int, roc: int) -> None:
        """Write the 20 bytes over message[:n_bytes] and the 4 bytes of roc."""
        n_whole = n_bytes // _SHA1_BLOCK_BYTES
        _copy_words(self._state, self._inner, _SHA1_WORDS)
        _sha1_blocks(self._state, self._words, message, 0, n_whole)
        self._finish(message, n_whole * _SHA1_BLOCK_BYTES, n_bytes, roc, _ROC_BYTES)
        _words_into(tag, self._state)
        _copy_words(self._state, self._outer, _SHA1_WORDS)
        self._finish(tag, 0, _SHA1_BYTES, 0, 0)
        _words_into(tag, self._state)

    def _finish(self, message, start, end, roc, n_roc_bytes):
        n_blocks = _last_blocks_into(self._block, message, start, end, roc, n_roc_bytes)
        _sha1_blocks(self._state, self._words, self._block, 0, n_blocks)

    def _state_after(self, key, pad):
        state = array("I", _SHA1_START)
        block = bytearray(_SHA1_BLOCK_BYTES)
        for i in range(_SHA1_BLOCK_BYTES):
            block[i] = pad ^ (key[i] if i < len(key) else 0)
        _sha1_blocks(state, self._words, block, 0, 1)
        return state


@micropython.viper
def is_same(a: ptr8, a_start: int, b: ptr8, n_bytes: int) -> bool:
    """Return whether a[a_start:] and b begin with the same n_bytes."""
    difference = 0
    i = 0
    while i < n_bytes:
        difference |= a[a_start + i] ^ b[i]
        i += 1
    return difference == 0


@micropython.viper
def _counters_into(counters: ptr8, iv: ptr8, n_block: int):
    # Four counter blocks, the first numbered n_block; an offset of i keeps every index out of the compiler's constants.
    at = 0
    end = n_block + 4
    while n_block < end:
        i = 0
        while i < 14:
            counters[at + i] = iv[i]
            i += 1
        counters[at + 14] = n_block >> 8
        counters[at + 15] = n_block
        at += 16
        n_block += 1


@micropython.viper
def _xor_in_place(buf: ptr8, start: int, keystream: ptr8, n_bytes: int):
    i = 0
    while i < n_bytes:
        buf[start + i] = buf[start + i] ^ keystream[i]
        i += 1


@micropython.viper
def _copy_words(to: ptr32, words: ptr32, n_words: int):
    i = 0
    while i < n_words:
        to[i] = words[i]
        i += 1


@micropython.viper
def _words_into(buf: ptr8, state: ptr32):
    # SHA-1's five words, big-endian.
    i = 0
    while i < 5:
        word = state[i]
        at = 4 * i
        buf[at] = word >> 24
        buf[at + 1] = word >> 16
        buf[at + 2] = word >> 8
        buf[at + 3] = word
        i += 1


@micropython.viper
def _last_blocks_into(block: ptr8, message: ptr8, start: int, end: int, roc: int, n_roc_bytes: int) -> int:
    # message[start:end], roc in 4 bytes or none, and SHA-1's padding (FIPS 180-4 section 5.1.1) for a message that
    # follows the block of a key. Returns the number of blocks, 1 or 2; end is less than 64 beyond start.
    n = 0
    while start + n < end:
        block[n] = message[start + n]
        n += 1
    n_message_bits = (64 + end + n_roc_bytes) * 8
    if n_roc_bytes:
        block[n] = roc >> 24
        block[n + 1] = roc >> 16
        block[n + 2] = roc >> 8
        block[n + 3] = roc
        n += 4
    block[n] = 0x80
    n_blocks = 1 if n < 56 else 2
    length_at = 64 * n_blocks - 4
    n += 1
    while n < length_at:
        block[n] = 0
        n += 1
    block[length_at] = n_message_bits >> 24
    block[length_at + 1] = n_message_bits >> 16
    block[length_at + 2] = n_message_bits >> 8
    block[length_at + 3] = n_message_bits
    return n_blocks


@micropython.viper
def _sha1_blocks(state: ptr32, w: ptr32, message: ptr8, start: int, n_blocks: int):
    # FIPS 180-4 section 6.1.2.
    k0 = uint(0x5A82) << 16 | 0x7999  # section 4.2.1
    k1 = uint(0x6ED9) << 16 | 0xEBA1
    k2 = uint(0x8F1B) << 16 | 0xBCDC
    k3 = uint(0xCA62) << 16 | 0xC1D6
    while n_blocks > 0:
        n_blocks -= 1
        i = 0
        while i < 16:
            w[i] = message[start] << 24 | message[start + 1] << 16 | message[start + 2] << 8 | message[start + 3]
            start += 4
            i += 1
        while i < 80:
            x = uint(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16])
            w[i] = x << 1 | x >> 31
            i += 1
        a = uint(state[0])
        b = uint(state[1])
        c = uint(state[2])
        d = uint(state[3])
        e = uint(state[4])
        i = 0
        while i < 20:
            x = (a << 5 | a >> 27) + (d ^ b & (c ^ d)) + e + k0 + w[i]
            e = d
            d = c
            c = b << 30 | b >> 2
            b = a
            a = x
            i += 1
        while i < 40:
            x = (a << 5 | a >> 27) + (b ^ c ^ d) + e + k1 + w[i]
            e = d
            d = c
            c = b << 30 | b >> 2
            b = a
            a = x
            i += 1
        while i < 60:
            x = (a << 5 | a >> 27) + (b & c | d & (b | c)) + e + k2 + w[i]
            e = d
            d = c
            c = b << 30 | b >> 2
            b = a
            a = x
            i += 1
        while i < 80:
            x = (a << 5 | a >> 27) + (b ^ c ^ d) + e + k3 + w[i]
            e = d
            d = c
            c = b << 30 | b >> 2
            b = a
            a = x
            i += 1
        state[0] += a
        state[1] += b
        state[2] += c
        state[3] += d
        state[4] += e
