"""wire.keys: the session keys of RFC 3711 appendix B.3."""

from portable import raised, unhex, vectors

from pressroom.wire import keys
from pressroom.wire.crypto import AesCounter

VECTOR = vectors("srtp")["key_derivation"]
MASTER_KEY = unhex(VECTOR["master_key"]) + unhex(VECTOR["master_salt"])


def test_the_keys_are_those_of_the_rfc():
    assert keys.cipher_key(MASTER_KEY) == unhex(VECTOR["cipher_key"])
    assert keys.salt(MASTER_KEY) == unhex(VECTOR["cipher_salt"])
    assert keys.authentication_key(MASTER_KEY) == unhex(VECTOR["authentication_key"])


def test_the_keystream_behind_them_is_that_of_the_rfc():
    want = unhex(VECTOR["authentication_keystream"])
    keystream = bytearray(len(want))
    iv = unhex(VECTOR["authentication_iv"])
    AesCounter(unhex(VECTOR["master_key"])).xor_keystream_in_place(keystream, 0, len(want), iv)
    assert keystream == want


def test_a_key_of_another_length_is_refused():
    for n_bytes in (0, 16, 29, 31):
        error = raised(keys.KeyLengthError, keys.cipher_key, bytes(n_bytes))
        assert "30 bytes, not %d" % n_bytes in str(error)
