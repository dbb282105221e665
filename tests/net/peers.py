"""A WebRTC client of the tests' own, small enough to send what no real client would: aiortc's parts, ICE by hand."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import aioice.stun
from aiortc.rtcdatachannel import RTCDataChannel, RTCDataChannelParameters
from aiortc.rtcdtlstransport import RTCCertificate, RTCDtlsFingerprint, RTCDtlsParameters, RTCDtlsTransport
from aiortc.rtcsctptransport import RTCSctpCapabilities, RTCSctpTransport

from pressroom_host.webrtc.mux import Mux
from pressroom_host.webrtc.peer import Peer
from pressroom_host.webrtc.sdp import Offer

DEADLINE_S = 10.0


@dataclass
class Owner:
    """Remembers what its Peer reports."""

    connected: asyncio.Event = field(default_factory=asyncio.Event)
    messages: asyncio.Queue[tuple[str, bytes]] = field(default_factory=asyncio.Queue)
    lost: list[str] = field(default_factory=list)

    def on_peer_connected(self) -> None:
        self.connected.set()

    def on_peer_data(self, label: str, payload: bytes) -> None:
        self.messages.put_nowait((label, payload))

    def on_peer_lost(self, why: str) -> None:
        self.lost.append(why)


class RawClient(asyncio.DatagramProtocol):
    """One UDP socket on loopback; RTCDtlsTransport takes it for its ICE transport."""

    role = "controlling"
    state = "completed"

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._to = (peer.transport.host, peer.transport.port)
        self._dtls_in: asyncio.Queue[bytes] = asyncio.Queue()
        self.stun_in: asyncio.Queue[bytes] = asyncio.Queue()
        self.srtp_in: asyncio.Queue[bytes] = asyncio.Queue()
        self.data_in: asyncio.Queue[bytes] = asyncio.Queue()
        self.certificate = RTCCertificate.generateCertificate()
        self.dtls = RTCDtlsTransport(self, [self.certificate])
        self.dtls._set_role("client")
        self.sctp: RTCSctpTransport | None = None

    def connection_made(self, transport: Any) -> None:
        self._socket = transport

    def datagram_received(self, datagram: bytes, address: Any) -> None:
        first = datagram[0]
        queue = self.stun_in if first < 4 else self._dtls_in if first < 64 else self.srtp_in
        queue.put_nowait(datagram)

    @property
    def address(self) -> tuple[str, int]:
        return self._socket.get_extra_info("sockname")

    def offer(self, sctp_port: int = 5000) -> Offer:
        """Return what the client's SDP would say."""
        prints = tuple((f.algorithm, f.value) for f in self.certificate.getFingerprints() if f.algorithm == "sha-256")
        return Offer("abcd", prints, sctp_port, 65_536, ())

    def send(self, datagram: bytes) -> None:
        self._socket.sendto(datagram, self._to)

    async def check(self, password: str | None = None) -> None:
        """Send a nominating STUN check and wait for the answer."""
        request = aioice.stun.Message(aioice.stun.Method.BINDING, aioice.stun.Class.REQUEST)
        request.attributes["USERNAME"] = f"{self._peer.ice_ufrag}:abcd"
        request.attributes["USE-CANDIDATE"] = None
        request.add_message_integrity((password or self._peer.ice_pwd).encode())
        self.send(bytes(request))
        await asyncio.wait_for(self.stun_in.get(), DEADLINE_S)

    async def connect(self) -> None:
        """Check, then do the DTLS handshake."""
        await self.check()
        algorithm, value = self._peer.transport.fingerprint
        parameters = RTCDtlsParameters(fingerprints=[RTCDtlsFingerprint(algorithm, value)])
        await asyncio.wait_for(self.dtls.start(parameters), DEADLINE_S)

    async def open_channel(self, label: str) -> RTCDataChannel:
        """Return an open, reliable channel; what comes on it goes to `data_in`."""
        if self.sctp is None:
            self.sctp = RTCSctpTransport(self.dtls)
            await self.sctp.start(RTCSctpCapabilities(maxMessageSize=262_144), 5000)
        channel = RTCDataChannel(self.sctp, RTCDataChannelParameters(label=label))
        is_open = asyncio.Event()
        channel.on("open", is_open.set)
        channel.on("message", self.data_in.put_nowait)
        await asyncio.wait_for(is_open.wait(), DEADLINE_S)
        return channel

    async def close(self) -> None:
        if self.sctp is not None:
            await self.sctp.stop()
        await self.dtls.stop()
        self._socket.close()

    # What RTCDtlsTransport asks of its transport.

    async def _send(self, datagram: bytes) -> None:
        self.send(datagram)

    async def _recv(self) -> bytes:
        return await self._dtls_in.get()


@contextlib.asynccontextmanager
async def raw_client(mux: Mux) -> AsyncIterator[tuple[RawClient, Peer, Owner]]:
    """A client and its peer, not connected yet; both are closed at the end."""
    owner = Owner()
    peer = mux.add_peer(owner)
    loop = asyncio.get_running_loop()
    _, client = await loop.create_datagram_endpoint(lambda: RawClient(peer), local_addr=(mux.host, 0))
    try:
        yield client, peer, owner
    finally:
        await client.close()
        await peer.close()


async def until(condition: Callable[[], Any], what: str) -> None:
    """Wait for something that no event tells."""
    deadline_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline_s, f"{what}: did not happen"
        await asyncio.sleep(0.002)
