"""A published track: where one talker's RTP packets fan out to its subscribers. No I/O.

The payload is never looked at. Every subscriber gets the packet with the room's SSRC and payload type, and
without CSRCs, padding and header extensions, which were negotiated with the publisher alone.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from livekit.protocol import models

from pressroom_host.webrtc.rtp import HEADER_BYTES, PLAIN, plain

if TYPE_CHECKING:
    from .participant import Participant

OPUS_PAYLOAD_TYPE = 111
_MARKER = 0x80

Sink = Callable[[bytes], None]


class PublishedTrack:
    """One audio track of one participant.

    info: LiveKit's TrackInfo, shared with every message about the track.
    ssrc: the track's SSRC towards all subscribers.
    """

    __slots__ = ("info", "n_malformed", "n_packets", "owner", "ssrc", "was_heard", "_sinks", "_ssrc_bytes", "_starts")

    def __init__(self, owner: "Participant", info: models.TrackInfo, ssrc: int) -> None:
        self.owner = owner
        self.info = info
        self.ssrc = ssrc
        self.n_packets = 0
        self.n_malformed = 0
        self.was_heard = False  # the publisher has been told that somebody is subscribed
        self._ssrc_bytes = ssrc.to_bytes(4, "big")
        self._sinks: tuple[Sink, ...] = ()
        self.set_payload_type(OPUS_PAYLOAD_TYPE)

    @property
    def sid(self) -> str:
        """LiveKit's identifier, TR_..."""
        return self.info.sid

    def set_payload_type(self, payload_type: int) -> None:
        """Take packets of this payload type only; it is the publisher's own number for Opus."""
        self._starts = {  # second byte of a packet in -> the first two of the plain packet out
            payload_type: bytes((PLAIN, OPUS_PAYLOAD_TYPE)),
            payload_type | _MARKER: bytes((PLAIN, OPUS_PAYLOAD_TYPE | _MARKER)),
        }

    def add_sink(self, sink: Sink) -> None:
        """From now on every packet goes to sink too."""
        self._sinks = (*self._sinks, sink)

    def remove_sink(self, sink: Sink) -> None:
        """No packet goes to sink any more; nothing happens if none did."""
        self._sinks = tuple(other for other in self._sinks if other != sink)

    def forward(self, packet: bytes) -> None:
        """Hand one RTP packet of the publisher to every subscriber. What is malformed is counted and dropped."""
        start = self._starts.get(packet[1]) if len(packet) > HEADER_BYTES else None
        if start is not None and packet[0] != PLAIN:
            packet = plain(packet)
        if start is None or not packet:
            self.n_malformed += 1
            return
        self.n_packets += 1
        out = start + packet[2:8] + self._ssrc_bytes + packet[HEADER_BYTES:]
        for sink in self._sinks:
            sink(out)

    def __repr__(self) -> str:
        return f"PublishedTrack({self.sid}, owner={self.owner.identity}, n_sinks={len(self._sinks)})"
