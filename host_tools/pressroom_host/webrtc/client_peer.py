"""A client's peer connection with a server: ICE, DTLS, data channels, RTP both ways with its RTCP.

NEW          gather()                                   -> NEW, with candidates to offer
NEW          start() with what the server answered      -> CONNECTING
CONNECTING   a path, the handshake, channels open        -> CONNECTED, on_peer_connected
CONNECTED    media and data pass; reports every 2 s
any          no path, silence, the server's goodbye      -> CLOSED, on_peer_lost
any          close()                                     -> CLOSED
"""

import asyncio
import contextlib
import secrets
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from . import rtcp
from .aiortc_parts import SRTP_ERRORS, Certificate, DtlsError
from .ice import IceClient, IceError, TurnServer
from .peer_connection import PeerConnection, PeerOwner, Receiver
from .receive_stream import ReceiveStream
from .send_stream import SendStream

NEW, CONNECTING, CONNECTED, CLOSED = "new", "connecting", "connected", "closed"

RELIABLE = "_reliable"  # LiveKit's data channels
LOSSY = "_lossy"
_CHANNELS = ((RELIABLE, True), (LOSSY, False))
_CNAME = "pressroom"
_CONNECT_TIMEOUT_S = 8.0
_CLOSE_TIMEOUT_S = 1.0
_REPORT_EVERY_S = 2.0
_SILENCE_TIMEOUT_S = 8.0  # the server checks its path every 2 s, and reports every 1 to 3 s; aioice would take 33 s
_NACK_EVERY_S = 0.02  # while packets are missing
_JITTER_EVERY = 8  # packets
_MAX_EARLY_PACKETS = 32


@dataclass(frozen=True, slots=True)
class RemoteEnd:
    """The server's end of the transport, from its SDP. Candidates may come later, too."""

    ice_ufrag: str
    ice_pwd: str
    is_lite: bool
    fingerprints: tuple[tuple[str, str], ...]
    is_dtls_client: bool
    sctp_port: int
    max_message_bytes: int
    candidates: tuple[str, ...]
    has_all_candidates: bool


