"""SRTP's session keys, derived from a master key (RFC 3711 section 4.3). No I/O.

A master key is 30 bytes: 16 of key, 14 of salt. The key derivation rate is zero: each key is derived once.
"""

from .crypto import AesCounter
from .errors import WireError
from .port import const

MASTER_KEY_BYTES = const(30)

_KEY_BYTES = const(16)  # RFC 3711 section 8.2
_LABEL_AT = const(7)  # the label's place in the counter: section 4.3.1, key_id << 48 over the salt
_LABEL_CIPHER = const(0)  # section 4.3.2
_LABEL_AUTHENTICATION = const(1)
_LABEL_SALT = const(2)
_AUTHENTICATION_KEY_BYTES = const(20)
_SALT_BYTES = const(14)


class KeyLengthError(WireError):
    """A master key has not 30 bytes."""


def cipher_key(master_key: bytes) -> bytearray:
    """Return the 16 bytes that encrypt SRTP packets."""
    return _derive(master_key, _LABEL_CIPHER, _KEY_BYTES)


def authentication_key(master_key: bytes) -> bytearray:
    """Return the 20 bytes that authenticate SRTP packets."""
    return _derive(master_key, _LABEL_AUTHENTICATION, _AUTHENTICATION_KEY_BYTES)


def salt(master_key: bytes) -> bytearray:
    """Return the 14 bytes that salt the counter."""
    return _derive(master_key, _LABEL_SALT, _SALT_BYTES)


def _derive(master_key, label, n_bytes):
    if len(master_key) != MASTER_KEY_BYTES:
        raise KeyLengthError("an SRTP master key has %d bytes, not %d" % (MASTER_KEY_BYTES, len(master_key)))
    counter = bytearray(16)
    counter[:_SALT_BYTES] = master_key[_KEY_BYTES:]
    counter[_LABEL_AT] ^= label
    derived = bytearray(n_bytes)
    AesCounter(master_key[:_KEY_BYTES]).xor_keystream_in_place(derived, 0, n_bytes, counter)
    return derived
