"""One UDP port for all peers: tells STUN, DTLS and SRTP apart, and whose they are (RFC 7983).

ICE-lite: the port is reachable, so nothing is gathered or checked from here. A client's address counts once a STUN
check signed with its peer's password has come from it; anything else from an unknown address is counted and dropped.
"""

import asyncio
import socket

from .aiortc_parts import Certificate
from .peer import Peer
from .peer_connection import PeerOwner
from .stun import Address, StunError, parse_binding_request, write_binding_response

_MAX_DATAGRAM_BYTES = 2_048
_MAX_READS = 32  # datagrams in a row, before others on the loop get their turn
_SOCKET_BUFFER_BYTES = 1 << 21
_MAX_ADDRESSES = 8  # of one peer
_POLL_EVERY_S = 1.0


class Mux:
    """host, port: where clients send to. Counters say what was dropped."""

    def __init__(self, sock: socket.socket) -> None:
        self.host, self.port = sock.getsockname()
        self.n_unknown = 0  # from an address that no peer has, or of no known protocol
        self.n_bad_stun = 0
        self.n_not_sent = 0
        self._socket = sock
        self._certificate = Certificate()
        self._by_ufrag: dict[str, Peer] = {}
        self._by_address: dict[Address, Peer] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock, self._read)
        self._poll_task = asyncio.create_task(self._poll(), name="mux")

    @classmethod
    def open(cls, host: str, port: int) -> "Mux":
        """Bind the port; 0 takes a free one. Raises OSError."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_BUFFER_BYTES)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER_BYTES)
            sock.bind((host, port))
        except OSError:
            sock.close()
            raise
        return cls(sock)

    def add_peer(self, owner: PeerOwner) -> Peer:
        """Return a new peer, waiting for its client."""
        peer = Peer(self, self._certificate, owner, self._loop.time())
        self._by_ufrag[peer.ice_ufrag] = peer
        return peer

    def remove_peer(self, peer: Peer) -> None:
        """Forget the peer and its addresses. Safe to call twice."""
        self._by_ufrag.pop(peer.ice_ufrag, None)
        while peer.addresses:
            self._forget(peer, peer.addresses.popleft())

    def send(self, datagram: bytes, address: Address) -> None:
        """Send at once, or drop and count: media that waits is late."""
        try:
            self._socket.sendto(datagram, address)
        except OSError:
            self.n_not_sent += 1

    async def close(self) -> None:
        """Close the port. Peers are closed by their owners, before. Safe to call twice."""
        if self._socket.fileno() < 0:
            return
        self._loop.remove_reader(self._socket)
        self._poll_task.cancel()
        await asyncio.wait([self._poll_task])
        self._socket.close()

    def _read(self) -> None:
        for _ in range(_MAX_READS):
            try:
                datagram, address = self._socket.recvfrom(_MAX_DATAGRAM_BYTES)
            except BlockingIOError:
                return
            except OSError:  # some systems report here that an earlier datagram found nobody
                continue
            self._receive(datagram, address)

    def _receive(self, datagram: bytes, address: Address) -> None:
        first = datagram[0] if datagram else 255
        if first < 4:
            self._receive_stun(datagram, address)
            return
        peer = self._by_address.get(address)
        if peer is None:
            self.n_unknown += 1
        elif 127 < first < 192:
            peer.on_srtp(datagram)
        elif 19 < first < 64:
            peer.on_dtls(datagram)
        else:
            self.n_unknown += 1

    def _receive_stun(self, datagram: bytes, address: Address) -> None:
        try:
            request = parse_binding_request(datagram)
        except StunError:
            self.n_bad_stun += 1
            return
        peer = self._by_ufrag.get(request.local_ufrag)
        if peer is None or not request.is_signed_with(peer.ice_pwd):
            self.n_bad_stun += 1
            return
        self._remember(peer, address)
        peer.on_checked(address, request.is_nominated, self._loop.time())
        self.send(write_binding_response(request.transaction_id, address, peer.ice_pwd), address)

    def _remember(self, peer: Peer, address: Address) -> None:
        if self._by_address.get(address) is peer:
            return
        self._by_address[address] = peer
        peer.addresses.append(address)
        if len(peer.addresses) > _MAX_ADDRESSES:
            self._forget(peer, peer.addresses.popleft())

    def _forget(self, peer: Peer, address: Address) -> None:
        if self._by_address.get(address) is peer:
            del self._by_address[address]

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(_POLL_EVERY_S)
            now_s = self._loop.time()
            for peer in list(self._by_ufrag.values()):
                peer.poll(now_s)
