"""What both ends of WebRTC have in common, over any path: DTLS-SRTP and data channels with one peer.

`Peer` is the end of a server behind the mux, `ClientPeer` that of a client with ICE.
"""

from collections import deque
from collections.abc import Callable
from typing import Protocol

from .aiortc_parts import SRTP_ERRORS, Certificate, DataChannels, DtlsSrtp, Transform

_MAX_BACKLOG_BYTES = 16 * 2**20  # reliable data that a peer has not taken yet
_MAX_WAITING_MESSAGES = 4_096  # of them before the channel is open
_MAX_LOSSY_BACKLOG_BYTES = 65_536  # beyond, lossy data would only be late

Receiver = Callable[[bytes], None]


class BacklogFull(Exception):
    """The peer does not take its reliable data; it has to start anew, because nothing may be missing in between."""


class PeerOwner(Protocol):
    """Who a peer connection reports to. Called from the loop; must not block or raise."""

    def on_peer_connected(self) -> None:
        """Media and data pass from now on."""

    def on_peer_data(self, label: str, payload: bytes) -> None:
        """A binary message came on the data channel of this label."""

    def on_peer_lost(self, why: str) -> None:
        """The peer is gone or never came; close() is still to be called."""


class PeerConnection:
    """Media passes from `_start_media` to `_stop_media`; a subclass finds the path and sends datagrams on it."""

    def __init__(self, certificate: Certificate, owner: PeerOwner, is_offerer: bool) -> None:
        self.n_unknown_ssrc = 0
        self.n_srtp_failures = 0
        self.n_not_sent = 0  # packets and lossy data, because the peer was not there or slow
        self._certificate = certificate
        self._owner = owner
        self._dtls = DtlsSrtp(certificate, self._send_datagram, is_offerer)
        self._channels = DataChannels(self._dtls, self._on_channel_open, owner.on_peer_data)
        self._waiting: dict[str, deque[bytes]] = {}  # reliable data for a channel that is not open yet
        self._n_waiting_bytes = 0
        self._receivers: dict[bytes, Receiver] = {}
        self._protect: Transform | None = None
        self._unprotect: Transform | None = None

    def on_dtls(self, datagram: bytes) -> None:
        """A DTLS datagram came."""
        self._dtls.receive(datagram)

    def on_srtp(self, packet: bytes) -> None:
        """An SRTP packet came. SSRCs nobody listens to are dropped before SRTP makes room for them."""
        receiver = self._receivers.get(packet[8:12])
        if receiver is None:
            self.n_unknown_ssrc += 1
        else:
            self._hand_on(packet, receiver)

    def _hand_on(self, packet: bytes, receiver: Receiver) -> None:
        if self._unprotect is None:
            self.n_unknown_ssrc += 1
            return
        try:
            plain = self._unprotect(packet)
        except SRTP_ERRORS:
            self.n_srtp_failures += 1
            return
        receiver(plain)

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
        if self._protect is None:
            self.n_not_sent += 1
            return
        try:
            protected = self._protect(packet)
        except SRTP_ERRORS:  # a sequence number far back, or an oversized packet
            self.n_not_sent += 1
            return
        self._send_datagram(protected)

    def forget_sent(self, ssrc: int) -> None:
        """No packet of this SSRC will be sent any more."""
        self._dtls.forget_outbound(ssrc)

    # Data.

    def send_data(self, label: str, payload: bytes, is_reliable: bool) -> None:
        """Send on the channel of this label.

        Reliable data waits in order for the channel to open and for the peer to take it; raises BacklogFull
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

    def _on_channel_open(self, label: str) -> None:
        for payload in self._waiting.pop(label, ()):
            self._n_waiting_bytes -= len(payload)
            self._channels.send(label, payload)

    # For subclasses.

    def _start_media(self) -> None:
        """The handshake is done."""
        self._protect, self._unprotect = self._dtls.protect, self._dtls.unprotect

    def _stop_media(self) -> None:
        """No packet goes or comes any more. Safe to call twice."""
        self._protect = self._unprotect = None
        self._receivers.clear()
        self._waiting.clear()

    async def _say_goodbye(self) -> None:
        """End SCTP and DTLS. Safe to call twice."""
        await self._channels.stop()
        await self._dtls.stop()

    def _send_datagram(self, datagram: bytes) -> None:
        raise NotImplementedError
