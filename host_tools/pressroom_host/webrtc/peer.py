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
from typing import TYPE_CHECKING

from .aiortc_parts import Certificate, DtlsError
from .peer_connection import PeerConnection, PeerOwner
from .sdp import Offer, Transport
from .stun import Address

if TYPE_CHECKING:
    from .mux import Mux

WAITING, CONNECTING, CONNECTED, CLOSED = "waiting", "connecting", "connected", "closed"

_ICE_ALPHABET = string.ascii_letters + string.digits  # RFC 8839 section 5.4, "ice-char"
_UFRAG_CHARS = 8
_PASSWORD_CHARS = 24  # RFC 8445 section 5.3: at least 128 bits
_CONNECT_TIMEOUT_S = 20.0  # from the making of the peer to the end of the handshake
_SILENCE_TIMEOUT_S = 15.0  # without a signed STUN check: libwebrtc sends one every 2.5 s (RFC 7675)
_GOODBYE_S = 2.0  # a client that leaves closes its media first, and says so elsewhere a moment later


class Peer(PeerConnection):
    """Made by `Mux.add_peer`.

    addresses: where signed STUN checks came from; the mux keeps them.
    """

    def __init__(self, mux: "Mux", certificate: Certificate, owner: PeerOwner, now_s: float) -> None:
        super().__init__(certificate, owner, is_offerer=False)
        self.state = WAITING
        self.ice_ufrag = _random_text(_UFRAG_CHARS)
        self.ice_pwd = _random_text(_PASSWORD_CHARS)
        self.address: Address | None = None  # the nominated one
        self.addresses: deque[Address] = deque()
        self._mux = mux
        self._created_at_s = now_s
        self._heard_at_s = now_s
        self._is_found = asyncio.Event()
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
        self._stop_media()
        self._mux.remove_peer(self)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._say_goodbye()

    # What comes from the mux.

    def on_checked(self, address: Address, is_nominated: bool, now_s: float) -> None:
        """A STUN check signed with our password came from address."""
        self._heard_at_s = now_s
        if is_nominated or self.address is None:
            self.address = address
            self._is_found.set()

    def poll(self, now_s: float) -> None:
        """Report a peer that has been silent too long, or never came."""
        if self.state == CONNECTED and now_s - self._heard_at_s > _SILENCE_TIMEOUT_S:
            self._lose("silent")
        elif self.state in (WAITING, CONNECTING) and now_s - self._created_at_s > _CONNECT_TIMEOUT_S:
            self._lose("never connected")

    # The one task.

    async def _run(self, offer: Offer) -> None:
        await self._is_found.wait()
        self.state = CONNECTING
        try:
            await self._dtls.connect(offer.fingerprints)
        except DtlsError as error:
            self._lose(str(error))
            return
        self._start_media()
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
        if self.address is None:
            self.n_not_sent += 1
        else:
            self._mux.send(datagram, self.address)


def _random_text(n_chars: int) -> str:
    return "".join(secrets.choice(_ICE_ALPHABET) for _ in range(n_chars))
