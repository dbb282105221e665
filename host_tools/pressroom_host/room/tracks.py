"""A published track: where one talker's RTP packets fan out to its subscribers. No I/O.

The payload is never looked at. Every subscriber gets the packet with the room's SSRC and payload type, and
without CSRCs and header extensions, which were negotiated with the publisher alone.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from livekit.protocol import models

if TYPE_CHECKING:
    from .participant import Participant

OPUS_PAYLOAD_TYPE = 111
_HEADER_BYTES = 12  # RFC 3550 section 5.1
_PLAIN = 0x80  # version 2, no padding, no extension, no CSRC
_VERSION_AND_PADDING = 0xA0
_EXTENSION = 0x10
_N_CSRC = 0x0F
_MARKER = 0x80
# The first two bytes of a plain packet to a subscriber, without and with the marker.
_PLAIN_START = (bytes((_PLAIN, OPUS_PAYLOAD_TYPE)), bytes((_PLAIN, _MARKER | OPUS_PAYLOAD_TYPE)))

Sink = Callable[[bytes], None]


class PublishedTrack:
    """One audio track of one participant.

    info: LiveKit's TrackInfo, shared with every message about the track.
    ssrc: the track's SSRC towards all subscribers.
    """

    __slots__ = ("info", "n_malformed", "n_packets", "owner", "ssrc", "was_heard", "_sinks", "_ssrc_bytes")

    def __init__(self, owner: "Participant", info: models.TrackInfo, ssrc: int) -> None:
        self.owner = owner
        self.info = info
        self.ssrc = ssrc
        self.n_packets = 0
        self.n_malformed = 0
        self.was_heard = False  # the publisher has been told that somebody is subscribed
        self._ssrc_bytes = ssrc.to_bytes(4, "big")
        self._sinks: tuple[Sink, ...] = ()

    @property
    def sid(self) -> str:
        """LiveKit's identifier, TR_..."""
        return self.info.sid

    def add_sink(self, sink: Sink) -> None:
        """From now on every packet goes to sink too."""
        self._sinks = (*self._sinks, sink)

    def remove_sink(self, sink: Sink) -> None:
        """No packet goes to sink any more; nothing happens if none did."""
        self._sinks = tuple(other for other in self._sinks if other != sink)

    def forward(self, packet: bytes) -> None:
        """Hand one RTP packet of the publisher to every subscriber. Malformed ones are counted and dropped."""
        if packet[0] == _PLAIN and len(packet) > _HEADER_BYTES:
            out = _PLAIN_START[packet[1] >> 7] + packet[2:8] + self._ssrc_bytes + packet[_HEADER_BYTES:]
        else:
            out = self._strip(packet)
            if not out:
                self.n_malformed += 1
                return
        self.n_packets += 1
        for sink in self._sinks:
            sink(out)

    def _strip(self, packet: bytes) -> bytes:
        """Return the packet without CSRCs and extension, or b"" if its lengths do not hold (RFC 3550 section 5.3.1)."""
        first = packet[0]
        start = _HEADER_BYTES + 4 * (first & _N_CSRC)
        if first & _EXTENSION:
            if len(packet) < start + 4:
                return b""
            start += 4 + 4 * int.from_bytes(packet[start + 2 : start + 4], "big")
        if first >> 6 != 2 or len(packet) <= start:
            return b""
        head = bytes((first & _VERSION_AND_PADDING, packet[1] & _MARKER | OPUS_PAYLOAD_TYPE))
        return head + packet[2:8] + self._ssrc_bytes + packet[start:]

    def __repr__(self) -> str:
        return f"PublishedTrack({self.sid}, owner={self.owner.identity}, n_sinks={len(self._sinks)})"
