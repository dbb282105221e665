"""What crypto.py promises, by the host's libraries. No I/O."""

import hashlib
import hmac

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes


class AesCounter:
    """AES-128 in counter mode, as SRTP counts (RFC 3711 section 4.1.1)."""

    __slots__ = ("_algorithm",)

    def __init__(self, key: bytes) -> None:
        self._algorithm = algorithms.AES(bytes(key))

    def xor_keystream_in_place(self, buf: bytearray, start: int, end: int, iv: bytearray) -> None:
        """Encrypt or decrypt buf[start:end]; iv: 16 bytes, the last two zero."""
        buf[start:end] = Cipher(self._algorithm, modes.CTR(bytes(iv))).encryptor().update(bytes(buf[start:end]))


class HmacSha1:
    """HMAC-SHA1 of a message and a rollover counter (RFC 3711 section 4.2)."""

    __slots__ = ("_keyed",)

    def __init__(self, key: bytes) -> None:
        self._keyed = hmac.new(bytes(key), digestmod=hashlib.sha1)

    def tag_into(self, tag: bytearray, message: bytearray, n_bytes: int, roc: int) -> None:
        """Write the 20 bytes over message[:n_bytes] and the 4 bytes of roc."""
        keyed = self._keyed.copy()
        keyed.update(bytes(message[:n_bytes]))
        keyed.update(roc.to_bytes(4, "big"))
        tag[:20] = keyed.digest()


def is_same(a: bytearray, a_start: int, b: bytearray, n_bytes: int) -> bool:
    """Return whether a[a_start:] and b begin with the same n_bytes."""
    return hmac.compare_digest(bytes(a[a_start : a_start + n_bytes]), bytes(b[:n_bytes]))
