"""AES in counter mode, HMAC-SHA1 and comparison: the chip's, or the host's where there is no cryptolib. No I/O.

The two have the same names and pass the same vectors:
     AesCounter(key)        `xor_keystream_in_place(buf, start, end, iv)`
     HmacSha1(key)          `tag_into(tag, message, n_bytes, roc)`: 20 bytes over message[:n_bytes] and roc as 4 bytes
     is_same(a, a_start, b, n_bytes)   in a time that does not tell where they differ
"""

try:
    from .crypto_viper import AesCounter, HmacSha1, is_same
except ImportError:
    from .crypto_host import AesCounter, HmacSha1, is_same

__all__ = ("AesCounter", "HmacSha1", "is_same")
