"""RTP packets as they travel between device and gateway (RFC 3550 section 5). No I/O.

Written field by field into the caller's buffer, and read where they lie: nothing here allocates, save the whole
timestamps, which are for messages.
"""

from .port import const

HEADER_BYTES = const(12)  # RFC 3550 section 5.1: without contributing sources

# Payload types 96 to 127 are dynamic (RFC 3551 section 3); these are what both ends agree on.
PT_L16 = const(96)  # 16-bit samples, big-endian, clock and samples at 16 kHz: 640 bytes and 320 ticks a frame
PT_OPUS = const(111)  # clock 48 kHz (RFC 7587 section 4.1): 960 ticks a frame
PT_KEEPALIVE = const(127)

_VERSION_2 = const(0x80)  # RFC 3550 section 5.1
_VERSION_MASK = const(0xC0)
_PADDING_BIT = const(0x20)
_EXTENSION_BIT = const(0x10)
_CSRC_COUNT_MASK = const(0x0F)
_MARKER_BIT = const(0x80)
_PAYLOAD_TYPE_MASK = const(0x7F)
_WORD_BYTES = const(4)


class RtpOut:
    """Numbers the packets of one stream.

    ssrc, timestamp: 4 bytes each, big-endian; timestamp is that of the first sample. seq: of the first packet.
    ticks_per_frame: of the payload's clock, in 20 ms.
    """

    __slots__ = ("seq", "payload_type", "_ssrc", "_timestamp_high", "_timestamp_low", "_ticks_per_frame")

    def __init__(self, ssrc: bytes, payload_type: int, seq: int, timestamp: bytes, ticks_per_frame: int) -> None:
        self.seq = seq  # of the next packet
        self.payload_type = payload_type
        self._ssrc = bytes(ssrc)
        self._timestamp_high = timestamp[0] << 8 | timestamp[1]  # two halves: 32 bits would be an object on the chip
        self._timestamp_low = timestamp[2] << 8 | timestamp[3]
        self._ticks_per_frame = ticks_per_frame

    @property
    def timestamp(self) -> int:
        """Timestamp of the next frame. Allocates."""
        return self._timestamp_high << 16 | self._timestamp_low

    def write_header_into(self, packet: bytearray, is_marked: bool) -> None:
        """Write the 12 bytes of a frame's header; is_marked: this frame is the first of a talk."""
        self._write_into(packet, self.payload_type | _MARKER_BIT if is_marked else self.payload_type)
        self.skip_frames(1)

    def write_keepalive_into(self, packet: bytearray) -> None:
        """Write the 12 bytes of a keepalive's header: it takes a sequence number, but no time."""
        self._write_into(packet, PT_KEEPALIVE)

    def skip_frames(self, n_frames: int) -> None:
        """Let the time of n_frames pass unsent; negative goes back, to send what was heard before."""
        low = self._timestamp_low + n_frames * self._ticks_per_frame
        self._timestamp_low = low & 0xFFFF
        self._timestamp_high = (self._timestamp_high + (low >> 16)) & 0xFFFF

    def _write_into(self, packet, marker_and_type):
        ssrc = self._ssrc
        packet[0] = _VERSION_2
        packet[1] = marker_and_type
        packet[2] = self.seq >> 8
        packet[3] = self.seq & 0xFF
        packet[4] = self._timestamp_high >> 8
        packet[5] = self._timestamp_high & 0xFF
        packet[6] = self._timestamp_low >> 8
        packet[7] = self._timestamp_low & 0xFF
        packet[8] = ssrc[0]
        packet[9] = ssrc[1]
        packet[10] = ssrc[2]
        packet[11] = ssrc[3]
        self.seq = (self.seq + 1) & 0xFFFF

    def __repr__(self):
        return "RtpOut(payload_type=%d, seq=%d, timestamp=%d)" % (self.payload_type, self.seq, self.timestamp)


def payload_start(packet: bytes, n_bytes: int) -> int:
    """Return where the payload of packet[:n_bytes] begins; -1 if that is no RTP packet.

    n_bytes: at most len(packet). The functions below need a packet for which this is not -1.
    """
    if n_bytes < HEADER_BYTES or packet[0] & _VERSION_MASK != _VERSION_2:
        return -1
    start = HEADER_BYTES + _WORD_BYTES * (packet[0] & _CSRC_COUNT_MASK)
    if packet[0] & _EXTENSION_BIT:
        start += _WORD_BYTES
        if start > n_bytes:
            return -1
        start += _WORD_BYTES * (packet[start - 2] << 8 | packet[start - 1])  # RFC 3550 section 5.3.1
    return start if start <= n_bytes else -1


def payload_end(packet: bytes, n_bytes: int) -> int:
    """Return where the payload of packet[:n_bytes] ends, before its padding; -1 if the packet is malformed."""
    start = payload_start(packet, n_bytes)
    if start < 0 or not packet[0] & _PADDING_BIT:
        return n_bytes if start >= 0 else -1
    n_padding_bytes = packet[n_bytes - 1]  # counts itself, so 0 is malformed
    if n_padding_bytes == 0 or n_padding_bytes > n_bytes - start:
        return -1
    return n_bytes - n_padding_bytes


def payload_type(packet: bytes) -> int:
    """Return the payload type, 0 to 127."""
    return packet[1] & _PAYLOAD_TYPE_MASK


def is_marked(packet: bytes) -> bool:
    """Return whether the marker is set: the packet is the first of a talk."""
    return packet[1] >= _MARKER_BIT


def seq(packet: bytes) -> int:
    """Return the sequence number."""
    return packet[2] << 8 | packet[3]


def timestamp(packet: bytes) -> int:
    """Return the timestamp. Allocates on the chip."""
    return packet[4] << 24 | packet[5] << 16 | packet[6] << 8 | packet[7]
