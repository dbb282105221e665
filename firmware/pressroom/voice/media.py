"""One welcome's media: its streams, its keys, and the two ways a packet can go."""

from ..wire import rtp
from ..wire.media_path import UDP, MediaPath
from ..wire.messages import key_bytes, ssrc_bytes
from ..wire.port import const
from ..wire.srtp import TAG_BYTES, SrtpIn, SrtpOut

MIN_DATAGRAM_BYTES = rtp.HEADER_BYTES + 1 + TAG_BYTES
MAX_DATAGRAM_BYTES = const(1452)  # 1500 less IPv6 and UDP headers

_MAX_READS = const(8)  # datagrams a poll: a flood must not hold up the loop
_KEEPALIVE_BYTES = const(13)


class Media:
    """Sends and receives RTP packets over UDP as SRTP, or as they are inside the WebSocket (which is TLS).

    settings: `media` of a parsed welcome. udp: `send(packet, n_bytes)`, `read_into(packet)` -> n_bytes, `close()`.
    socket: `send_media(packet, n_bytes)`. random_bytes(n): where the streams begin (RFC 3550 section 5.1).
    downlink: `receive(packet, n_bytes, now_ms)`, `skip(packet)`. Nothing allocates per packet over UDP.
    """

    def __init__(self, settings, codec, udp, socket, downlink, random_bytes, now_ms):
        self.path = MediaPath(now_ms)
        # Below 2**15, or the receiver may take a first packet that is late for one before a rollover.
        first_seq = int.from_bytes(random_bytes(2), "big") & 0x7FFF
        self.rtp_out = rtp.RtpOut(
            ssrc_bytes(settings["ssrc_up"]), codec.payload_type, first_seq, random_bytes(4), codec.ticks_per_frame
        )
        self.srtp_in = SrtpIn(key_bytes(settings["key_dn"]))
        self.n_refused_packets = 0  # the network or the socket took no more
        self.n_bad_packets = 0  # authentic, but not RTP as we know it
        self._srtp_out = SrtpOut(key_bytes(settings["key_up"]))
        self._udp = udp
        self._socket = socket
        self._downlink = downlink
        self._datagram = bytearray(settings["dn_len"])
        self._keepalive = bytearray(_KEEPALIVE_BYTES + TAG_BYTES)

    def send(self, packet, n_bytes):
        """Send an RTP packet the way media goes now; packet: bytearray with room for the tag, may be encrypted."""
        if self.path.way == UDP:
            is_sent = self._udp.send(packet, self._srtp_out.protect_in_place(packet, n_bytes))
        else:
            is_sent = self._socket.send_media(packet, n_bytes)
        if not is_sent:
            self.n_refused_packets += 1

    def poll(self, now_ms):
        """Take what came over UDP, and keep the way alive."""
        n_left = _MAX_READS
        while n_left:
            n_bytes = self._udp.read_into(self._datagram)
            if not n_bytes:
                break
            n_left -= 1
            n_bytes = self.srtp_in.unprotect_in_place(self._datagram, n_bytes)
            if n_bytes:
                self.path.heard(now_ms)
                self._sort(self._datagram, n_bytes, now_ms)
        if self.path.poll(now_ms):
            self._send_keepalive()

    def receive_inside(self, packet, now_ms):
        """A packet came inside the WebSocket: it is plain RTP."""
        self._sort(packet, len(packet), now_ms)

    def close(self):
        """Give the UDP socket back. Safe to call twice."""
        self._udp.close()

    def _sort(self, packet, n_bytes, now_ms):
        start = rtp.payload_start(packet, n_bytes)
        end = rtp.payload_end(packet, n_bytes)
        if start < 0 or end < start:
            self.n_bad_packets += 1
        elif rtp.payload_type(packet) == rtp.PT_KEEPALIVE:
            self._downlink.skip(rtp.seq(packet))
        else:
            self._downlink.receive(packet, start, end - start, now_ms)

    def _send_keepalive(self):
        """Its one byte tells the gateway whether UDP was taken."""
        self.rtp_out.write_keepalive_into(self._keepalive)
        self._keepalive[rtp.HEADER_BYTES] = 1 if self.path.way == UDP else 0
        n_bytes = self._srtp_out.protect_in_place(self._keepalive, _KEEPALIVE_BYTES)
        if not self._udp.send(self._keepalive, n_bytes):
            self.n_refused_packets += 1


class NoUdp:
    """In place of a UDP socket that could not be opened."""

    def send(self, packet, n_bytes):
        return False

    def read_into(self, packet):
        return 0

    def close(self):
        pass
