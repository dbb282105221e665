"""ICE as a client needs it: a path to the server, over TURN where asked. The only file that knows aioice.

Private names of aioice in use, each held by tests/net/test_aioice_contract.py:
    Connection  _protocols _nominated
    and of each protocol: datagram_received local_candidate transport
Media does not go through aioice's queues: each datagram that is no STUN is handed on where it comes in, and what is
sent goes to the socket of the nominated pair.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aioice
from aioice.ice import StunProtocol

_LOOPBACK = "127.0.0.1"
_SOCKET_BUFFER_BYTES = 1 << 19

OnDatagram = Callable[[bytes], None]


class IceError(ConnectionError):
    """No path to the server was found, or it was lost."""


@dataclass(frozen=True, slots=True)
class TurnServer:
    """A relay, TURN over UDP. The credential is in no repr."""

    host: str
    port: int
    username: str
    credential: str

    def __repr__(self) -> str:
        return f"TurnServer({self.host}:{self.port})"


class IceClient:
    """The controlling end. on_dtls, on_srtp: take what comes, from the loop.

    relay: use this and nothing else. has_loopback: the server may be on this machine.
    heard_at_s: the loop's time when the last datagram came from the server, of whatever kind.
    """

    def __init__(
        self,
        on_dtls: OnDatagram,
        on_srtp: OnDatagram,
        *,
        is_controlling: bool = True,
        relay: TurnServer | None = None,
        has_loopback: bool = False,
    ) -> None:
        self.heard_at_s = 0.0
        self._on_dtls = on_dtls
        self._on_srtp = on_srtp
        self._loop = asyncio.get_running_loop()
        self._aioice = _Connection(is_controlling, relay, has_loopback)
        self._sendto: Callable[[bytes, tuple[str, int]], None] | None = None
        self._to = ("", 0)
        self._has_all_candidates = False

    @property
    def ufrag(self) -> str:
        """The user name fragment of this end."""
        return self._aioice.local_username

    @property
    def password(self) -> str:
        """The password of this end."""
        return self._aioice.local_password

    def candidates(self) -> list[str]:
        """Return what was gathered, as values of candidate lines."""
        return [candidate.to_sdp() for candidate in self._aioice.local_candidates]

    async def gather(self) -> None:
        """Open a socket on each address of this machine, or a place on the relay. Raises IceError if there is none."""
        await self._aioice.gather_candidates()
        if not self._aioice.local_candidates:
            raise IceError("no address to send from; is the network up, and does the TURN server answer?")
        for protocol in self._aioice._protocols:
            self._listen(protocol)

    async def add_candidate(self, text: str) -> None:
        """Take a candidate of the server, the value of a candidate line. What is not UDP, or malformed, is ignored."""
        if self._has_all_candidates:
            return
        with contextlib.suppress(ValueError, IndexError, AssertionError):
            candidate = aioice.Candidate.from_sdp(text.removeprefix("candidate:"))
            if candidate.transport.lower() == "udp" and candidate.component == 1:
                await self._aioice.add_remote_candidate(candidate)

    async def end_of_candidates(self) -> None:
        """There are no more. Safe to call twice."""
        if not self._has_all_candidates:
            self._has_all_candidates = True
            await self._aioice.add_remote_candidate(None)

    async def connect(self, ufrag: str, password: str, is_lite: bool) -> None:
        """Check the pairs until one works. Raises IceError; give it a timeout, because candidates may come late."""
        self._aioice.remote_username, self._aioice.remote_password = ufrag, password
        self._aioice.remote_is_lite = is_lite
        try:
            await self._aioice.connect()
        except ConnectionError:
            raise IceError("no path to the server's media port; is UDP blocked?") from None
        pair = self._aioice._nominated[1]
        self._sendto, self._to = pair.protocol.transport.sendto, pair.remote_addr
        self.heard_at_s = self._loop.time()

    def send(self, datagram: bytes) -> None:
        """Send at once; before there is a path it is dropped."""
        if self._sendto is not None:
            self._sendto(datagram, self._to)

    async def close(self) -> None:
        """Let go of the sockets, and of the place on the relay. Safe to call twice."""
        self._sendto = None
        await self._aioice.close()

    def _listen(self, protocol: StunProtocol) -> None:
        """Take datagrams where they come in; STUN goes on to aioice."""
        on_stun = protocol.datagram_received
        on_srtp, on_dtls, now_s = self._on_srtp, self._on_dtls, self._loop.time

        def datagram_received(datagram: bytes, address: tuple[Any, ...]) -> None:
            if not datagram:
                return
            first = datagram[0]
            if 127 < first < 192:  # RFC 7983
                on_srtp(datagram)
            elif 19 < first < 64:
                on_dtls(datagram)
            elif first < 4:
                on_stun(datagram, address)
                if address[:2] == self._to:
                    self.heard_at_s = now_s()

        protocol.datagram_received = datagram_received  # type: ignore[method-assign, assignment]
        sock = protocol.transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_BUFFER_BYTES)


class _Connection(aioice.Connection):
    def __init__(self, is_controlling: bool, relay: TurnServer | None, has_loopback: bool) -> None:
        super().__init__(
            is_controlling,
            turn_server=(relay.host, relay.port) if relay else None,
            turn_username=relay.username if relay else None,
            turn_password=relay.credential if relay else None,
            transport_policy=aioice.TransportPolicy.RELAY if relay else aioice.TransportPolicy.ALL,
        )
        self._has_loopback = has_loopback and relay is None

    async def get_component_candidates(
        self, component: int, addresses: list[str], timeout: int = 5
    ) -> list[aioice.Candidate]:
        """As aioice does; it leaves loopback out, where a server in a test or a demo is."""
        if self._has_loopback:
            addresses = [_LOOPBACK, *addresses]
        return await super().get_component_candidates(component, addresses, timeout)
