"""One client's transport: found by STUN, secured by DTLS, carrying RTP and data channels.

state        what it waits for                                   then
WAITING      an offer, and a STUN check signed with its password  -> CONNECTING
CONNECTING   the DTLS handshake                                   -> CONNECTED, on_peer_connected
CONNECTED    media and data pass
any          silence, a failed handshake, the peer's goodbye      -> CLOSED, on_peer_lost
any          close()                                              -> CLOSED
"""

import asyncio
import secrets
import string
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import structlog

from .aiortc_parts import SRTP_ERRORS, Certificate, DataChannels, DtlsError, DtlsSrtp, Transform
from .sdp import Offer, Transport
from .stun import Address

if TYPE_CHECKING:
    from .mux import Mux

log = structlog.get_logger(__name__)

WAITING, CONNECTING, CONNECTED, CLOSED = "waiting", "connecting", "connected", "closed"

_ICE_ALPHABET = string.ascii_letters + string.digits  # RFC 8839 section 5.4, "ice-char"
_UFRAG_CHARS = 8
_PASSWORD_CHARS = 24  # RFC 8445 section 5.3: at least 128 bits
_MAX_BACKLOG_BYTES = 16 * 2**20  # reliable data that a peer has not taken yet
_MAX_WAITING_MESSAGES = 4_096  # of them before the channel is open
_MAX_LOSSY_BACKLOG_BYTES = 65_536  # beyond, lossy data would only be late
_CONNECT_TIMEOUT_S = 20.0  # from the making of the peer to the end of the handshake
_SILENCE_TIMEOUT_S = 15.0  # without a signed STUN check: libwebrtc sends one every 2.5 s (RFC 7675)
_GOODBYE_S = 2.0  # a client that leaves closes its media first, and says so elsewhere a moment later

Receiver = Callable[[bytes], None]


class BacklogFull(Exception):
    """The peer does not take its reliable data; it has to start anew, because nothing may be missing in between."""


class PeerOwner(Protocol):
    """Who a Peer reports to. Called from the loop; must not block or raise."""

    def on_peer_connected(self) -> None:
        """Media and data pass from now on."""

    def on_peer_data(self, label: str, payload: bytes) -> None:
        """A binary message came on the data channel of this label."""

    def on_peer_lost(self, why: str) -> None:
        """The peer is gone or never came; close() is still to be called."""


