"""DTLS-SRTP and SCTP for one peer, made of aiortc's parts; the only file that knows aiortc.

Private names of aiortc in use, each held by tests/net/test_aiortc_contract.py:
    RTCDtlsTransport  _set_role _rx_srtp _tx_srtp, and what it asks of its transport: _send _recv role state
    RTCSctpTransport  _handle_data _receive_data_chunk _receive_sack_chunk _send_chunk _inbound_streams
                      _last_received_tsn _advertised_rwnd _sent_queue _data_channels _data_channel_id
aiortc trusts a peer that has authenticated itself. A room does not: what such a peer could grow is bounded here.
"""

import asyncio
import contextlib
import struct
from collections.abc import Callable
from functools import partial

import pylibsrtp
from aiortc.rtcdatachannel import RTCDataChannel, RTCDataChannelParameters
from aiortc.rtcdtlstransport import RTCCertificate, RTCDtlsFingerprint, RTCDtlsParameters, RTCDtlsTransport
from aiortc.rtcsctptransport import Chunk, DataChunk, RTCSctpCapabilities, RTCSctpTransport, SackChunk

from .sctp_framing import is_well_framed

_MAX_QUEUED_DATAGRAMS = 512  # of DTLS, not yet read
_MAX_INBOUND_STREAMS = 32
_MAX_FRAGMENTS = 1_024  # of one stream, waiting for the rest: a message of 256 KiB has 225
_MAX_TSN_AHEAD = 4_096
_TSN_MODULO = 2**32
# What aiortc's SCTP raises when chunks contradict each other or their own lengths.
_MALFORMED = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NameError,
    TypeError,
    ValueError,
    struct.error,
)

SRTP_ERRORS = (pylibsrtp.Error, ValueError)  # ValueError: longer than pylibsrtp's buffer
Transform = Callable[[bytes], bytes]


class DtlsError(ConnectionError):
    """The handshake failed: garbage, no common profile, or a certificate other than the signalled one."""


class Certificate:
    """A fresh key and self-signed certificate; clients know it by the fingerprint in our SDP."""

    def __init__(self) -> None:
        self.aiortc = RTCCertificate.generateCertificate()

    @property
    def fingerprint(self) -> tuple[str, str]:
        """Return (algorithm, value) as SDP has it."""
        return next((f.algorithm, f.value) for f in self.aiortc.getFingerprints() if f.algorithm == "sha-256")


class DtlsSrtp:
    """This end of the DTLS connection with one peer.

    send: takes each datagram for the peer. Datagrams of the peer go to `receive`.
    is_offerer: this end made the offer, so that it is the one that begins the SCTP association.
    protect, unprotect, and the same for RTCP: None until `connect` has returned. They raise SRTP_ERRORS.
    """

    state = "completed"  # aiortc asks its ICE transport for role and state

    def __init__(self, certificate: Certificate, send: Callable[[bytes], None], is_offerer: bool = False) -> None:
        self.role = "controlling" if is_offerer else "controlled"
        self.n_dropped = 0
        self.protect: Transform | None = None
        self.unprotect: Transform | None = None
        self.protect_rtcp: Transform | None = None
        self.unprotect_rtcp: Transform | None = None
        self.closed = asyncio.Event()
        self._send_datagram = send
        self._datagrams: asyncio.Queue[bytes] = asyncio.Queue(_MAX_QUEUED_DATAGRAMS)
        self.aiortc = RTCDtlsTransport(self, [certificate.aiortc])  # type: ignore[arg-type] # this is its transport
        self.aiortc.on("statechange", self._on_state)

    def receive(self, datagram: bytes) -> None:
        """Take a DTLS datagram of the peer; too many unread ones are dropped and counted."""
        if self._datagrams.full():
            self.n_dropped += 1
        else:
            self._datagrams.put_nowait(datagram)

    async def connect(self, fingerprints: tuple[tuple[str, str], ...], is_server: bool = True) -> None:
        """Do the handshake, as the DTLS server or its client, and check the peer's certificate. Raises DtlsError."""
        self.aiortc._set_role("server" if is_server else "client")
        expected = [RTCDtlsFingerprint(algorithm, value) for algorithm, value in fingerprints]
        await self.aiortc.start(RTCDtlsParameters(fingerprints=expected))
        if self.aiortc.state != "connected":
            raise DtlsError("DTLS handshake failed")
        self.protect = self.aiortc._tx_srtp.protect
        self.unprotect = self.aiortc._rx_srtp.unprotect
        self.protect_rtcp = self.aiortc._tx_srtp.protect_rtcp
        self.unprotect_rtcp = self.aiortc._rx_srtp.unprotect_rtcp

    def forget_inbound(self, ssrc: int) -> None:
        """Free what SRTP keeps for a stream of the peer that has ended."""
        _forget(self.aiortc._rx_srtp, ssrc)

    def forget_outbound(self, ssrc: int) -> None:
        """Free what SRTP keeps for a stream to the peer that has ended."""
        _forget(self.aiortc._tx_srtp, ssrc)

    async def stop(self) -> None:
        """Tell the peer, and let go of the keys. Safe to call twice."""
        self.protect = self.unprotect = self.protect_rtcp = self.unprotect_rtcp = None
        await self.aiortc.stop()

    def _on_state(self) -> None:
        if self.aiortc.state in ("closed", "failed"):
            self.closed.set()

    async def _send(self, datagram: bytes) -> None:
        self._send_datagram(datagram)

    async def _recv(self) -> bytes:
        return await self._datagrams.get()


