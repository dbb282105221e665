"""SRTP with AES_CM_128_HMAC_SHA1_80 (RFC 3711), one stream each way. No I/O.

Packets are changed where they lie, and nothing is allocated for them. This is the device's side of the link: the host's
is libsrtp, which the tests set against this.
"""

from . import keys, rtp
from .crypto import AesCounter, HmacSha1, is_same
from .errors import WireError
from .port import const
from .seq import seq_between

TAG_BYTES = const(10)  # RFC 3711 section 5.2: 80 bits
WINDOW_PACKETS = const(29)  # how late a packet may come; a mask of 30 bits would be an object on the chip

_WINDOW_MASK = const(0x1FFFFFFF)
_MAX_ROC = const(0x3FFFFFFF)  # of 32 bits; 65536 packets each, so this lasts 44,000 years
_SALT_BYTES = const(14)
_DIGEST_BYTES = const(20)


class PacketError(WireError):
    """What shall be protected is no RTP packet, or its buffer has no room for the tag."""


class IndexReusedError(WireError):
    """A packet would be encrypted with the keystream of another one: sequence numbers must rise."""


class KeyExhaustedError(WireError):
    """The key has protected as many packets as it may."""


class SrtpOut:
    """Encrypts and tags one stream. key: 16 bytes of master key and 14 of salt, fresh for each stream."""

    __slots__ = ("_transform", "_roc", "_last_seq")

    def __init__(self, key: bytes) -> None:
        self._transform = _Transform(key)
        self._roc = 0
        self._last_seq = None  # None before the first packet

    def protect_in_place(self, packet: bytearray, n_bytes: int) -> int:
        """Encrypt and tag the RTP packet in packet[:n_bytes]; the header stays readable.

        packet: bytearray of at least n_bytes + TAG_BYTES. Returns the SRTP length in bytes.
        Raises PacketError, IndexReusedError or KeyExhaustedError, and has then changed nothing.
        Source: RFC 3711 section 3.3.
        """
        if n_bytes + TAG_BYTES > len(packet):
            raise PacketError("a buffer of %d bytes has no room for %d and the tag" % (len(packet), n_bytes))
        start = rtp.payload_start(packet, n_bytes)
        if start < 0:
            raise PacketError("the first %d bytes are no RTP packet" % n_bytes)
        self._advance_to(rtp.seq(packet))
        self._transform.crypt_in_place(packet, start, n_bytes, self._roc)
        self._transform.write_tag_into(packet, n_bytes, self._roc)
        return n_bytes + TAG_BYTES

    def _advance_to(self, seq):
        if self._last_seq is not None:
            if seq_between(self._last_seq, seq) <= 0:
                raise IndexReusedError("sequence number %d after %d: it must rise" % (seq, self._last_seq))
            if seq < self._last_seq:
                if self._roc == _MAX_ROC:
                    raise KeyExhaustedError("the key has protected all packets it may; take a fresh one")
                self._roc += 1
        self._last_seq = seq


class SrtpIn:
    """Checks and decrypts one stream; what is not authentic, or comes twice, is counted and dropped."""

    __slots__ = ("n_tag_failures", "n_replayed", "n_malformed", "_transform", "_roc", "_last_seq", "_window")

    def __init__(self, key: bytes) -> None:
        self.n_tag_failures = 0
        self.n_replayed = 0  # come before, or too late to tell
        self.n_malformed = 0
        self._transform = _Transform(key)
        self._roc = 0
        self._last_seq = None  # the highest index authenticated; None before the first
        self._window = 0  # bit n: the packet n before the highest has come

    def unprotect_in_place(self, packet: bytearray, n_bytes: int) -> int:
        """Check and decrypt the SRTP packet in packet[:n_bytes].

        Returns the RTP length in bytes; 0 for a packet that was dropped, whose payload is then as it came.
        Source: RFC 3711 section 3.3, with its index estimate and replay list.
        """
        n_bytes -= TAG_BYTES
        start = rtp.payload_start(packet, n_bytes) if n_bytes + TAG_BYTES <= len(packet) else -1
        if start < 0:
            self.n_malformed += 1
            return 0
        seq = rtp.seq(packet)
        last_seq = seq if self._last_seq is None else self._last_seq
        ahead = seq_between(last_seq, seq)
        roc = self._roc + (last_seq + ahead >> 16)  # the sum is below 0 or past 65535 where one of them has wrapped
        if roc < 0 or roc > _MAX_ROC or (ahead <= 0 and self._has_come(-ahead)):
            self.n_replayed += 1
            return 0
        if not self._transform.has_tag(packet, n_bytes, roc):
            self.n_tag_failures += 1
            return 0
        self._remember(seq, ahead, roc)  # only now: a forged packet must not move the window
        self._transform.crypt_in_place(packet, start, n_bytes, roc)
        return n_bytes

    def _has_come(self, n_behind):
        return n_behind >= WINDOW_PACKETS or self._window >> n_behind & 1 == 1

    def _remember(self, seq, ahead, roc):
        if ahead <= 0 and self._last_seq is not None:
            self._window |= 1 << -ahead
            return
        if ahead < WINDOW_PACKETS:  # mask first: what is shifted out must not become an object
            self._window = (self._window & (_WINDOW_MASK >> ahead)) << ahead | 1
        else:
            self._window = 1
        self._last_seq = seq
        self._roc = roc

    def __repr__(self):
        counts = (self.n_tag_failures, self.n_replayed, self.n_malformed)
        return "SrtpIn(n_tag_failures=%d, n_replayed=%d, n_malformed=%d)" % counts


class _Transform:
    """The cipher and the authenticator of one key (RFC 3711 sections 4.1 and 4.2)."""

    __slots__ = ("_cipher", "_authenticator", "_salt", "_iv", "_digest")

    def __init__(self, key):
        self._cipher = AesCounter(keys.cipher_key(key))
        self._authenticator = HmacSha1(keys.authentication_key(key))
        self._salt = keys.salt(key)
        self._iv = bytearray(16)
        self._digest = bytearray(_DIGEST_BYTES)

    def crypt_in_place(self, packet, start, n_bytes, roc):
        iv = self._iv  # section 4.1.1: the salt, over it the SSRC at byte 4 and the index at byte 8
        i = 0
        while i < _SALT_BYTES:
            iv[i] = self._salt[i]
            i += 1
        i = 0
        while i < 4:
            iv[4 + i] ^= packet[8 + i]
            iv[8 + i] ^= roc >> (24 - 8 * i) & 0xFF
            i += 1
        iv[12] ^= packet[2]
        iv[13] ^= packet[3]
        self._cipher.xor_keystream_in_place(packet, start, n_bytes, iv)

    def write_tag_into(self, packet, n_bytes, roc):
        self._authenticator.tag_into(self._digest, packet, n_bytes, roc)
        i = 0
        while i < TAG_BYTES:
            packet[n_bytes + i] = self._digest[i]
            i += 1

    def has_tag(self, packet, n_bytes, roc):
        self._authenticator.tag_into(self._digest, packet, n_bytes, roc)
        return is_same(packet, n_bytes, self._digest, TAG_BYTES)
