"""One stay in a room: the WebSocket, the peer connection (two in version 0), and what is negotiated over them.

It ends where it is lost; `LiveKitRoom` resumes it, or makes the next one.
"""

import asyncio
import json
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Protocol

import aiohttp
import structlog
from livekit.protocol import models, rtc

from pressroom_host.webrtc.client_peer import CONNECTED, RELIABLE, ClientPeer
from pressroom_host.webrtc.client_sdp import (
    OPUS_PAYLOAD_TYPE,
    RemoteDescription,
    parse_remote,
    write_answer,
)
from pressroom_host.webrtc.ice import IceError, TurnServer

from .errors import JoinRefused, MediaUnreachable, ServerUnreachable, SignallingLost
from .offers import Offers
from .publication import Publication
from .signalling import Signalling, client_info, is_on_loopback

log = structlog.get_logger(__name__)

_JOIN_TIMEOUT_S = 10.0
_RESUME_TIMEOUT_S = 3.0
_ANSWER_TIMEOUT_S = 5.0
_HOLD_S = 0.25  # packets wait for an unmute to be taken, at most
_MAX_EARLY = 1_024
_DEFAULT_PING_S = 5
_DEFAULT_PING_TIMEOUT_S = 15
_SENT_BY_SERVER = ("sendonly", "sendrecv")

SignalTarget = rtc.SignalTarget


class ConnectionOwner(Protocol):
    """Who a Connection reports to. Called from the loop; must not block or raise."""

    def on_signalling_lost(self, connection: "Connection", why: str) -> None:
        """The WebSocket is closed; media may go on."""

    def on_media_lost(self, connection: "Connection", why: str) -> None:
        """No media passes any more."""

    def on_leave(self, connection: "Connection", leave: rtc.LeaveRequest) -> None:
        """The server says goodbye, and what to do now."""

    def on_response(self, connection: "Connection", kind: str, value: Any) -> None:
        """The server says something that is not about the connection."""

    def on_rtp(self, track_sid: str, packet: bytes) -> None:
        """A packet of a track came."""

    def on_channel_data(self, payload: bytes) -> None:
        """A message came on a data channel."""