class DataChannels:
    """The data channels with a peer, whoever opens them; messages go both ways on them.

    on_open(label), on_message(label, payload): called from the loop, in order. Text messages are dropped.
    """

    def __init__(
        self, dtls: DtlsSrtp, on_open: Callable[[str], None], on_message: Callable[[str, bytes], None]
    ) -> None:
        self._on_open = on_open
        self._on_message = on_message
        self._sctp = _BoundedSctp(dtls.aiortc)
        self._sctp.on("datachannel", self._on_channel)
        self._channels: dict[str, RTCDataChannel] = {}

    @property
    def n_malformed(self) -> int:
        """How many SCTP packets and chunks were dropped."""
        return self._sctp.n_malformed

    async def start(self, port: int, max_message_bytes: int, open_labels: tuple[tuple[str, bool], ...] = ()) -> None:
        """Begin the association; port and size are from the peer's SDP.

        open_labels: channels that this end, the DTLS server, opens, each with whether it is reliable.
        """
        if open_labels:
            self._sctp._data_channel_id = 1  # RFC 8832 section 6: the DTLS server's are odd
        for label, is_reliable in open_labels:
            options = {"ordered": True} if is_reliable else {"ordered": False, "maxRetransmits": 0}
            channel = RTCDataChannel(self._sctp, RTCDataChannelParameters(label=label, **options))
            channel.on("open", partial(asyncio.get_running_loop().call_soon, self._on_open, label))
            self._keep(channel)
        await self._sctp.start(RTCSctpCapabilities(maxMessageSize=max_message_bytes), port)

    def backlog_bytes(self, label: str) -> int:
        """Bytes handed to `send` that wait for the peer."""
        channel = self._channels.get(label)
        return channel.bufferedAmount if channel else 0

    def send(self, label: str, payload: bytes) -> bool:
        """Return False if the channel is not open, or the peer takes no message of this size."""
        channel = self._channels.get(label)
        if channel is None or channel.readyState != "open":
            return False
        try:
            channel.send(payload)
        except ValueError:
            return False
        return True

    async def stop(self) -> None:
        """End the association. Safe to call twice."""
        await self._sctp.stop()

    def _on_channel(self, channel: RTCDataChannel) -> None:
        self._keep(channel)
        asyncio.get_running_loop().call_soon(self._on_open, channel.label)

    def _keep(self, channel: RTCDataChannel) -> None:
        label = channel.label
        self._channels[label] = channel

        def on_message(payload: bytes | str) -> None:
            if isinstance(payload, bytes):
                loop.call_soon(self._on_message, label, payload)

        # Not from inside aiortc, where an error of ours would be taken for the peer's.
        loop = asyncio.get_running_loop()
        channel.on("message", on_message)


class _BoundedSctp(RTCSctpTransport):
    """aiortc's SCTP, with an end to what a hostile peer can make it keep or compute."""

    def __init__(self, transport: RTCDtlsTransport) -> None:
        super().__init__(transport)
        self.n_malformed = 0

    async def _handle_data(self, data: bytes) -> None:
        if not is_well_framed(data):
            self.n_malformed += 1
            return
        try:
            await super()._handle_data(data)
        except _MALFORMED:
            self.n_malformed += 1

    async def _receive_data_chunk(self, chunk: DataChunk) -> None:
        if self._is_acceptable(chunk):
            await super()._receive_data_chunk(chunk)
        else:
            self.n_malformed += 1

    async def _receive_sack_chunk(self, chunk: SackChunk) -> None:
        # Gaps can only be among what was sent; aiortc would count through each, 65,536 a gap.
        if all(end <= len(self._sent_queue) for _, end in chunk.gaps):
            await super()._receive_sack_chunk(chunk)
        else:
            self.n_malformed += 1

    async def _send_chunk(self, chunk: Chunk) -> None:
        with contextlib.suppress(ConnectionError):  # closing already, and aiortc sends from tasks that nobody awaits
            await super()._send_chunk(chunk)

    def _is_acceptable(self, chunk: DataChunk) -> bool:
        stream = self._inbound_streams.get(chunk.stream_id)
        if stream is None and len(self._inbound_streams) >= _MAX_INBOUND_STREAMS:
            return False
        if self._last_received_tsn is None or not chunk.user_data:  # no INIT yet; RFC 9260 section 6.2: no empty DATA
            return False
        ahead = (chunk.tsn - self._last_received_tsn) % _TSN_MODULO
        if _MAX_TSN_AHEAD < ahead < _TSN_MODULO // 2:
            return False
        has_room = self._advertised_rwnd > 0 and (stream is None or len(stream.reassembly) < _MAX_FRAGMENTS)
        return has_room or ahead == 1


def _forget(session: pylibsrtp.Session | None, ssrc: int) -> None:
    if session is not None:
        with contextlib.suppress(pylibsrtp.Error):  # no packet of it has passed
            session.remove_stream(ssrc)
