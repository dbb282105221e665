"""The door for devices: a WebSocket over TLS at /device, and what must be so before a Session begins.

     what is wrong                               the device is told
     no token, or not one of ours                HTTP 401 UNAUTHORIZED or TOKEN_EXPIRED
     a token that was revoked                    HTTP 403 TOKEN_REVOKED
     a token for no room, or one not served      HTTP 403 WRONG_ROOM
     too many Sessions, or links of one token    HTTP 503 BUSY
     the first message is no hello, or none came within 5 s  leave BAD_MESSAGE
     a protocol, or only codecs, we do not speak leave UPGRADE_REQUIRED
     the room cannot be joined now               leave ROOM_UNAVAILABLE

After any of them but 503 and the last a device does not try again until somebody presses its button.
"""

import asyncio
import json
import ssl
import time
from collections import Counter
from typing import Final

import structlog
from aiohttp import WSMsgType, web

from pressroom.wire.messages import MAX_MESSAGE_BYTES, PROTO, MessageError, encode, parse
from pressroom_host.room.tokens import AccessClaims

from .agent_keeper import AgentKeeper
from .bridge import Advertise, Bridge, chosen_codec
from .downlink_codecs import DOWNLINK_CODECS
from .link import Link
from .listener import Listener
from .media import MAX_PACKET_BYTES, MediaPort
from .room_port import RoomPort, RoomUnavailable
from .room_view import Message
from .sessions import MAX_SESSIONS, Sessions
from .state import StateUnusable
from .tokens import Refusal, TokenGate
from .uplink import UPLINK_CODECS

log = structlog.get_logger(__name__)

_PATH: Final = "/device"
_PROTOS: Final = (PROTO,)  # N and N-1, once there is one
_HELLO_TIMEOUT_S: Final = 5.0
_CLOSE_TIMEOUT_S: Final = 1.0
_STOP_TIMEOUT_S: Final = 2.0
_MAX_FRAME_BYTES: Final = max(MAX_MESSAGE_BYTES, 1 + MAX_PACKET_BYTES)
_MIN_MESSAGE_BYTES: Final = 512  # of a device: a welcome has to fit
_MAX_LINKS_OF_TOKEN: Final = 8  # the present one, and those before it that nobody has closed yet
_BUSY: Final = "BUSY"
_REVOKED_EVERY_S: Final = 1.0
_UNSENT_BYTES: Final = 4_096


class _Unfit(Exception):
    """A device that was let in cannot be served. action, reason: as in `leave`; the text says what to do."""

    def __init__(self, reason: str, message: str, action: str = "DISCONNECT") -> None:
        super().__init__(message)
        self.reason = reason
        self.action = action


