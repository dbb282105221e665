"""Media of devices: SRTP over one UDP port, or plain RTP inside a device's WebSocket.

A Leg is the media of one welcome: its keys, its SSRCs, the address it speaks from and the way it is spoken to.

     way        leaves when
     WEBSOCKET  audio over UDP, or a keepalive that says so, is authentic    -> UDP
     UDP        media came inside the WebSocket                              -> WEBSOCKET

Only an authentic packet sets the address, and only one that is newer than all before changes it.
Source: RFC 3711; design, "Liveness of media".
"""

import asyncio
import os
import secrets
import socket
import struct
from collections.abc import Callable

import pylibsrtp

from pressroom.wire import rtp
from pressroom.wire.messages import key_text, ssrc_text
from pressroom.wire.seq import seq_between
from pressroom_host.errors import UserError

WEBSOCKET = "websocket"
UDP = "udp"

_TAG_BYTES = 10
_KEY_BYTES = 30
_MIN_DATAGRAM_BYTES = rtp.HEADER_BYTES + _TAG_BYTES
_MAX_DATAGRAM_BYTES = 1_500
_WINDOW_PACKETS = 256  # pylibsrtp's replay window
_RTP_HEADER = struct.Struct("!BBHI4s")
_VERSION = 0x80  # RFC 3550 section 5.1
_PADDED = 0xA0
_MARKER = 0x80
_MAX_PADDING_BYTES = 255
_MEDIA_KIND = b"\x01"
_SOCKET_BUFFER_BYTES = 1 << 21
_MAX_READS = 64  # datagrams in a row, before others on the loop get their turn

Address = tuple[str, int]


class PortInUse(UserError):
    """A port the gateway was told to use belongs to another program."""


class Leg:
    """The media of one welcome.

    on_audio(packet): an authentic RTP packet with audio. on_keepalive(seq): a sequence number without audio.
    send_binary(frame): sends a binary WebSocket frame; it may drop it. downlink_bytes: the one size of datagrams down.
    """

    def __init__(
        self,
        port: "MediaPort",
        payload_type_down: int,
        ticks_per_frame_down: int,
        downlink_bytes: int,
        on_audio: Callable[[bytes], None],
        on_keepalive: Callable[[int], None],
        send_binary: Callable[[bytes], None],
    ) -> None:
        self.way = WEBSOCKET
        self.address: Address | None = None
        self.downlink_bytes = downlink_bytes
        self.n_received = 0
        self.n_refused = 0  # replayed, forged, or no RTP
        self.n_moved = 0  # times the address changed
        self.ssrc_up = port.new_ssrc()
        self.ssrc_down = secrets.token_bytes(4)
        self._port = port
        self._key_up = os.urandom(_KEY_BYTES)
        self._key_down = os.urandom(_KEY_BYTES)
        self._srtp_in = pylibsrtp.Session(_policy(self._key_up, pylibsrtp.Policy.SSRC_ANY_INBOUND))
        self._srtp_out = pylibsrtp.Session(_policy(self._key_down, pylibsrtp.Policy.SSRC_ANY_OUTBOUND))
        self._on_audio = on_audio
        self._on_keepalive = on_keepalive
        self._send_binary = send_binary
        self._payload_type = payload_type_down
        self._ticks_per_frame = ticks_per_frame_down
        self._seq = secrets.randbelow(1 << 15)  # below 2**15: the rollover counter begins unambiguously
        self._timestamp = secrets.randbits(32)
        self._newest_seq: int | None = None
        port.add(self)

    def settings(self, host: str, port: int, codec_up: str, codec_down: str) -> dict[str, object]:
        """Return `media` of the welcome. It holds the keys: not for any log."""
        return {
            "host": host,
            "port": port,
            "ssrc_up": ssrc_text(self.ssrc_up),
            "ssrc_dn": ssrc_text(self.ssrc_down),
            "key_up": key_text(self._key_up),
            "key_dn": key_text(self._key_down),
            "codec_up": codec_up,
            "codec_dn": codec_down,
            "dn_len": self.downlink_bytes,
        }

    def receive_datagram(self, datagram: bytes, address: Address) -> None:
        """A datagram with our SSRC came; whether it is authentic is found here."""
        try:
            packet = self._srtp_in.unprotect(datagram)
        except pylibsrtp.Error:
            self.n_refused += 1
            return
        is_newest = self._is_newest(packet)
        if address != self.address and is_newest:
            self.n_moved += self.address is not None
            self.address = address
        if self._sort(packet):
            self.way = UDP
        elif packet[1] & 0x7F == rtp.PT_KEEPALIVE and is_newest:
            if packet[rtp.HEADER_BYTES : rtp.HEADER_BYTES + 1] == b"\x01":
                self.way = UDP
            self._answer_keepalive()

    def receive_frame(self, packet: bytes) -> None:
        """An RTP packet came inside the WebSocket: TLS has authenticated it."""
        if len(packet) < rtp.HEADER_BYTES or packet[8:12] != self.ssrc_up:
            self.n_refused += 1
            return
        self._is_newest(packet)
        if self._sort(packet):
            self.way = WEBSOCKET

    def send_audio(self, payload: bytes, is_marked: bool) -> None:
        """Send one frame down."""
        marker = _MARKER if is_marked else 0
        self._send(self._payload_type | marker, payload)
        self._timestamp = (self._timestamp + self._ticks_per_frame) & 0xFFFFFFFF

    def skip_time(self, n_frames: int) -> None:
        """Let RTP time pass in which nothing was sent."""
        self._timestamp = (self._timestamp + n_frames * self._ticks_per_frame) & 0xFFFFFFFF

    def close(self) -> None:
        """Forget the SSRC. Safe to call twice."""
        self._port.remove(self)

    def _sort(self, packet: bytes) -> bool:
        """Hand the packet on; return whether it was audio."""
        self.n_received += 1
        if packet[1] & 0x7F != rtp.PT_KEEPALIVE:
            self._on_audio(packet)
            return True
        self._on_keepalive(int.from_bytes(packet[2:4], "big"))
        return False

    def _is_newest(self, packet: bytes) -> bool:
        seq = int.from_bytes(packet[2:4], "big")
        if self._newest_seq is not None and seq_between(self._newest_seq, seq) <= 0:
            return False
        self._newest_seq = seq
        return True

    def _answer_keepalive(self) -> None:
        header = self._header(_VERSION, rtp.PT_KEEPALIVE)
        filler = bytes(self.downlink_bytes - _TAG_BYTES - rtp.HEADER_BYTES)
        self._send_datagram(header + filler)

    def _send(self, payload_type: int, payload: bytes) -> None:
        if self.way == WEBSOCKET or self.address is None:
            self._send_binary(_MEDIA_KIND + self._header(_VERSION, payload_type) + payload)
            return
        n_padding = self.downlink_bytes - _TAG_BYTES - rtp.HEADER_BYTES - len(payload)
        if n_padding == 0:
            self._send_datagram(self._header(_VERSION, payload_type) + payload)
        else:
            padding = bytes(n_padding - 1) + bytes((n_padding,))  # RFC 3550 section 5.1
            self._send_datagram(self._header(_PADDED, payload_type) + payload + padding)

    def _header(self, first_byte: int, payload_type: int) -> bytes:
        header = _RTP_HEADER.pack(first_byte, payload_type, self._seq, self._timestamp, self.ssrc_down)
        self._seq = (self._seq + 1) & 0xFFFF
        return header

    def _send_datagram(self, packet: bytes) -> None:
        if self.address is not None:
            self._port.send(self._srtp_out.protect(packet), self.address)


