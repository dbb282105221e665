"""The door for devices: a WebSocket over TLS at /device, and what must be so before a Session begins.

what is wrong                          the device is told
no token, or not one of ours           HTTP 401 UNAUTHORIZED, TOKEN_EXPIRED, TOKEN_REVOKED
a token for no room                    HTTP 403 WRONG_ROOM
too many devices, or links of a token  HTTP 503 TOO_MANY
no hello within 5 s, or a bad one      leave BAD_MESSAGE
a protocol we do not speak             leave UPGRADE_REQUIRED
no codec in common                     leave NO_COMMON_CODEC
"""

import asyncio
import collections
import contextlib
import secrets
import ssl
from typing import Any

import structlog
from aiohttp import WSMsgType, web

from pressroom.wire.messages import MAX_MESSAGE_BYTES, PROTO, MessageError, encode, parse
from pressroom.wire.session import EXPIRED, LEFT
from pressroom_host.room.tokens import AccessClaims, GrantMissing

from .bridge import DOWNLINK_CODECS, UPLINK_CODECS, Bridge
from .media import MediaPort, PortInUse
from .room_port import RoomPort
from .tokens import Refusal, TokenGate

log = structlog.get_logger(__name__)

_HELLO_TIMEOUT_S = 5.0
_CLOSE_TIMEOUT_S = 1.0
_MAX_FRAME_BYTES = 2 * MAX_MESSAGE_BYTES
_MAX_LINKS = 1_000
_MAX_LINKS_OF_TOKEN = 4  # the present one, and those that have not noticed their end
_MAX_QUEUED_FRAMES = 128
_MAX_UNSENT_BYTES = 32_768  # a second and a half of L16: what a slow link does not take is dropped
_REVOKED_CHECK_S = 2.0
_MEDIA_KIND = 1
_LINK_SPEAKS_PROTO = (PROTO,)


class _Unfit(Exception):
    """A device with a good token that cannot be served. reason: as in `leave`; the text says what to do."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class WebSocketLink:
    """The WebSocket under a Session: a bounded queue and one task that writes."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self.n_dropped_frames = 0
        self._socket = socket
        self._queue: collections.deque[str | bytes | None] = collections.deque()
        self._has_work = asyncio.Event()
        self._is_closing = False
        self._task = asyncio.get_running_loop().create_task(self._write())

    def send_text(self, text: str) -> None:
        """Send a message; a device that takes none of many is closed."""
        if len(self._queue) >= _MAX_QUEUED_FRAMES:
            self.close()
        else:
            self._put(text)

    def send_binary(self, frame: bytes) -> None:
        """Send media, or drop it if the link is slow."""
        if len(self._queue) >= _MAX_QUEUED_FRAMES or self._n_unsent_bytes() > _MAX_UNSENT_BYTES:
            self.n_dropped_frames += 1
        else:
            self._put(frame)

    def close(self) -> None:
        """Close, after what was sent is out. Safe to call twice."""
        if not self._is_closing:
            self._put(None)
            self._is_closing = True

    async def closed(self) -> None:
        """Return once everything is out and the socket closed."""
        await self._task

    def _put(self, item: str | bytes | None) -> None:
        if not self._is_closing:
            self._queue.append(item)
            self._has_work.set()

    def _n_unsent_bytes(self) -> int:
        transport = self._socket._req.transport if self._socket._req is not None else None
        return transport.get_write_buffer_size() if transport is not None else 0

    async def _write(self) -> None:
        with contextlib.suppress(ConnectionError, RuntimeError):
            while True:
                while self._queue:
                    item = self._queue.popleft()
                    if item is None:
                        await self._socket.close()
                        return
                    if isinstance(item, str):
                        await self._socket.send_str(item)
                    else:
                        await self._socket.send_bytes(item)
                self._has_work.clear()
                await self._has_work.wait()


