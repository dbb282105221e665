"""wire.crypto: the same results on both Pythons, which are those of the standards."""

import hashlib

from portable import Noise, allocates_nothing, unhex, vectors

from pressroom.wire.crypto import AesCounter, HmacSha1, is_same

VECTORS = vectors("srtp")


def tag(key, message, roc):
    digest = bytearray(20)
    HmacSha1(key).tag_into(digest, message, len(message), roc)
    return bytes(digest)


def hmac_by_hashlib(key, message):
    block = bytes(key) + bytes(64 - len(key))
    inner = hashlib.sha1(bytes(byte ^ 0x36 for byte in block) + message).digest()
    return hashlib.sha1(bytes(byte ^ 0x5C for byte in block) + inner).digest()


def test_the_keystream_is_that_of_the_rfc():
    vector = VECTORS["aes_cm"]
    keystream = bytearray(16 * 65_282)
    AesCounter(unhex(vector["key"])).xor_keystream_in_place(keystream, 0, len(keystream), unhex(vector["iv"]))
    for n_block, block in vector["keystream"]:
        assert keystream[16 * n_block : 16 * n_block + 16] == unhex(block)


def test_only_the_bytes_asked_for_are_encrypted():
    vector = VECTORS["aes_cm"]
    whole = bytearray(300)
    cipher = AesCounter(unhex(vector["key"]))
    cipher.xor_keystream_in_place(whole, 0, 300, unhex(vector["iv"]))
    for start, n_bytes in ((0, 0), (0, 1), (1, 63), (7, 64), (12, 65), (12, 128), (12, 200)):
        buf = bytearray(b"\x55" * 300)
        cipher.xor_keystream_in_place(buf, start, start + n_bytes, unhex(vector["iv"]))
        assert buf[:start] == b"\x55" * start
        assert buf[start : start + n_bytes] == bytes(byte ^ 0x55 for byte in whole[:n_bytes])
        assert buf[start + n_bytes :] == b"\x55" * (300 - start - n_bytes)


def test_the_tag_is_that_of_the_rfc():
    for key, message, digest in VECTORS["hmac_sha1"]["cases"]:
        message = unhex(message)  # its last four bytes go in as the rollover counter
        assert tag(unhex(key), message[:-4], int.from_bytes(message[-4:], "big")) == unhex(digest)


def test_the_tag_is_that_of_hashlib_for_every_length():
    noise = Noise(2)
    key = noise.octets(20)
    for n_bytes in range(260):
        message = noise.octets(n_bytes)
        roc = noise.below(1 << 24) << 6
        assert tag(key, message, roc) == hmac_by_hashlib(key, message + roc.to_bytes(4, "big"))


def test_bytes_past_the_length_do_not_count():
    key = bytes(range(20))
    digest = bytearray(20)
    HmacSha1(key).tag_into(digest, bytearray(b"voice" + bytes(60)), 5, 0)
    assert digest == hmac_by_hashlib(key, b"voice" + bytes(4))


def test_a_difference_in_any_byte_is_seen():
    a = bytearray(b"....0123456789")
    b = bytearray(b"0123456789......")
    assert is_same(a, 4, b, 10)
    for i in range(10):
        b[i] ^= 0x80
        assert not is_same(a, 4, b, 10)
        b[i] ^= 0x80


def test_encrypting_and_tagging_allocate_nothing():
    try:
        import cryptolib  # noqa: F401
    except ImportError:
        return  # the host's libraries may allocate as they like
    cipher = AesCounter(bytes(16))
    authenticator = HmacSha1(bytes(20))
    packet = bytearray(662)
    digest = bytearray(20)
    iv = bytearray(16)

    def step():
        cipher.xor_keystream_in_place(packet, 12, 652, iv)
        authenticator.tag_into(digest, packet, 652, 3)
        is_same(packet, 652, digest, 10)

    assert allocates_nothing(step)