class MediaPort:
    """The one UDP port of a gateway. Datagrams find their Leg by SSRC."""

    def __init__(self, sock: socket.socket) -> None:
        self.port = int(sock.getsockname()[1])
        self.n_unknown = 0  # datagrams of no Leg
        self.n_not_sent = 0
        self._socket = sock
        self._legs: dict[bytes, Leg] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock, self._read)

    @classmethod
    def open(cls, host: str, port: int) -> "MediaPort":
        """Bind; port 0 takes a free one. Raises PortInUse."""
        try:
            family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
            sock = socket.socket(family, kind)
        except OSError as error:
            raise PortInUse(f"{host} cannot be listened on ({error.strerror}); choose another --host") from None
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_BUFFER_BYTES)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER_BYTES)
            sock.bind(address)
        except OSError as error:
            sock.close()
            raise PortInUse(f"UDP port {port} of {host} cannot be used ({error.strerror}); choose another") from None
        return cls(sock)

    def new_ssrc(self) -> bytes:
        """Return an SSRC no Leg has."""
        while (ssrc := secrets.token_bytes(4)) in self._legs:
            pass
        return ssrc

    def add(self, leg: Leg) -> None:
        """Let this Leg have the datagrams of its SSRC."""
        self._legs[leg.ssrc_up] = leg

    def remove(self, leg: Leg) -> None:
        """Drop what comes for this Leg from now on."""
        self._legs.pop(leg.ssrc_up, None)

    def send(self, datagram: bytes, address: Address) -> None:
        """Send at once, or drop and count: media that waits is late."""
        try:
            self._socket.sendto(datagram, address)
        except OSError:
            self.n_not_sent += 1

    def close(self) -> None:
        """Close the port. Safe to call twice."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._socket.close()

    def _read(self) -> None:
        for _ in range(_MAX_READS):
            try:
                datagram, address = self._socket.recvfrom(_MAX_DATAGRAM_BYTES)
            except BlockingIOError:
                return
            except OSError:  # some systems report here that an earlier datagram found nobody
                continue
            leg = self._legs.get(datagram[8:12]) if len(datagram) >= _MIN_DATAGRAM_BYTES else None
            if leg is None:
                self.n_unknown += 1
            else:
                leg.receive_datagram(datagram, address)


def _policy(key: bytes, ssrc_type: int) -> pylibsrtp.Policy:
    policy = pylibsrtp.Policy(key=key, ssrc_type=ssrc_type)
    policy.window_size = _WINDOW_PACKETS
    return policy