class DeviceServer:
    """Lets devices in, and finds the Bridge of a Session that is resumed."""

    def __init__(
        self, gate: TokenGate, room_port: RoomPort, media_port: MediaPort, advertise: tuple[str | None, int | None]
    ) -> None:
        self.port = 0
        self.bridges: dict[str, Bridge] = {}  # by session id
        self._gate = gate
        self._room_port = room_port
        self._media_port = media_port
        self._advertise = advertise
        self._links: collections.Counter[str] = collections.Counter()  # by jti
        self._runner: web.AppRunner | None = None
        self._revoking: asyncio.Task[None] | None = None

    async def listen(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        """Open the port; 0 takes a free one. Raises PortInUse."""
        app = web.Application()
        app.router.add_get("/device", self._get_device)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_CLOSE_TIMEOUT_S)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port, ssl_context=tls).start()
        except OSError as error:
            raise PortInUse(f"TCP port {port} of {host} cannot be used ({error.strerror}); choose another") from None
        self.port = self._runner.addresses[0][1]
        self._revoking = asyncio.get_running_loop().create_task(self._end_revoked())

    async def stop(self) -> None:
        """Tell every device to come back later, and close. Safe to call twice."""
        bridges = list(self.bridges.values())
        for bridge in bridges:
            bridge.leave("RECONNECT", "SERVER_SHUTDOWN", "the gateway restarts")
        for bridge in bridges:
            await bridge.closed()
        if self._revoking is not None:
            self._revoking.cancel()
            await asyncio.gather(self._revoking, return_exceptions=True)
        if self._runner is not None:
            await self._runner.cleanup()

    async def _get_device(self, request: web.Request) -> web.StreamResponse:
        try:
            claims = self._gate.admit(request.headers.get("Authorization", ""))
        except Refusal as refusal:
            log.info("device refused", reason=refusal.reason, peer=request.remote)
            return _refusal(refusal.status, refusal.reason, refusal.message)
        if self._links.total() >= _MAX_LINKS or self._links[claims.jti] >= _MAX_LINKS_OF_TOKEN:
            return _refusal(503, "TOO_MANY", "too many links are open; the next try may find a place")
        self._links[claims.jti] += 1
        try:
            return await self._serve(request, claims)
        finally:
            self._links[claims.jti] -= 1
            self._links += collections.Counter()  # forgets those at zero

    async def _serve(self, request: web.Request, claims: AccessClaims) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=_MAX_FRAME_BYTES, compress=False, timeout=_CLOSE_TIMEOUT_S)
        await socket.prepare(request)
        link = WebSocketLink(socket)
        try:
            bridge = await self._greet(socket, link, claims, request)
            if bridge is not None:
                await self._pass_on(socket, link, bridge)
                bridge.link_lost(link)
        finally:
            link.close()
            await link.closed()
        return socket

    async def _pass_on(self, socket: web.WebSocketResponse, link: WebSocketLink, bridge: Bridge) -> None:
        async for message in socket:
            if message.type == WSMsgType.TEXT:
                bridge.receive_text(link, message.data)
            elif message.type == WSMsgType.BINARY and message.data[:1] == bytes((_MEDIA_KIND,)):
                bridge.receive_media(link, message.data[1:])

    async def _greet(
        self, socket: web.WebSocketResponse, link: WebSocketLink, claims: AccessClaims, request: web.Request
    ) -> Bridge | None:
        """Read the hello, and return the Bridge that has this link now; None if the device was sent away."""
        try:
            hello = await asyncio.wait_for(_read_hello(socket), _HELLO_TIMEOUT_S)
            _check_hello(hello)
            return await self._attach(hello, link, claims, request)
        except TimeoutError:
            refusal = _Unfit("BAD_MESSAGE", "no hello came")
        except _Unfit as error:
            refusal = error
        except GrantMissing as error:
            refusal = _Unfit("WRONG_ROOM", str(error))
        log.info("device refused", reason=refusal.reason, identity=claims.identity, why=str(refusal))
        link.send_text(
            encode({"t": "leave", "action": "DISCONNECT", "reason": refusal.reason, "message": str(refusal)})
        )
        return None

    async def _attach(
        self, hello: dict[str, Any], link: WebSocketLink, claims: AccessClaims, request: web.Request
    ) -> Bridge:
        bridge = self.bridges.get(hello.get("resume", ""))
        is_resumed = bridge is not None and _is_same_device(bridge, claims)
        if bridge is None or not is_resumed:
            self._replace(claims)
            bridge = Bridge(secrets.token_hex(16), claims, self._media_port, self._forget)
            await bridge.join(self._room_port)
            self.bridges[bridge.session.session_id] = bridge
        host, port = self._advertise
        if host is None:
            assert request.transport is not None
            host = str(request.transport.get_extra_info("sockname")[0])
        bridge.attach(link, hello, (host, port or self._media_port.port), is_resumed)
        return bridge

    def _replace(self, claims: AccessClaims) -> None:
        """A device that does not resume, say after a reset, ends the Session it had before."""
        for bridge in list(self.bridges.values()):
            if bridge.claims.identity == claims.identity and bridge.claims.room == claims.room:
                bridge.leave("DISCONNECT", "DUPLICATE_IDENTITY", "another device came with this identity")

    def _forget(self, bridge: Bridge) -> None:
        self.bridges.pop(bridge.session.session_id, None)

    async def _end_revoked(self) -> None:
        while True:
            await asyncio.sleep(_REVOKED_CHECK_S)
            if not self._gate.reload():
                continue
            for bridge in list(self.bridges.values()):
                if self._gate.is_denied(bridge.claims.jti):
                    bridge.leave("DISCONNECT", "TOKEN_REVOKED", "the token was revoked; make a new one")


async def _read_hello(socket: web.WebSocketResponse) -> dict[str, Any]:
    frame = await socket.receive()
    if frame.type != WSMsgType.TEXT:
        raise _Unfit("BAD_MESSAGE", "the first frame must be a hello")
    try:
        message = parse(frame.data)
    except MessageError as error:
        raise _Unfit("BAD_MESSAGE", str(error)[:200]) from None
    if message is None or message["t"] != "hello":
        raise _Unfit("BAD_MESSAGE", "the first message must be a hello")
    return message


def _check_hello(hello: dict[str, Any]) -> None:
    if hello["proto"] not in _LINK_SPEAKS_PROTO:
        spoken = ", ".join(map(str, _LINK_SPEAKS_PROTO))
        which = "firmware" if hello["proto"] < PROTO else "gateway"
        raise _Unfit(
            "UPGRADE_REQUIRED", f"the device speaks proto {hello['proto']}, this gateway {spoken}; update the {which}"
        )
    for direction, codecs in (("up", UPLINK_CODECS), ("dn", DOWNLINK_CODECS)):
        if not set(codecs) & set(hello["caps"][direction]):
            raise _Unfit("NO_COMMON_CODEC", f"caps.{direction} has none of {', '.join(codecs)}")


def _is_same_device(bridge: Bridge, claims: AccessClaims) -> bool:
    is_over = bridge.session.state in (EXPIRED, LEFT)
    return not is_over and (bridge.claims.identity, bridge.claims.room) == (claims.identity, claims.room)


def _refusal(status: int, reason: str, message: str) -> web.Response:
    return web.json_response({"reason": reason, "message": message}, status=status)