class Connection:
    """publications: what this client publishes; they are attached to this connection.

    has_relay: media goes over the server's TURN, and nothing else.
    """

    def __init__(
        self,
        owner: ConnectionOwner,
        http: aiohttp.ClientSession,
        url: str,
        publications: Iterable[Publication],
        *,
        auto_subscribe: bool = True,
        version: int | None = None,
        has_relay: bool = False,
    ) -> None:
        self.ice_servers: list[rtc.ICEServer] = []
        self.participant_sid = ""
        self.n_malformed = 0
        self._owner = owner
        self._http = http
        self._url = url
        self._publications = [publication for publication in publications if publication.is_published]
        self._auto_subscribe = auto_subscribe
        self._version = version
        self._has_relay = has_relay
        self._loop = asyncio.get_running_loop()
        self._signalling: Signalling | None = None
        self._publisher: ClientPeer | None = None  # the only one in version 1
        self._subscriber: ClientPeer | None = None
        self._offers = Offers()
        self._last_answer = ""
        self._answers_id = secrets.randbits(60)
        self._n_answers = 0  # of ours, in version 0
        self._track_of_mid: dict[str, str] = {}
        self._joined: asyncio.Future[rtc.JoinResponse] = self._loop.create_future()
        self._connected: asyncio.Future[None] = self._loop.create_future()
        self._resumed: asyncio.Future[None] | None = None
        self._has_ended = False
        self._early: deque[tuple[str, Any]] | None = deque(maxlen=_MAX_EARLY)  # until the owner knows who is there
        self._readers: set[asyncio.Task[None]] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._heard_at_s = 0.0
        self._ping_s, self._ping_timeout_s = _DEFAULT_PING_S, _DEFAULT_PING_TIMEOUT_S
        self._on_pong: deque[Callable[[], None]] = deque()

    @property
    def has_media(self) -> bool:
        """Return whether media passes."""
        return self._publisher is not None and self._publisher.state == CONNECTED

    @property
    def version(self) -> int:
        """Of signalling; 1 until the server has shown that it knows 0 only."""
        return 1 if self._version is None else self._version

    # Joining, resuming, leaving.

    async def join(self, token: str) -> rtc.JoinResponse:
        """Return what the server says of the room once media and data pass. Raises a JoinError; then close it."""
        try:
            async with asyncio.timeout(_JOIN_TIMEOUT_S):
                request = self._join_request()
                if not self._has_relay:
                    await self._make_publisher(None)
                    if self._auto_subscribes_here:
                        self._offers.add_first_slots()
                    self._attach_publications()
                    request.publisher_offer.CopyFrom(self._offer())
                    request.add_track_requests.extend(each.add_track_request() for each in self._publications)
                await self._open(token, request)
                joined = await self._joined
                if self._has_relay:
                    await self._make_publisher(_turn_server(self.ice_servers))
                if self._has_relay or self.version == 0:
                    self._begin_without_offer()
                await self._connected
                return joined
        except IceError as error:
            raise MediaUnreachable(str(error)) from None
        except TimeoutError:
            raise ServerUnreachable(f"the LiveKit server did not answer within {_JOIN_TIMEOUT_S:.0f} s") from None
        except SignallingLost as error:
            raise ServerUnreachable(str(error)) from None

    async def resume(self, token: str) -> None:
        """Open a new WebSocket for the same stay. Raises a JoinError."""
        await self._drop_signalling()
        self._resumed = self._loop.create_future()
        request = self._join_request()
        request.reconnect = True
        request.reconnect_reason = models.ReconnectReason.RR_SIGNAL_DISCONNECTED
        request.participant_sid = self.participant_sid
        try:
            async with asyncio.timeout(_RESUME_TIMEOUT_S):
                await self._open(token, request)
                await self._resumed
        except TimeoutError:
            raise ServerUnreachable("the LiveKit server did not take the connection up again") from None
        self._send(rtc.SignalRequest(sync_state=self._sync_state()))
        for publication in self._publications:
            if publication.sid:
                self.send_mute(publication)
            elif publication.is_published:
                self._send(rtc.SignalRequest(add_track=publication.add_track_request()))
        if self._offers.is_awaited or self._offers.is_wanted:  # its answer may have been lost with the WebSocket
            self._offers.is_awaited = False
            self._renegotiate()

    async def close(self, says_goodbye: bool = True) -> None:
        """Leave. Safe to call twice."""
        self._has_ended = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for future in (self._joined, self._connected):
            future.cancel()
        if says_goodbye and self._signalling is not None:
            leave = rtc.LeaveRequest(reason=models.DisconnectReason.CLIENT_INITIATED)
            self._send(rtc.SignalRequest(leave=leave))
        for publication in self._publications:
            publication.attach(None)
        await self._drop_signalling()
        for peer in (self._publisher, self._subscriber):
            if peer is not None:
                await peer.close()

    def deliver(self) -> None:
        """The owner knows who is there: tell it what the server has said since, and from now on."""
        early, self._early = self._early or (), None
        for kind, value in early:
            self._owner.on_response(self, kind, value)

    # What the client asks of the server.

    def request(self, request: rtc.SignalRequest) -> None:
        """Ask something; nothing happens where the WebSocket is lost."""
        self._send(request)

    def send_data(self, label: str, payload: bytes) -> None:
        """Send on a data channel. Raises BacklogFull."""
        if self._publisher is not None:
            self._publisher.send_data(label, payload, label == RELIABLE)

    def publish(self, publication: Publication) -> None:
        """Ask for a track; the publication says what becomes of it."""
        self._publications.append(publication)
        self._send(rtc.SignalRequest(add_track=publication.add_track_request()))

    def unpublish(self, publication: Publication) -> None:
        """End a track: its section becomes inactive."""
        sender = publication.attach(None)
        if sender is not None and self._publisher is not None:
            self._publisher.remove_sender(sender)
        self._offers.end_publication(publication)
        if publication in self._publications:
            self._publications.remove(publication)
            self._renegotiate()

    def send_mute(self, publication: Publication) -> None:
        """Say that a track is silent, or not. Once the server has taken an unmute, what was held goes out."""
        if publication.sid:
            self._send(rtc.SignalRequest(mute=rtc.MuteTrackRequest(sid=publication.sid, muted=publication.is_muted)))
        if not publication.is_muted:
            self._ping(publication.release)  # answered in order
            self._loop.call_later(_HOLD_S, publication.release)

    # Peers and their descriptions.

    async def _make_publisher(self, relay: TurnServer | None) -> None:
        peer = self._publisher = ClientPeer(
            _PeerReport(self, is_publisher=True), relay=relay, has_loopback=is_on_loopback(self._url)
        )
        await peer.gather()

    @property
    def _auto_subscribes_here(self) -> bool:
        """Return whether tracks of others come on the connection this client offers."""
        return self.version == 1 and self._auto_subscribe

    def _attach_publications(self) -> None:
        for publication in self._publications:
            self._attach(publication)

    def _attach(self, publication: Publication) -> None:
        """Give the publication a stream and a section."""
        assert self._publisher is not None
        sender = self._publisher.add_sender(OPUS_PAYLOAD_TYPE)
        publication.attach(sender)
        self._offers.add_publication(publication, sender)

    def _begin_without_offer(self) -> None:
        """The server has let us in without an offer of ours, or, in version 0, has not read it."""
        if self.version == 0:
            self._offers.drop_slots()
        elif self._auto_subscribes_here:
            self._offers.add_first_slots()
        self._offers.is_awaited = False
        for publication in self._publications:
            self._send(rtc.SignalRequest(add_track=publication.add_track_request()))
        self._renegotiate()

    def _offer(self) -> rtc.SessionDescription:
        assert self._publisher is not None
        sdp = self._offers.next(self._publisher)
        self._start_timer("answer", _ANSWER_TIMEOUT_S, self._miss_answer)
        return rtc.SessionDescription(type="offer", sdp=sdp, id=self._offers.n_offers)

    def _renegotiate(self) -> None:
        """Offer again, now or after the answer that is awaited."""
        if self._offers.is_awaited or self._publisher is None:
            self._offers.is_wanted = True
        else:
            self._send(rtc.SignalRequest(offer=self._offer()))

    def _miss_answer(self) -> None:
        if self._offers.is_awaited:
            self._report_media_lost(f"the server did not answer an offer within {_ANSWER_TIMEOUT_S:.0f} s")

    # What the server says.

    async def _read(self, signalling: Signalling) -> None:
        async for response in signalling:
            self._heard_at_s = self._loop.time()
            await self._take(response)
        if signalling is self._signalling and not self._has_ended:
            self._lose_signalling("the server has closed the WebSocket")

    async def _take(self, response: rtc.SignalResponse) -> None:
        """Take what the server says; what is malformed is counted."""
        kind = response.WhichOneof("message")
        if kind is None:
            return
        try:
            await self._on_response(kind, getattr(response, kind))
        except (IceError, ValueError) as error:  # an SdpError is one
            self.n_malformed += 1
            log.warning("the server said something malformed", kind=kind, why=str(error)[:200])

    async def _on_response(self, kind: str, value: Any) -> None:
        if kind == "join":
            self._on_join(value)
        elif kind == "reconnect":
            if self._resumed is not None and not self._resumed.done():
                self._resumed.set_result(None)
        elif kind == "answer":
            self._on_answer(value)
        elif kind == "offer":
            await self._on_offer(value)
        elif kind == "trickle":
            await self._on_trickle(value)
        elif kind == "media_sections_requirement":
            self._offers.add_slots(value.num_audios)
            self._renegotiate()
        elif kind == "track_published":
            self._on_track_published(value)
        elif kind == "track_subscribed":
            for publication in self._publications:
                if publication.sid == value.track_sid:
                    publication.heard()
        elif kind in ("pong", "pong_resp"):
            if self._on_pong:
                self._on_pong.popleft()()
        elif kind == "leave":
            self._on_leave(value)
        else:
            if kind == "request_response":
                self._on_refusal(value)
            if self._early is not None:
                self._early.append((kind, value))
            else:
                self._owner.on_response(self, kind, value)

    def _on_join(self, join: rtc.JoinResponse) -> None:
        self.participant_sid = join.participant.sid
        self.ice_servers = list(join.ice_servers)
        self._ping_s = max(1, join.ping_interval or _DEFAULT_PING_S)
        self._ping_timeout_s = max(self._ping_s + 1, join.ping_timeout or _DEFAULT_PING_TIMEOUT_S)
        self._keep_alive()
        if not self._joined.done():
            self._joined.set_result(join)

    def _on_answer(self, answer: rtc.SessionDescription) -> None:
        if self._publisher is None or not self._offers.answered(answer.id):
            return
        self._last_answer = answer.sdp
        self._cancel_timer("answer")
        self._track_of_mid.update(answer.mid_to_track_id)
        description = parse_remote(answer.sdp)
        self._publisher.start(description.end)
        if self.version == 1:
            self._hear(self._publisher, description)
        if self._offers.is_wanted:
            self._renegotiate()

    async def _on_offer(self, offer: rtc.SessionDescription) -> None:
        """Version 0: the server offers what others publish."""
        description = parse_remote(offer.sdp)
        peer = self._subscriber
        if peer is None:
            peer = self._subscriber = ClientPeer(
                _PeerReport(self, is_publisher=False),
                is_offerer=False,
                opens_channels=False,
                relay=_turn_server(self.ice_servers) if self._has_relay else None,
                has_loopback=is_on_loopback(self._url),
            )
            await peer.gather()
        self._track_of_mid.update(offer.mid_to_track_id)
        self._hear(peer, description)
        self._n_answers += 1
        sdp = write_answer(peer, self._answers_id, self._n_answers, description.sections)
        self._send(rtc.SignalRequest(answer=rtc.SessionDescription(type="answer", sdp=sdp, id=offer.id)))
        peer.start(description.end)

    def _hear(self, peer: ClientPeer, description: RemoteDescription) -> None:
        """Hand the packets of each track the server sends to the room."""
        peer.set_receivers(
            {
                ssrc: partial(self._owner.on_rtp, self._track_of_mid[section.mid])
                for section in description.sections
                if section.direction in _SENT_BY_SERVER and section.mid in self._track_of_mid
                for ssrc in section.ssrcs
            }
        )

    async def _on_trickle(self, trickle: rtc.TrickleRequest) -> None:
        is_for_subscriber = self.version == 0 and trickle.target == SignalTarget.SUBSCRIBER
        peer = self._subscriber if is_for_subscriber else self._publisher
        if peer is None:
            return
        init = json.loads(trickle.candidateInit or "{}")
        candidate = init.get("candidate", "") if isinstance(init, dict) else ""
        if isinstance(candidate, str) and candidate:
            await peer.ice.add_candidate(candidate)
        if trickle.final:
            await peer.ice.end_of_candidates()

    def _on_track_published(self, published: rtc.TrackPublishedResponse) -> None:
        publication = next((each for each in self._publications if each.cid == published.cid), None)
        if publication is None:
            return
        publication.accepted(published.track)
        if publication.is_muted != published.track.muted:
            self.send_mute(publication)
        if publication.sender is None:
            self._attach(publication)
            self._renegotiate()

    def _on_refusal(self, response: rtc.RequestResponse) -> None:
        if response.reason in (rtc.RequestResponse.Reason.OK, rtc.RequestResponse.Reason.QUEUED):
            return
        publication = next((each for each in self._publications if each.cid == response.add_track.cid), None)
        if response.HasField("add_track") and publication is not None:
            why = response.message or rtc.RequestResponse.Reason.Name(response.reason)
            publication.refused(f"the server refuses the track {publication.name!r}: {why}")
            self.unpublish(publication)

    def _on_leave(self, leave: rtc.LeaveRequest) -> None:
        reason = models.DisconnectReason.Name(leave.reason)
        for future in (self._joined, self._connected, self._resumed):
            if future is not None and not future.done():
                future.set_exception(JoinRefused(f"the server sends this participant away: {reason}"))
                future.exception()  # also where nobody waits
        self._owner.on_leave(self, leave)

    # Loss.

    def _lose_signalling(self, why: str) -> None:
        for future in (self._joined, self._resumed):
            if future is not None and not future.done():
                future.set_exception(ServerUnreachable(why))
                future.exception()
        self._cancel_timer("ping")
        self._owner.on_signalling_lost(self, why)

    def _report_media_lost(self, why: str) -> None:
        if self._has_ended:
            return
        if not self._connected.done():
            self._connected.set_exception(MediaUnreachable(why))
            self._connected.exception()
        self._owner.on_media_lost(self, why)

    # The WebSocket.

    async def _open(self, token: str, request: rtc.JoinRequest) -> None:
        signalling = await Signalling.open(self._http, self._url, token, request, self._version)
        self._signalling = signalling
        self._version = signalling.version
        self._on_pong.clear()
        self._heard_at_s = self._loop.time()
        reader = asyncio.create_task(self._read(signalling), name="signalling in")
        self._readers.add(reader)
        reader.add_done_callback(self._readers.discard)
        if request.reconnect:
            self._keep_alive()

    async def _drop_signalling(self) -> None:
        signalling, self._signalling = self._signalling, None
        self._cancel_timer("ping")
        if signalling is not None:
            await signalling.close()
        readers = [reader for reader in self._readers if reader is not asyncio.current_task()]
        for reader in readers:
            reader.cancel()
        if readers:
            await asyncio.wait(readers)

    def _send(self, request: rtc.SignalRequest) -> None:
        if self._signalling is None:
            return
        try:
            self._signalling.send(request)
        except SignallingLost as error:
            self._lose_signalling(str(error))

    def _keep_alive(self) -> None:
        """Ping as often as the server wants it, and notice when it says nothing any more."""
        silent_s = self._loop.time() - self._heard_at_s
        if silent_s > self._ping_timeout_s:
            self._lose_signalling(f"the server has said nothing for {silent_s:.0f} s")
            return
        self._ping(_do_nothing)
        self._start_timer("ping", self._ping_s, self._keep_alive)

    def _ping(self, on_pong: Callable[[], None]) -> None:
        self._on_pong.append(on_pong)
        self._send(rtc.SignalRequest(ping_req=rtc.Ping(timestamp=int(time.time() * 1000))))

    def _join_request(self) -> rtc.JoinRequest:
        return rtc.JoinRequest(
            client_info=client_info(),
            connection_settings=rtc.ConnectionSettings(auto_subscribe=self._auto_subscribe),
        )

    def _sync_state(self) -> rtc.SyncState:
        state = rtc.SyncState(
            publish_tracks=[
                rtc.TrackPublishedResponse(cid=publication.cid, track=publication.info)
                for publication in self._publications
                if publication.sid
            ],
            subscription=rtc.UpdateSubscription(subscribe=not self._auto_subscribe),
            data_channels=[
                rtc.DataChannelInfo(label=label, id=number, target=SignalTarget.PUBLISHER)
                for number, label in ((1, "_reliable"), (3, "_lossy"))
            ],
        )
        if self._last_answer:
            state.offer.CopyFrom(rtc.SessionDescription(type="offer", sdp=self._offers.last))
            state.answer.CopyFrom(rtc.SessionDescription(type="answer", sdp=self._last_answer))
        return state

    def _start_timer(self, name: str, after_s: float, act: Callable[[], None]) -> None:
        self._cancel_timer(name)
        if not self._has_ended:
            self._timers[name] = self._loop.call_later(after_s, act)

    def _cancel_timer(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    # From the peers.

    def peer_connected(self, is_publisher: bool) -> None:
        """Media and data pass on one of the peer connections."""
        if is_publisher and not self._connected.done():
            self._connected.set_result(None)

    def peer_lost(self, why: str) -> None:
        """One of the peer connections is lost."""
        self._report_media_lost(why)

    def channel_data_came(self, payload: bytes) -> None:
        """A message came on a data channel of one of them."""
        self._owner.on_channel_data(payload)


class _PeerReport:
    """Tells a Connection what happens to one of its peers."""

    def __init__(self, connection: Connection, is_publisher: bool) -> None:
        self._connection = connection
        self._is_publisher = is_publisher

    def on_peer_connected(self) -> None:
        self._connection.peer_connected(self._is_publisher)

    def on_peer_data(self, label: str, payload: bytes) -> None:
        self._connection.channel_data_came(payload)

    def on_peer_lost(self, why: str) -> None:
        self._connection.peer_lost(why)


def _turn_server(ice_servers: Iterable[rtc.ICEServer]) -> TurnServer:
    """Return the first TURN server that speaks UDP (RFC 7065). Raises MediaUnreachable."""
    for server in ice_servers:
        for url in server.urls:
            scheme, _, rest = url.partition(":")
            address, _, query = rest.partition("?")
            host, _, port = address.rpartition(":") if ":" in address else (address, "", "3478")
            if scheme == "turn" and "transport=tcp" not in query and host and port.isdecimal():
                return TurnServer(host.strip("[]"), int(port), server.username, server.credential)
    raise MediaUnreachable("no media path to the server was found, and it offers no TURN over UDP; open its UDP port")


def _do_nothing() -> None:
    pass