class ClientPeer(PeerConnection):
    """opens_channels: this end opens LiveKit's two data channels, and is connected once they are open."""

    def __init__(
        self,
        owner: PeerOwner,
        *,
        is_offerer: bool = True,
        opens_channels: bool = True,
        relay: TurnServer | None = None,
        has_loopback: bool = False,
    ) -> None:
        super().__init__(Certificate(), owner, is_offerer)
        self.state = NEW
        self.n_bad_rtcp = 0
        self._ice = IceClient(
            self.on_dtls, self.on_srtp, is_controlling=is_offerer, relay=relay, has_loopback=has_loopback
        )
        self._loop = asyncio.get_running_loop()
        self._channels_to_open = {label for label, _ in _CHANNELS} if opens_channels else set()
        self._are_open = asyncio.Event()
        if not opens_channels:
            self._are_open.set()
        self._ssrc = 1 + secrets.randbelow(2**32 - 1)  # of reports while nothing is sent
        self._heard_at_s = 0.0
        self._senders: dict[int, SendStream] = {}
        self._streams: dict[int, ReceiveStream] = {}
        self._task: asyncio.Task[None] | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._early: deque[bytes] = deque(maxlen=_MAX_EARLY_PACKETS)  # of a track whose SDP is still on its way

    @property
    def ice(self) -> IceClient:
        """Its candidates and credentials, for SDP; candidates of the server go there."""
        return self._ice

    @property
    def fingerprint(self) -> tuple[str, str]:
        """(algorithm, value) of this end's certificate, for SDP."""
        return self._certificate.fingerprint

    async def gather(self) -> None:
        """Find out where this end can be reached. Raises IceError."""
        await self._ice.gather()

    def start(self, remote: RemoteEnd) -> None:
        """Connect; later descriptions of the same server change nothing here."""
        if self._task is None and self.state == NEW:
            self.state = CONNECTING
            self._task = asyncio.create_task(self._run(remote), name="client peer")

    async def close(self) -> None:
        """Say goodbye and let go of everything. Safe to call twice."""
        self.state = CLOSED
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._stop_media()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._say_goodbye()
        with contextlib.suppress(TimeoutError):  # a relay that is gone would be told for six seconds
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self._ice.close()

    # Media.

    def add_sender(self, payload_type: int) -> SendStream:
        """Return a new stream; what it sends goes to the server."""
        ssrc = 1 + secrets.randbelow(2**32 - 1)
        sender = self._senders[ssrc] = SendStream(ssrc, payload_type, self.send_rtp)
        return sender

    def remove_sender(self, sender: SendStream) -> None:
        """The stream has ended. Safe to call twice."""
        if self._senders.pop(sender.ssrc, None) is not None:
            self.forget_sent(sender.ssrc)

    def set_receivers(self, receivers: Mapping[int, Receiver]) -> None:
        """From now on hand packets of these SSRCs, and of no others, to these receivers; what goes on goes on."""
        for ssrc in self._streams.keys() - receivers.keys():
            del self._streams[ssrc]
            self.unlisten(ssrc)
        for ssrc in receivers.keys() - self._streams.keys():
            self._streams[ssrc] = ReceiveStream(ssrc, receivers[ssrc])
            self.listen(ssrc, self._packet_taker(self._streams[ssrc]))
        early, self._early = self._early, deque(maxlen=_MAX_EARLY_PACKETS)
        for packet in early:
            super().on_srtp(packet)

    def streams(self) -> list[ReceiveStream]:
        """What comes now."""
        return list(self._streams.values())

    def on_srtp(self, packet: bytes) -> None:
        """An SRTP or SRTCP packet came (RFC 5761 section 4: their payload types differ)."""
        if len(packet) > 12 and 191 < packet[1] < 224:
            self._on_rtcp(packet)
            return
        receiver = self._receivers.get(packet[8:12])
        if receiver is None:
            self._early.append(packet)
        else:
            self._hand_on(packet, receiver)

    def _packet_taker(self, stream: ReceiveStream) -> Receiver:
        now_s = self._loop.time

        def take(packet: bytes) -> None:
            at_s = self._heard_at_s = now_s()
            if not packet[3] % _JITTER_EVERY:
                stream.measure_jitter(packet, at_s)
            if stream.packet_came(packet, at_s):
                self._ask_again()

        return take

    # RTCP.

    def _on_rtcp(self, packet: bytes) -> None:
        unprotect = self._dtls.unprotect_rtcp
        if unprotect is None:
            self.n_unknown_ssrc += 1
            return
        try:
            items = rtcp.parse(unprotect(packet))
        except SRTP_ERRORS:  # an RtcpError is a ValueError
            self.n_bad_rtcp += 1
            return
        self._heard_at_s = self._loop.time()
        for item in items:
            if isinstance(item, rtcp.SenderReport):
                stream = self._streams.get(item.ssrc)
                if stream is not None:
                    is_first = not stream.has_report
                    stream.sender_reported(item.ntp_middle, self._heard_at_s)
                    if (
                        is_first
                    ):  # a LiveKit server answers no NACK before it knows the round trip from a report of ours
                        self._send_reports()
            elif isinstance(item, rtcp.Nack):
                sender = self._senders.get(item.ssrc)
                if sender is not None:
                    sender.resend(item.seqs)

    def _send_rtcp(self, packet: bytes) -> None:
        protect = self._dtls.protect_rtcp
        if protect is not None:
            self._send_datagram(protect(packet))

    def _report(self) -> None:
        """Every 2 s: what was sent and what came, and whether the server is still there."""
        now_s = self._loop.time()
        silent_s = now_s - max(self._heard_at_s, self._ice.heard_at_s)
        if silent_s > _SILENCE_TIMEOUT_S:
            self._lose(f"nothing came from the server's media port for {silent_s:.0f} s")
            return
        self._timers["report"] = self._loop.call_later(_REPORT_EVERY_S, self._report)
        self._send_reports()

    def _send_reports(self) -> None:
        now_s = self._loop.time()
        blocks = [stream.block(now_s) for stream in self._streams.values() if stream.n_received]
        for sender in self._senders.values():
            if sender.n_packets:
                info = (sender.ssrc, time.time(), sender.rtp_time(now_s), sender.n_packets, sender.n_bytes)
                self._send_rtcp(rtcp.write_report(info, sender.ssrc, _CNAME, blocks))
                blocks = []
        if blocks:
            self._send_rtcp(rtcp.write_report(None, self._ssrc, _CNAME, blocks))

    def _ask_again(self) -> None:
        """Ask for what is missing, and look again soon."""
        now_s = self._loop.time()
        is_waiting = False
        for stream in self._streams.values():
            if stream.has_missing:
                seqs = stream.due(now_s)
                if seqs:
                    self._send_rtcp(rtcp.write_nack(self._ssrc, stream.ssrc, seqs))
                is_waiting = is_waiting or stream.has_missing
        timer = self._timers.pop("nack", None)
        if timer is not None:
            timer.cancel()
        if is_waiting and self.state == CONNECTED:
            self._timers["nack"] = self._loop.call_later(_NACK_EVERY_S, self._ask_again)

    # Its one task.

    async def _run(self, remote: RemoteEnd) -> None:
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                await self._connect(remote)
        except (IceError, DtlsError, TimeoutError) as error:
            self._lose(str(error) or "no path to the server's media port within 8 s; is UDP blocked?")
            return
        self.state = CONNECTED
        self._heard_at_s = self._loop.time()
        self._timers["report"] = self._loop.call_later(
            _REPORT_EVERY_S * (0.5 + secrets.randbelow(100) / 200), self._report
        )
        self._owner.on_peer_connected()
        await self._dtls.closed.wait()
        self._lose("the server has closed the media connection")

    async def _connect(self, remote: RemoteEnd) -> None:
        for candidate in remote.candidates:
            await self._ice.add_candidate(candidate)
        if remote.has_all_candidates:
            await self._ice.end_of_candidates()
        await self._ice.connect(remote.ice_ufrag, remote.ice_pwd, remote.is_lite)
        await self._dtls.connect(remote.fingerprints, is_server=remote.is_dtls_client)
        self._start_media()
        if remote.sctp_port:
            labels = _CHANNELS if self._channels_to_open else ()
            await self._channels.start(remote.sctp_port, remote.max_message_bytes, labels)
        await self._are_open.wait()

    def _on_channel_open(self, label: str) -> None:
        super()._on_channel_open(label)
        self._channels_to_open.discard(label)
        if not self._channels_to_open:
            self._are_open.set()

    def _lose(self, why: str) -> None:
        if self.state != CLOSED:
            self.state = CLOSED
            self._owner.on_peer_lost(why)

    def _send_datagram(self, datagram: bytes) -> None:
        self._ice.send(datagram)