class DeviceServer:
    """Listens from `open` to `stop`. bridges: those whose Session lives, by its id.

    agent_name: whom devices want in their room whose token names nobody; "": no agent.
    """

    def __init__(
        self, gate: TokenGate, room: RoomPort, media: MediaPort, advertise: Advertise, agent_name: str = ""
    ) -> None:
        self._gate = gate
        self._room = room
        self._media = media
        self._advertise = advertise
        self._agent_name = agent_name
        self._agents = AgentKeeper(room)
        self._sessions = Sessions()
        self.bridges = self._sessions.bridges
        self._links: Counter[str] = Counter()  # open ones, by jti
        self._serving: set[asyncio.Task[None]] = set()  # what sends on them
        self._listener: Listener | None = None
        self._watching: asyncio.Task[None] | None = None

    def open(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        """Listen; port 0 takes a free one. Raises OSError."""
        self._listener = Listener.open(host, port, self._handle, tls)
        self._watching = asyncio.get_running_loop().create_task(self._watch_denied(), name="deny-list")

    @property
    def port(self) -> int:
        """The TCP port, once open."""
        assert self._listener is not None
        return int(self._listener.port)

    async def stop(self) -> None:
        """Send every device away to try again later, and close. Safe to call twice."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        await self._agents.stop()
        await self._sessions.stop("RECONNECT", "SERVER_SHUTDOWN", "the gateway stops or restarts")
        if self._serving:  # the last messages
            await asyncio.wait(list(self._serving), timeout=_STOP_TIMEOUT_S)
        if self._listener is not None:
            await self._listener.stop()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path != _PATH:
            return web.Response(status=404, text="devices connect to /device")
        try:
            claims = self._admit(request)
        except Refusal as refusal:
            log.info("device refused", reason=refusal.reason, why=refusal.message, peer=request.remote)
            body = {"reason": refusal.reason, "message": refusal.message}
            return web.json_response(body, status=refusal.status)
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return web.Response(status=426, text="devices connect by WebSocket", headers={"Upgrade": "websocket"})
        self._links[claims.jti] += 1
        try:
            return await self._serve(request, claims)
        finally:
            self._links[claims.jti] -= 1
            self._links += Counter()  # forgets those at zero

    def _admit(self, request: web.BaseRequest) -> AccessClaims:
        claims = self._gate.admit(request.headers.get("Authorization", ""))
        if self._links[claims.jti] >= _MAX_LINKS_OF_TOKEN:
            raise Refusal(503, _BUSY, f"{claims.identity} has {_MAX_LINKS_OF_TOKEN} links open already")
        if self._links.total() >= MAX_SESSIONS or len(self.bridges) >= MAX_SESSIONS:
            raise Refusal(503, _BUSY, f"all {MAX_SESSIONS} places are taken")
        return claims

    async def _serve(self, request: web.BaseRequest, claims: AccessClaims) -> web.StreamResponse:
        socket = web.WebSocketResponse(
            max_msg_size=_MAX_FRAME_BYTES + 1,  # aiohttp wants less than that
            compress=False,
            timeout=_CLOSE_TIMEOUT_S,
            writer_limit=_UNSENT_BYTES,
        )
        try:
            await socket.prepare(request)
        except ConnectionError:
            return web.Response()  # gone before it was answered
        transport = request.transport
        assert isinstance(transport, asyncio.Transport)
        link = Link(socket, transport, local_host=str(transport.get_extra_info("sockname")[0]))
        sending = asyncio.get_running_loop().create_task(link.run(), name="link")
        self._serving.add(sending)
        try:
            await self._talk(socket, link, claims)
        finally:
            link.close()
            await asyncio.wait([sending])
            self._serving.discard(sending)
        return socket

    async def _talk(self, socket: web.WebSocketResponse, link: Link, claims: AccessClaims) -> None:
        try:
            hello = await _read_hello(socket)
            _check_hello(hello)
            bridge = await self._bridge(hello, claims)
        except _Unfit as unfit:
            log.info("device refused", reason=unfit.reason, why=str(unfit), identity=claims.identity)
            leave = {"t": "leave", "action": unfit.action, "reason": unfit.reason, "message": str(unfit)}
            link.send_text(encode(leave))
            return
        bridge.attach(link, hello)
        try:
            async for frame in socket:
                if frame.type == WSMsgType.TEXT:
                    bridge.text_came(link, frame.data)
                elif frame.type == WSMsgType.BINARY:
                    bridge.binary_came(link, frame.data)
        finally:
            bridge.detach(link)

    async def _bridge(self, hello: Message, claims: AccessClaims) -> Bridge:
        bridge = self._sessions.to_resume(hello, claims)
        if bridge is not None:
            return bridge
        bridge = Bridge(
            self._sessions.new_id(),
            claims,
            self._media,
            self._advertise,
            now_ms,
            self._sessions.over,
            self._agents,
            claims.agent_name or self._agent_name,
        )
        self.bridges[bridge.session_id] = bridge
        try:
            await bridge.join(self._room)
        except RoomUnavailable as error:
            bridge.leave("RECONNECT", "ROOM_UNAVAILABLE", str(error))
            raise _Unfit("ROOM_UNAVAILABLE", str(error), action="RECONNECT") from None
        return bridge

    async def _watch_denied(self) -> None:
        """`pressroom token revoke` writes a file; this notices."""
        while True:
            await asyncio.sleep(_REVOKED_EVERY_S)
            try:
                has_changed = self._gate.reload()
            except StateUnusable as error:
                log.error("deny-list unreadable", why=str(error))
                continue
            if not has_changed:
                continue
            for bridge in list(self.bridges.values()):
                if self._gate.is_denied(bridge.claims.jti):
                    bridge.leave("DISCONNECT", "TOKEN_REVOKED", "the device's token was revoked; give it a new one")


def now_ms() -> int:
    """Return the clock of the wire modules: milliseconds modulo 2**30."""
    return time.monotonic_ns() // 1_000_000 & 0x3FFFFFFF


async def _read_hello(socket: web.WebSocketResponse) -> Message:
    try:
        async with asyncio.timeout(_HELLO_TIMEOUT_S):
            frame = await socket.receive()
    except TimeoutError:
        raise _Unfit("BAD_MESSAGE", f"no hello came within {_HELLO_TIMEOUT_S:.0f} s") from None
    if frame.type != WSMsgType.TEXT:
        raise _Unfit("BAD_MESSAGE", "a link begins with a hello, as text")
    try:
        message = parse(frame.data)
    except MessageError as error:
        _check_proto(_proto_of(frame.data))
        raise _Unfit("BAD_MESSAGE", str(error)[:200]) from None
    if message is None or message["t"] != "hello":
        raise _Unfit("BAD_MESSAGE", "a link begins with a hello")
    return message


def _proto_of(text: str) -> object:
    """Return `proto` of a hello that may be of another protocol; ours if there is none to be found."""
    try:
        return json.loads(text).get("proto", PROTO)
    except (ValueError, AttributeError, RecursionError):
        return PROTO


def _check_proto(proto: object) -> None:
    if proto not in _PROTOS:
        spoken = " and ".join(str(known) for known in _PROTOS)
        raise _Unfit(
            "UPGRADE_REQUIRED",
            f"the device speaks protocol {str(proto)[:20]}, this gateway {spoken}; "
            "put the firmware of the gateway's version on the board",
        )


def _check_hello(hello: Message) -> None:
    _check_proto(hello["proto"])
    caps = hello["caps"]
    for direction, known in (("up", tuple(UPLINK_CODECS)), ("dn", tuple(DOWNLINK_CODECS))):
        if chosen_codec(caps[direction], known) is None:
            raise _Unfit("UPGRADE_REQUIRED", f"caps.{direction} has no codec of this gateway: {', '.join(known)}")
    if caps["max_message_bytes"] < _MIN_MESSAGE_BYTES:
        raise _Unfit("BAD_MESSAGE", f"caps.max_message_bytes must be at least {_MIN_MESSAGE_BYTES}")
