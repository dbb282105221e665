"""Whether the lengths inside an SCTP packet hold. No I/O.

aiortc 1.16 follows the length of a parameter without looking at it: one of zero keeps it busy for ever.
Source: RFC 9260 sections 3.2 and 3.2.1; RFC 6525 section 3.1.
"""

import struct

_HEADER_BYTES = 12
_CHUNK_HEADER_BYTES = 4
_PARAMETER_HEADER_BYTES = 4

# Where the parameters begin in the chunks that consist of them: type -> bytes after the start of the chunk.
_PARAMETERS_START = {
    1: 20,  # INIT
    2: 20,  # INIT ACK
    4: 4,  # HEARTBEAT
    5: 4,  # HEARTBEAT ACK
    6: 4,  # ABORT
    9: 4,  # ERROR
    130: 4,  # RE-CONFIG
}


def is_well_framed(packet: bytes) -> bool:
    """Return True if every chunk and every parameter ends where the next begins, all inside the packet."""
    position = _HEADER_BYTES
    while position + _CHUNK_HEADER_BYTES <= len(packet):
        kind, _, n_bytes = struct.unpack_from("!BBH", packet, position)
        end = position + n_bytes
        if n_bytes < _CHUNK_HEADER_BYTES or end > len(packet):
            return False
        start = _PARAMETERS_START.get(kind)
        if start is not None and not _are_parameters(packet, position + start, end):
            return False
        position = end + -n_bytes % 4
    return position >= len(packet)


def _are_parameters(packet: bytes, position: int, end: int) -> bool:
    while position + _PARAMETER_HEADER_BYTES <= end:
        (n_bytes,) = struct.unpack_from("!H", packet, position + 2)
        if n_bytes < _PARAMETER_HEADER_BYTES or position + n_bytes > end:
            return False
        position += n_bytes + -n_bytes % 4
    return position >= end
