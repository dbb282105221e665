"""STUN as an ICE-lite server needs it: read a Binding request, write its success response. No I/O.

Source: RFC 8489 (STUN), RFC 8445 (ICE). MESSAGE-INTEGRITY is HMAC-SHA1 with the ICE password as key.
"""

import hmac
import ipaddress
import struct
import zlib
from dataclasses import dataclass

_HEADER_BYTES = 20  # RFC 8489 section 5
_MAGIC_COOKIE = 0x2112A442
_BINDING_REQUEST = 0x0001
_BINDING_SUCCESS = 0x0101
_USERNAME = 0x0006  # RFC 8489 section 18.3
_MESSAGE_INTEGRITY = 0x0008
_XOR_MAPPED_ADDRESS = 0x0020
_FINGERPRINT = 0x8028
_USE_CANDIDATE = 0x0025  # RFC 8445 section 16.1
_IPV4 = 0x01
_FINGERPRINT_XOR = 0x5354554E
_INTEGRITY_BYTES = 20
_MAX_BYTES = 1_280  # a check is some 100 bytes
_MAX_ATTRIBUTES = 32

Address = tuple[str, int]


class StunError(ValueError):
    """Not a Binding request that this server answers."""


@dataclass(frozen=True, slots=True)
class BindingRequest:
    """A well-formed request; who sent it is known only once `is_signed_with` says so."""

    transaction_id: bytes
    local_ufrag: str
    is_nominated: bool
    signed: bytes  # what the signature covers, header length already as RFC 8489 section 14.5 wants it
    signature: bytes

    def is_signed_with(self, password: str) -> bool:
        """Compare in constant time."""
        return hmac.compare_digest(hmac.digest(password.encode(), self.signed, "sha1"), self.signature)


def parse_binding_request(datagram: bytes) -> BindingRequest:
    """Return the request in the datagram. Raises StunError."""
    if not _HEADER_BYTES <= len(datagram) <= _MAX_BYTES:
        raise StunError(f"{len(datagram)} bytes, expected {_HEADER_BYTES} to {_MAX_BYTES}")
    message_type, n_body_bytes, cookie = struct.unpack_from("!HHI", datagram)
    if message_type != _BINDING_REQUEST or cookie != _MAGIC_COOKIE:
        raise StunError("not a Binding request")
    if n_body_bytes + _HEADER_BYTES != len(datagram):
        raise StunError(f"body of {n_body_bytes} bytes in a datagram of {len(datagram)}")
    username, is_nominated, signature_start = b"", False, 0
    for kind, start, end in _attributes(datagram):
        if kind == _FINGERPRINT:
            _check_fingerprint(datagram, start, end)
        elif signature_start:
            continue  # what comes after the signature is not signed
        elif kind == _USERNAME:
            username = datagram[start:end]
        elif kind == _USE_CANDIDATE:
            is_nominated = True
        elif kind == _MESSAGE_INTEGRITY and end - start == _INTEGRITY_BYTES:
            signature_start = start
    if not signature_start:
        raise StunError("not signed")
    local_ufrag = username.split(b":")[0]
    if not local_ufrag.isascii():
        raise StunError("user name is not ASCII")
    n_signed_body_bytes = signature_start + _INTEGRITY_BYTES - _HEADER_BYTES
    return BindingRequest(
        transaction_id=datagram[8:_HEADER_BYTES],
        local_ufrag=local_ufrag.decode(),
        is_nominated=is_nominated,
        signed=datagram[:2] + struct.pack("!H", n_signed_body_bytes) + datagram[4 : signature_start - 4],
        signature=datagram[signature_start : signature_start + _INTEGRITY_BYTES],
    )


def write_binding_response(transaction_id: bytes, address: Address, password: str) -> bytes:
    """Return the success response: the address the request came from, signed."""
    host = int(ipaddress.IPv4Address(address[0]))
    port = address[1]
    mapped = struct.pack("!BBHI", 0, _IPV4, port ^ (_MAGIC_COOKIE >> 16), host ^ _MAGIC_COOKIE)
    body = struct.pack("!HH", _XOR_MAPPED_ADDRESS, len(mapped)) + mapped
    signed = _header(len(body) + 4 + _INTEGRITY_BYTES, transaction_id) + body
    body += struct.pack("!HH", _MESSAGE_INTEGRITY, _INTEGRITY_BYTES) + hmac.digest(password.encode(), signed, "sha1")
    message = _header(len(body) + 8, transaction_id) + body
    return message + struct.pack("!HHI", _FINGERPRINT, 4, zlib.crc32(message) ^ _FINGERPRINT_XOR)


def _header(n_body_bytes: int, transaction_id: bytes) -> bytes:
    return struct.pack("!HHI", _BINDING_SUCCESS, n_body_bytes, _MAGIC_COOKIE) + transaction_id


def _attributes(datagram: bytes) -> list[tuple[int, int, int]]:
    """Return (type, start of value, end of value) of each attribute, all inside the datagram."""
    found: list[tuple[int, int, int]] = []
    position = _HEADER_BYTES
    while position < len(datagram):
        if position + 4 > len(datagram) or len(found) == _MAX_ATTRIBUTES:
            raise StunError("attributes do not end with the message")
        kind, n_bytes = struct.unpack_from("!HH", datagram, position)
        start = position + 4
        if start + n_bytes > len(datagram):
            raise StunError(f"attribute 0x{kind:04x} ends outside the message")
        found.append((kind, start, start + n_bytes))
        position = start + n_bytes + -n_bytes % 4  # values are padded to 32 bits
    return found


def _check_fingerprint(datagram: bytes, start: int, end: int) -> None:
    """Raise StunError unless the CRC holds and is the last thing in the message (RFC 8489 section 14.7)."""
    expected = zlib.crc32(datagram[: start - 4]) ^ _FINGERPRINT_XOR
    if end != len(datagram) or datagram[start:end] != expected.to_bytes(4, "big"):
        raise StunError("fingerprint does not hold")
