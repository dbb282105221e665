"""Audio between devices and gateway: one UDP port for all, a Leg for each welcome. RTP in SRTP (RFC 3550, RFC 3711).

Packets find their Leg by SSRC. Nothing of a packet is believed before its tag is verified; only then, and only if it is
newer than all before, does its source become or replace the device's address (NATs move them), or is the way changed.

     way        leaves when
     WEBSOCKET  audio, or a keepalive whose byte is 1, comes over UDP     -> UDP
     UDP        audio comes inside the WebSocket                          -> WEBSOCKET
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final, Protocol

from pylibsrtp import Error as SrtpError
from pylibsrtp import Policy
from pylibsrtp import Session as Srtp

from pressroom.wire import rtp
from pressroom.wire.messages import key_text, ssrc_text
from pressroom.wire.seq import seq_between
from pressroom.wire.srtp import TAG_BYTES

from .downlink_codecs import DownlinkCodec
from .stats import SessionStats

UDP: Final = "udp"
WEBSOCKET: Final = "websocket"

MAX_PACKET_BYTES: Final = 1_452  # 1500 less IPv6 and UDP headers

_KEY_BYTES: Final = 30  # RFC 3711 section 8.2
_REPLAY_WINDOW_PACKETS: Final = 128
_PLAIN: Final = 0x80  # first byte: version 2, no padding, no extension, no CSRC
_PADDING: Final = 0x20
_PAYLOAD_TYPES: Final = {"l16": rtp.PT_L16, "opus": rtp.PT_OPUS}
_MAX_RECEIVED_BYTES: Final = 2_048
_MAX_READS: Final = 64  # datagrams in a row, before others on the loop get their turn
_SOCKET_BUFFER_BYTES: Final = 1 << 21

Address = tuple[str, int]


class LegOwner(Protocol):
    """Who a Leg reports to. Called from the loop; must not block or raise."""

    def audio_came(self, packet: bytes) -> None:
        """A plain packet of audio came, whichever way."""

    def keepalive_came(self, packet: bytes) -> None:
        """A keepalive came; it has been answered."""

    def send_inside(self, packet: bytes) -> bool:
        """Send a plain packet inside the WebSocket; False if that takes nothing now."""


class MediaPort:
    """The UDP socket of a gateway. Counters: what belonged to no Leg."""

    def __init__(self, sock: socket.socket) -> None:
        self.host, self.port = sock.getsockname()[:2]
        self.n_unknown = 0  # of no device that is here
        self.n_not_sent = 0
        self._socket = sock
        self._legs: dict[bytes, Leg] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock, self._read)

    @classmethod
    def open(cls, host: str, port: int) -> "MediaPort":
        """Bind the port; 0 takes a free one. Raises OSError."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_BUFFER_BYTES)
            sock.bind((host, port))
        except OSError:
            sock.close()
            raise
        return cls(sock)

    def add(self, leg: "Leg") -> None:
        """Hand the packets of this Leg's SSRC to it."""
        self._legs[leg.ssrc_up] = leg

    def remove(self, leg: "Leg") -> None:
        """Forget the Leg. Safe to call twice."""
        if self._legs.get(leg.ssrc_up) is leg:
            del self._legs[leg.ssrc_up]

    def has(self, ssrc: bytes) -> bool:
        """Return whether a Leg has this SSRC already."""
        return ssrc in self._legs

    def send(self, datagram: bytes, address: Address) -> bool:
        """Send at once, or drop and count: audio that waits is late."""
        try:
            self._socket.sendto(datagram, address)
        except OSError:
            self.n_not_sent += 1
            return False
        return True

    def close(self) -> None:
        """Safe to call twice."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._socket.close()

    def _read(self) -> None:
        receive, legs = self._socket.recvfrom, self._legs
        for _ in range(_MAX_READS):
            try:
                datagram, address = receive(_MAX_RECEIVED_BYTES)
            except BlockingIOError:
                return
            except OSError:  # some systems report here that an earlier datagram found nobody
                continue
            leg = legs.get(datagram[8:12])
            if leg is None:
                self.n_unknown += 1
            else:
                leg.datagram_came(datagram, address)


class Leg:
    """The media of one welcome: fresh keys and SSRCs, which nothing else ever has. They are in no log and no repr."""

    def __init__(
        self,
        port: MediaPort,
        owner: LegOwner,
        codec_up: str,
        codec_dn: DownlinkCodec,
        stats: SessionStats,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self.way = WEBSOCKET
        self.address: Address | None = None
        self.ssrc_up = _fresh_ssrc(port, random_bytes)
        self.dn_len = rtp.HEADER_BYTES + codec_dn.n_payload_bytes + TAG_BYTES
        self._newest_seq: int | None = None
        self._port = port
        self._owner = owner
        self._stats = stats
        self._codec_up = codec_up
        self._codec_dn = codec_dn
        self._payload_type_up = _PAYLOAD_TYPES[codec_up]
        self._key_up, self._key_dn = random_bytes(_KEY_BYTES), random_bytes(_KEY_BYTES)
        self._ssrc_dn = random_bytes(4)
        self._srtp_in = _srtp(self._key_up, self.ssrc_up)
        self._srtp_out = _srtp(self._key_dn, self._ssrc_dn)
        first_seq = int.from_bytes(random_bytes(2), "big") & 0x7FFF  # the rollover counter begins unambiguously
        payload_type_dn = _PAYLOAD_TYPES[codec_dn.name]
        self._rtp_out = rtp.RtpOut(self._ssrc_dn, payload_type_dn, first_seq, random_bytes(4), codec_dn.ticks_per_frame)
        port.add(self)

    def settings(self, host: str, port: int) -> dict[str, Any]:
        """Return `media` of the welcome; host and port: where the device sends to."""
        return {
            "host": host,
            "port": port,
            "ssrc_up": ssrc_text(self.ssrc_up),
            "ssrc_dn": ssrc_text(self._ssrc_dn),
            "key_up": key_text(self._key_up),
            "key_dn": key_text(self._key_dn),
            "codec_up": self._codec_up,
            "codec_dn": self._codec_dn.name,
            "dn_len": self.dn_len,
        }

    def close(self) -> None:
        """No packet goes or comes any more. Safe to call twice."""
        self._port.remove(self)

    def datagram_came(self, datagram: bytes, address: Address) -> None:
        """A datagram with our SSRC came from `address`, from whomever."""
        if len(datagram) > MAX_PACKET_BYTES:
            self._stats.n_up_malformed += 1
            return
        try:
            packet = self._srtp_in.unprotect(datagram)
        except SrtpError as error:
            self._count(error)
            return
        is_newest = self._is_newest(packet)
        if is_newest and address != self.address:
            self._stats.n_relatched += self.address is not None
            self.address = address
        if packet[0] != _PLAIN:
            packet = _plain(packet)
        if len(packet) <= rtp.HEADER_BYTES:
            self._stats.n_up_malformed += 1
            return
        payload_type = packet[1] & 0x7F
        if payload_type == self._payload_type_up:
            if is_newest:
                self.way = UDP
            self._owner.audio_came(packet)
        elif payload_type == rtp.PT_KEEPALIVE:
            if is_newest and packet[rtp.HEADER_BYTES]:
                self.way = UDP
            self._answer(packet, address)
        else:
            self._stats.n_up_malformed += 1

    def packet_came_inside(self, packet: bytes) -> None:
        """A packet of audio came inside the WebSocket: plain RTP, as TLS protects it already."""
        if packet[:1] != b"\x80":
            packet = _plain(packet)
        is_ours = len(packet) > rtp.HEADER_BYTES and packet[8:12] == self.ssrc_up
        if not is_ours or packet[1] & 0x7F != self._payload_type_up:
            self._stats.n_up_malformed += 1
            return
        if self._is_newest(packet):
            self.way = WEBSOCKET
        self._stats.n_up_inside += 1
        self._owner.audio_came(packet)

    def takes(self, opus: bytes) -> bool:
        """Can the device be sent this Opus packet as it is?"""
        return self._codec_dn.takes(opus)

    def send_frame(self, pcm_frame: bytes, is_marked: bool) -> None:
        """Encode and send 20 ms to the device. is_marked: they begin a spurt."""
        if is_marked:
            self._codec_dn.reset()
        self._stats.n_dn_transcoded += self._send(self._codec_dn.encode(pcm_frame), is_marked)

    def send_opus(self, opus: bytes, is_marked: bool) -> None:
        """Send 20 ms to the device that it `takes` as they are."""
        self._stats.n_dn_passed += self._send(opus, is_marked)

    def skip_packet(self) -> None:
        """A packet of a talker was lost: let the device miss one too, which it conceals."""
        self._rtp_out.write_header_into(bytearray(rtp.HEADER_BYTES), False)

    def _send(self, payload: bytes, is_marked: bool) -> bool:
        """Send a packet the way audio goes now, padded to the constant size (RFC 3550 section 5.1)."""
        packet = bytearray(rtp.HEADER_BYTES)
        self._rtp_out.write_header_into(packet, is_marked)
        packet += payload
        n_padding = self.dn_len - TAG_BYTES - len(packet)
        if n_padding:
            packet[0] |= _PADDING
            packet += bytes(n_padding - 1) + bytes((n_padding,))
        if self.way == UDP and self.address is not None:
            is_sent = self._port.send(self._srtp_out.protect(bytes(packet)), self.address)
        else:
            is_sent = self._owner.send_inside(bytes(packet))
            self._stats.n_dn_inside += is_sent
        self._stats.n_dn_not_sent += not is_sent
        return is_sent

    def skip_frames(self, n_frames: int) -> None:
        """Let time pass in which nothing was sent."""
        self._rtp_out.skip_frames(n_frames)

    def _is_newest(self, packet: bytes) -> bool:
        seq = packet[2] << 8 | packet[3]
        if self._newest_seq is not None and seq_between(self._newest_seq, seq) <= 0:
            return False
        self._newest_seq = seq
        return True

    def _answer(self, packet: bytes, address: Address) -> None:
        """One keepalive for one, as long as every datagram to this device."""
        self._stats.n_keepalives += 1
        answer = bytearray(self.dn_len - TAG_BYTES)
        self._rtp_out.write_keepalive_into(answer)
        self._port.send(self._srtp_out.protect(bytes(answer)), address)
        self._owner.keepalive_came(packet)

    def _count(self, error: SrtpError) -> None:
        if "replay" in str(error) or "too old" in str(error):
            self._stats.n_replayed += 1
        else:
            self._stats.n_forged += 1


def _fresh_ssrc(port: MediaPort, random_bytes: Callable[[int], bytes]) -> bytes:
    ssrc = random_bytes(4)
    while port.has(ssrc):
        ssrc = random_bytes(4)
    return ssrc


def _srtp(key: bytes, ssrc: bytes) -> Srtp:
    """AES_CM_128_HMAC_SHA1_80, for one SSRC and one direction."""
    policy = Policy(key=key, ssrc_type=Policy.SSRC_SPECIFIC, ssrc_value=int.from_bytes(ssrc, "big"))
    policy.window_size = _REPLAY_WINDOW_PACKETS
    return Srtp(policy)


def _plain(packet: bytes) -> bytes:
    """Return the packet without CSRCs, extension and padding; b"" if it is malformed."""
    start, end = rtp.payload_start(packet, len(packet)), rtp.payload_end(packet, len(packet))
    if start < 0 or end <= start:
        return b""
    return b"\x80" + packet[1 : rtp.HEADER_BYTES] + packet[start:end]