class Peer:
    """Made by `Mux.add_peer`.

    addresses: where signed STUN checks came from; the mux keeps them.
    """

    def __init__(self, mux: "Mux", certificate: Certificate, owner: PeerOwner, now_s: float) -> None:
        self.state = WAITING
        self.ice_ufrag = _random_text(_UFRAG_CHARS)
        self.ice_pwd = _random_text(_PASSWORD_CHARS)
        self.address: Address | None = None  # the nominated one
        self.addresses: deque[Address] = deque()
        self.n_unknown_ssrc = 0  # RTCP too: no report is read here
        self.n_srtp_failures = 0
        self.n_not_sent = 0  # packets and lossy data, because the peer was not there or slow
        self._mux = mux
        self._certificate = certificate
        self._owner = owner
        self._created_at_s = now_s
        self._heard_at_s = now_s
        self._is_found = asyncio.Event()
        self._dtls = DtlsSrtp(certificate, self._send_datagram)
        self._channels = DataChannels(self._dtls, self._flush, owner.on_peer_data)
        self._waiting: dict[str, deque[bytes]] = {}  # reliable data for a channel that is not open yet
        self._n_waiting_bytes = 0
        self._receivers: dict[bytes, Receiver] = {}
        self._protect: Transform | None = None
        self._unprotect: Transform | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def transport(self) -> Transport:
        """This end, as the answer's SDP describes it."""
        return Transport(self._mux.host, self._mux.port, self.ice_ufrag, self.ice_pwd, self._certificate.fingerprint)

    def start(self, offer: Offer) -> None:
        """Connect to the client that made the offer; later offers of the same client change nothing here."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(offer), name=f"peer {self.ice_ufrag}")

    async def close(self) -> None:
        """Say goodbye and let go of everything. Safe to call twice."""
        self.state = CLOSED
        self._protect = self._unprotect = None
        self._receivers.clear()
        self._waiting.clear()
        self._mux.remove_peer(self)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._channels.stop()
        await self._dtls.stop()

    # What comes from the mux.

    def on_checked(self, address: Address, is_nominated: bool, now_s: float) -> None:
        """A STUN check signed with our password came from address."""
        self._heard_at_s = now_s
        if is_nominated or self.address is None:
            self.address = address
            self._is_found.set()

    def on_dtls(self, datagram: bytes) -> None:
        """A DTLS datagram came."""
        self._dtls.receive(datagram)

    def on_srtp(self, packet: bytes) -> None:
        """An SRTP packet came. SSRCs nobody listens to are dropped before SRTP makes room for them."""
        receiver = self._receivers.get(packet[8:12])
        if receiver is None or self._unprotect is None:
            self.n_unknown_ssrc += 1
            return
        try:
            plain = self._unprotect(packet)
        except SRTP_ERRORS:
            self.n_srtp_failures += 1
            return
        receiver(plain)

    def poll(self, now_s: float) -> None:
        """Report a peer that has been silent too long, or never came."""
        if self.state == CONNECTED and now_s - self._heard_at_s > _SILENCE_TIMEOUT_S:
            self._lose("silent")
        elif self.state in (WAITING, CONNECTING) and now_s - self._created_at_s > _CONNECT_TIMEOUT_S:
            self._lose("never connected")

    # Media.

    def listen(self, ssrc: int, receiver: Receiver) -> None:
        """Hand plain RTP packets of this SSRC to receiver."""
        self._receivers[ssrc.to_bytes(4, "big")] = receiver

    def unlisten(self, ssrc: int) -> None:
        """Forget the SSRC."""
        if self._receivers.pop(ssrc.to_bytes(4, "big"), None):
            self._dtls.forget_inbound(ssrc)

    def send_rtp(self, packet: bytes) -> None:
        """Send a plain RTP packet; what cannot be sent is counted."""
        if self._protect is None or self.address is None:
            self.n_not_sent += 1
            return
        try:
            self._mux.send(self._protect(packet), self.address)
        except SRTP_ERRORS:  # a sequence number far back, or an oversized packet
            self.n_not_sent += 1

    def forget_sent(self, ssrc: int) -> None:
        """No packet of this SSRC will be sent any more."""
        self._dtls.forget_outbound(ssrc)

    # Data.

    def send_data(self, label: str, payload: bytes, is_reliable: bool) -> None:
        """Send on the client's channel of this label.

        Reliable data waits in order for the channel to open and for the client to take it; raises BacklogFull
        where that comes to too much. Lossy data waits for neither.
        """
        if not is_reliable:
            is_late = self._channels.backlog_bytes(label) > _MAX_LOSSY_BACKLOG_BYTES
            if is_late or not self._channels.send(label, payload):
                self.n_not_sent += 1
        elif not self._channels.send(label, payload):
            self._wait(label, payload)
        elif self._channels.backlog_bytes(label) > _MAX_BACKLOG_BYTES:
            raise BacklogFull(f"data channel {label}: over {_MAX_BACKLOG_BYTES} bytes not taken")

    def _wait(self, label: str, payload: bytes) -> None:
        waiting = self._waiting.setdefault(label, deque())
        self._n_waiting_bytes += len(payload)
        if len(waiting) >= _MAX_WAITING_MESSAGES or self._n_waiting_bytes > _MAX_BACKLOG_BYTES:
            raise BacklogFull(f"data channel {label}: not open, and {len(waiting)} messages wait for it")
        waiting.append(payload)

    def _flush(self, label: str) -> None:
        for payload in self._waiting.pop(label, ()):
            self._n_waiting_bytes -= len(payload)
            self._channels.send(label, payload)

    # The one task.

    async def _run(self, offer: Offer) -> None:
        await self._is_found.wait()
        self.state = CONNECTING
        try:
            await self._dtls.connect(offer.fingerprints)
        except DtlsError as error:
            self._lose(str(error))
            return
        self._protect, self._unprotect = self._dtls.protect, self._dtls.unprotect
        self.state = CONNECTED
        self._owner.on_peer_connected()
        if offer.sctp_port:
            await self._channels.start(offer.sctp_port, offer.max_message_bytes)
        await self._dtls.closed.wait()
        await asyncio.sleep(_GOODBYE_S)
        self._lose("closed by the peer")

    def _lose(self, why: str) -> None:
        if self.state != CLOSED:
            self.state = CLOSED
            self._owner.on_peer_lost(why)

    def _send_datagram(self, datagram: bytes) -> None:
        if self.address is not None:
            self._mux.send(datagram, self.address)


def _random_text(n_chars: int) -> str:
    return "".join(secrets.choice(_ICE_ALPHABET) for _ in range(n_chars))
