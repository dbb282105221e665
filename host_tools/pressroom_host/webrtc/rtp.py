"""RTP packets as a room forwards them: the payload is never looked at. No I/O. Source: RFC 3550 section 5.1."""

HEADER_BYTES = 12
PLAIN = 0x80  # first byte: version 2, no padding, no extension, no CSRC
_VERSION = 2
_PADDING = 0x20
_EXTENSION = 0x10
_N_CSRC = 0x0F


def plain(packet: bytes) -> bytes:
    """Return the packet without CSRCs, extension and padding, or b"" if its lengths do not hold or nothing is left."""
    if len(packet) <= HEADER_BYTES:
        return b""
    first = packet[0]
    start, end = HEADER_BYTES + 4 * (first & _N_CSRC), len(packet)
    if first & _EXTENSION and start + 4 <= end:
        start += 4 + 4 * int.from_bytes(packet[start + 2 : start + 4], "big")
    if first & _PADDING:
        end -= packet[-1] or end
    if first >> 6 != _VERSION or start >= end:
        return b""
    return bytes((PLAIN,)) + packet[1:HEADER_BYTES] + packet[start:end]
