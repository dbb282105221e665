"""A participant in a room of any LiveKit server: sends and hears Opus as it is, and stays whatever happens.

 state          what happens                              then
 NEW            connect()                                 -> CONNECTED, or a JoinError
 CONNECTED      the WebSocket is lost, media goes on      resumed at once; nobody notices
 CONNECTED      media is lost, or the server wants it     -> RECONNECTING: joined anew, again and again
 RECONNECTING   joined                                    -> CONNECTED, with all that was published and said of itself
 any            removed, replaced, refused; disconnect()  -> CLOSED

room = LiveKitRoom(url, token, listener)
await room.connect()
mic = room.publish_opus("microphone")
await mic.published()
mic.send_opus(packet)
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import aiohttp
import structlog
from google.protobuf.message import DecodeError
from livekit.protocol import models, rtc

from pressroom_host.room_listener import RoomListener
from pressroom_host.webrtc.client_peer import LOSSY, RELIABLE
from pressroom_host.webrtc.peer_connection import BacklogFull
from pressroom_host.webrtc.rtp import HEADER_BYTES, PLAIN, plain

from .connection import Connection
from .errors import JoinError, LiveKitError, MediaUnreachable, ServerUnreachable
from .publication import Publication
from .roster import Roster
from .rpc import Handler, Rpc
from .text import TextStreams, text_packets

log = structlog.get_logger(__name__)

NEW, CONNECTED, RECONNECTING, CLOSED = "new", "connected", "reconnecting", "closed"

MAX_DATA_BYTES = 64_000  # of one packet; a LiveKit server forwards no longer ones
_BACKOFF_S = (0.0, 0.1, 0.3, 0.7, 1.5, 3.0)  # the last one again and again
_METADATA_TIMEOUT_S = 5.0
_MAX_WAITING_UPDATES = 64
_SERVER_SILENCE = b"\xf8\xff\xfe".ljust(80, b"\0")  # what a LiveKit server sends after a mute or an unpublish
_SERVER_SILENCE_BYTES = HEADER_BYTES + len(_SERVER_SILENCE)

Action = rtc.LeaveRequest.Action
Reason = models.DisconnectReason
Token = str | Callable[[], str]


class LiveKitRoom:
    """One participant in one room. Made in a running loop.

    url: as LIVEKIT_URL has it. token: an access token, or what makes one; it is made anew for each join.
    handles_calls: False: calls and texts reach the listener as packets only, and are answered by nobody here.
    version: of signalling, 1 or 0; None: 1, or 0 where the server does not know 1.
    relay: True: over the server's TURN only; False: never; None: where there is no other way.
    """

    def __init__(
        self,
        url: str,
        token: Token,
        listener: RoomListener,
        *,
        auto_subscribe: bool = True,
        handles_calls: bool = True,
        version: int | None = None,
        relay: bool | None = None,
    ) -> None:
        self.state = NEW
        self.info = models.Room()
        self.server_info = models.ServerInfo()
        self.n_resumes = 0
        self.n_rejoins = 0
        self.n_server_silence = 0  # packets the server made up
        self.n_malformed = 0
        self.n_not_sent = 0  # data, because there was no connection
        self._url = url
        self._token = token
        self._refreshed_token = ""
        self._listener = listener
        self._roster = Roster(listener)
        self._auto_subscribe = auto_subscribe
        self._version = version
        self._relay = relay
        self._needs_relay = bool(relay)
        self._http: aiohttp.ClientSession | None = None
        self._connection: Connection | None = None
        self._recovery: asyncio.Task[None] | None = None
        self._publications: list[Publication] = []
        self._attributes: dict[str, str] = {}
        self._metadata = ""
        self._name = ""
        self._n_data_sent = 0
        self._updates: dict[int, asyncio.Future[None]] = {}
        self._n_updates = 0
        self._rpc = Rpc(self.send_packet) if handles_calls else None
        self._texts = TextStreams() if handles_calls else None

    @property
    def me(self) -> models.ParticipantInfo:
        """This participant, as the server sees it."""
        return self._roster.me

    @property
    def participants(self) -> dict[str, models.ParticipantInfo]:
        """The others, by sid."""
        return self._roster.participants

    # Its life.

    async def connect(self) -> None:
        """Join. Raises a JoinError that says what to do."""
        self._http = aiohttp.ClientSession()
        try:
            connection, join = await self._join()
        except BaseException:
            await self._http.close()
            self.state = CLOSED
            raise
        self._enter(connection, join)

    async def disconnect(self) -> None:
        """Leave. Safe to call twice."""
        self.state = CLOSED
        recovery, self._recovery = self._recovery, None
        if recovery is not None and recovery is not asyncio.current_task():
            recovery.cancel()
            await asyncio.wait([recovery])
        await self._let_go()

    async def _let_go(self) -> None:
        if self._rpc is not None:
            await self._rpc.close()
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
        if self._http is not None:
            await self._http.close()

    # Tracks.

    def publish_opus(
        self,
        name: str,
        source: models.TrackSource = models.TrackSource.MICROPHONE,
        muted: bool = False,
    ) -> Publication:
        """Publish a track of Opus, before `connect` or any time after it; `Publication.published` says how it went."""
        publication = Publication(name, source, muted, self._publication_changed)
        self._publications.append(publication)
        if self.state == CONNECTED and self._connection is not None:
            self._connection.publish(publication)
        return publication

    def subscribe(self, track_sid: str, wanted: bool = True) -> None:
        """Ask for a track's packets, or give them up. Only needed without auto_subscribe, or to change one's mind."""
        request = rtc.UpdateSubscription(track_sids=[track_sid], subscribe=wanted)
        request.participant_tracks.add(participant_sid=self._roster.owner_of(track_sid), track_sids=[track_sid])
        self._request(rtc.SignalRequest(subscription=request))

    def set_muted(self, publication: Publication, muted: bool) -> None:
        """Tell everybody that this track is silent, or that it is not."""
        publication.set_muted(muted)

    def _publication_changed(self, publication: Publication) -> None:
        if not publication.is_published:
            if publication in self._publications:
                self._publications.remove(publication)
            if self._connection is not None:
                self._connection.unpublish(publication)
        elif self._connection is not None and self.state == CONNECTED:
            self._connection.send_mute(publication)

    # Data.

    def send_data(
        self, payload: bytes, topic: str = "", *, reliable: bool = True, destination_identities: Iterable[str] = ()
    ) -> None:
        """Send to these participants, or to all others. Raises ValueError if it is too long."""
        user = models.UserPacket(payload=payload, topic=topic)
        packet = models.DataPacket(destination_identities=destination_identities, user=user)
        self.send_packet(packet, reliable)

    def send_text(
        self,
        text: str,
        topic: str,
        *,
        destination_identities: Iterable[str] = (),
        attributes: Mapping[str, str] | None = None,
    ) -> None:
        """Send a text of any length."""
        for packet in text_packets(text, topic, destination_identities, dict(attributes or {})):
            self.send_packet(packet)

    def send_packet(self, packet: models.DataPacket, reliable: bool = True) -> None:
        """Send any packet, to its destination_identities or to all others. Raises ValueError if it is too long."""
        packet.kind = models.DataPacket.Kind.RELIABLE if reliable else models.DataPacket.Kind.LOSSY
        if reliable:
            packet.sequence = self._n_data_sent + 1
        payload = packet.SerializeToString()
        if len(payload) > MAX_DATA_BYTES:
            raise ValueError(f"data of {len(payload)} bytes; at most {MAX_DATA_BYTES} are sent in one packet")
        connection = self._connection
        if connection is None:
            self.n_not_sent += 1
            return
        self._n_data_sent += reliable
        try:
            connection.send_data(RELIABLE if reliable else LOSSY, payload)
        except BacklogFull as error:
            self.on_media_lost(connection, str(error))

    async def perform_rpc(self, identity: str, method: str, payload: str = "", timeout_s: float = 15.0) -> str:
        """Call a method of another participant and return its answer. Raises RpcError."""
        return await self._calls().call(identity, method, payload, timeout_s)

    def register_rpc(self, method: str, handler: Handler | None) -> None:
        """Answer calls of this method with what `await handler(caller_identity, payload)` returns; None: no longer."""
        self._calls().register(method, handler)

    def _calls(self) -> Rpc:
        if self._rpc is None:
            raise ValueError("this room was made with handles_calls=False: its listener answers calls")
        return self._rpc

    # What it says of itself.

    def set_attributes(self, attributes: Mapping[str, str]) -> "asyncio.Future[None]":
        """Set these attributes; an empty value removes one. Asked at once; await it to learn of a LiveKitError."""
        self._attributes.update(attributes)
        return self._update_me(attributes=dict(attributes))

    def set_metadata(self, metadata: str) -> "asyncio.Future[None]":
        """Replace the metadata. It is asked at once; await it to learn of a LiveKitError."""
        self._metadata = metadata
        return self._update_me(metadata=metadata)

    def set_name(self, name: str) -> "asyncio.Future[None]":
        """Replace the name. It is asked at once; await it to learn of a LiveKitError."""
        self._name = name
        return self._update_me(name=name)

    def _update_me(self, **changes: Any) -> "asyncio.Future[None]":
        loop = asyncio.get_running_loop()
        self._n_updates += 1
        request_id, done = self._n_updates, loop.create_future()
        done.add_done_callback(lambda future: future.cancelled() or future.exception())  # also where nobody waits
        if len(self._updates) >= _MAX_WAITING_UPDATES:
            done.set_exception(LiveKitError(f"{_MAX_WAITING_UPDATES} changes wait for the server already"))
            return done
        self._updates[request_id] = done
        loop.call_later(_METADATA_TIMEOUT_S, self._fail_update, request_id)
        request = rtc.UpdateParticipantMetadata(request_id=request_id, **changes)
        self._request(rtc.SignalRequest(update_metadata=request))
        return done

    def _fail_update(self, request_id: int, why: str = "the server did not answer in time") -> None:
        done = self._updates.pop(request_id, None)
        if done is not None and not done.done():
            done.set_exception(LiveKitError(why))

    def _request(self, request: rtc.SignalRequest) -> None:
        if self._connection is not None:
            self._connection.request(request)

    # Joining and recovering.

    async def _join(self) -> tuple[Connection, rtc.JoinResponse]:
        """Join once: directly, or over the relay where there is no other way."""
        try:
            return await self._join_by(self._needs_relay)
        except MediaUnreachable as error:
            if self._needs_relay or self._relay is False or not error.has_relay:
                raise
            log.info("no direct path to the server's media, trying its relay", why=str(error))
        joined = await self._join_by(True)
        self._needs_relay = True
        return joined

    async def _join_by(self, has_relay: bool) -> tuple[Connection, rtc.JoinResponse]:
        assert self._http is not None
        connection = Connection(
            self,
            self._http,
            self._url,
            self._publications,
            auto_subscribe=self._auto_subscribe,
            version=self._version,
            has_relay=has_relay,
        )
        try:
            return connection, await connection.join(self._present_token())
        except BaseException as error:
            await connection.close()
            if isinstance(error, MediaUnreachable):
                error.has_relay = any(
                    url.startswith("turn:") for server in connection.ice_servers for url in server.urls
                )
            raise

    def _present_token(self) -> str:
        return self._token() if callable(self._token) else self._refreshed_token or self._token

    def _enter(self, connection: Connection, join: rtc.JoinResponse) -> None:
        """Take what the server says as what is so, and tell the listener what has changed."""
        self._connection = connection
        self.state = CONNECTED
        self.info, self.server_info = join.room, join.server_info
        for identity in self._roster.joined(join.participant, join.other_participants):
            self._forget(identity)
        changes = {"attributes": self._attributes, "metadata": self._metadata, "name": self._name}
        changes = {key: value for key, value in changes.items() if value}
        if changes:
            self._update_me(**changes)
        connection.deliver()

    def _recover(self, why: str, may_resume: bool) -> None:
        if self.state == CLOSED or (self._recovery is not None and may_resume):
            return
        if self._recovery is not None:
            self._recovery.cancel()
        self._recovery = asyncio.create_task(self._recovering(why, may_resume), name="livekit recovery")

    async def _recovering(self, why: str, may_resume: bool) -> None:
        connection = self._connection
        if may_resume and connection is not None and await self._resumes(connection):
            self._recovery = None
            self.n_resumes += 1
            log.info("resumed", why=why)
            return
        self.state = RECONNECTING
        log.info("connection lost, joining anew", why=why)
        self._listener.on_reconnecting(why)
        self._connection = None
        if connection is not None:
            await connection.close(says_goodbye=False)
        attempt = 0
        while True:
            await asyncio.sleep(_BACKOFF_S[min(attempt, len(_BACKOFF_S) - 1)])
            attempt += 1
            try:
                connection, join = await self._join()
                break
            except JoinError as error:
                log.info("not joined", why=str(error))
                if error.is_final:
                    self._remove(Reason.JOIN_FAILURE)
                    return
        self._recovery = None
        self.n_rejoins += 1
        self._enter(connection, join)
        self._listener.on_reconnected()

    async def _resumes(self, connection: Connection) -> bool:
        """Take the connection up again, for as long as media lives."""
        attempt = 0
        while connection.has_media and self.state != CLOSED:
            await asyncio.sleep(_BACKOFF_S[min(attempt, len(_BACKOFF_S) - 1)])
            attempt += 1
            try:
                await connection.resume(self._present_token())
            except JoinError as error:
                log.info("not resumed", why=str(error))
                if type(error) is not ServerUnreachable:
                    return False
            else:
                return connection.has_media
        return False

    def _remove(self, reason: int) -> None:
        """The end, by the server's will."""
        self.state = CLOSED
        self._recovery = asyncio.create_task(self._let_go(), name="livekit end")
        self._listener.on_removed(reason)

    # From the connection.

    def on_signalling_lost(self, connection: Connection, why: str) -> None:
        """The WebSocket is closed; media may go on."""
        if connection is self._connection:
            self._recover(why, may_resume=True)

    def on_media_lost(self, connection: Connection, why: str) -> None:
        """No media passes any more."""
        if connection is self._connection:
            self._recover(why, may_resume=False)

    def on_leave(self, connection: Connection, leave: rtc.LeaveRequest) -> None:
        """The server says goodbye, and what to do now."""
        if connection is not self._connection or self.state == CLOSED:
            return
        reason = Reason.Name(leave.reason)
        if leave.action == Action.RESUME:
            self._recover(f"the server asks to resume ({reason})", may_resume=True)
        elif leave.action == Action.RECONNECT or leave.can_reconnect:
            self._recover(f"the server asks to join anew ({reason})", may_resume=False)
        elif leave.reason in (Reason.SERVER_SHUTDOWN, Reason.STATE_MISMATCH, Reason.CONNECTION_TIMEOUT):
            self._recover(f"the server has ended the connection ({reason})", may_resume=False)
        else:
            self._remove(leave.reason)

    def on_response(self, connection: Connection, kind: str, value: Any) -> None:
        """The server says something that is not about the connection."""
        if kind == "update":
            for info in value.participants:
                identity = self._roster.updated(info)
                if identity is not None:
                    self._forget(identity)
        elif kind == "mute":
            self._listener.on_mute_requested(value.sid, value.muted)
        elif kind == "speakers_changed":
            self._listener.on_speakers(list(value.speakers))
        elif kind == "connection_quality":
            self._listener.on_connection_quality(list(value.updates))
        elif kind == "refresh_token":
            self._refreshed_token = value
        elif kind == "room_update":
            self.info = value.room
        elif kind == "request_response":
            if value.reason == rtc.RequestResponse.Reason.OK:
                done = self._updates.pop(value.request_id, None)
                if done is not None and not done.done():
                    done.set_result(None)
            else:
                name = rtc.RequestResponse.Reason.Name(value.reason)
                self._fail_update(value.request_id, value.message or name)

    def on_rtp(self, track_sid: str, packet: bytes) -> None:
        """A packet of a track came."""
        if packet[0] != PLAIN:
            packet = plain(packet)
        if len(packet) <= HEADER_BYTES:
            self.n_malformed += 1
        elif packet.endswith(_SERVER_SILENCE) and len(packet) == _SERVER_SILENCE_BYTES:
            self.n_server_silence += 1
        else:
            self._listener.on_rtp(track_sid, packet)

    def on_channel_data(self, payload: bytes) -> None:
        """A message came on a data channel."""
        try:
            packet = models.DataPacket.FromString(payload)
        except DecodeError:
            self.n_malformed += 1
            return
        self._listener.on_data(packet)
        if self._rpc is None or self._texts is None or self._rpc.packet_came(packet):
            return
        if packet.WhichOneof("value") == "user":
            self._listener.on_user_data(packet.user.payload, packet.user.topic, packet.participant_identity)
            return
        text = self._texts.packet_came(packet)
        if text is not None:
            self._listener.on_text(text.text, text.topic, text.sender_identity, text.attributes)

    def _forget(self, identity: str) -> None:
        """Somebody left: its calls and texts are over."""
        if self._rpc is not None and self._texts is not None:
            self._rpc.left(identity)
            self._texts.left(identity)
