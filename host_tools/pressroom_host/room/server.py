"""The room's door: HTTP, WebSocket, tokens. What is behind it is in room.py and client.py.

     GET /                  OK
     GET /rtc/v1            the signalling WebSocket, version 1: one peer connection
     GET /rtc/v1/validate   200 if token and join_request let their holder in, else 401 or 400 with the reason
     GET /agent             the WebSocket of workers of agents; see agents.py
     POST /twirp/...        what agents need of the server API; see server_api.py
     GET /rtc               404: version 0 is not spoken; clients of either version understand that
     GET /rtc/validate      401 likewise, else 403: clients of version 0 ask here, and show what to do

It listens on loopback only: there is no TLS here yet, and tokens would pass in the clear.
"""

import ipaddress

import structlog
from aiohttp import web
from livekit import api
from livekit.protocol import agent, models, rtc

from pressroom_host.errors import UserError
from pressroom_host.room_listener import RoomListener
from pressroom_host.webrtc.mux import Mux

from . import server_api
from .agents import Agents
from .client import ClientParticipant
from .join_request import MAX_TEXT_BYTES, JoinRequestError, parse_join_request
from .member import Member
from .room import Room
from .signalling import leave_response
from .tokens import AccessClaims, TokenError, require_join, verify

log = structlog.get_logger(__name__)

_MAX_PARTICIPANTS = 1_000  # in all rooms together
_MAX_SIGNAL_BYTES = 524_288  # of one signalling message
_MAX_LINE_BYTES = MAX_TEXT_BYTES + 32_768  # of the request line: a join_request and a token
_HEARTBEAT_S = 10.0  # WebSocket ping; a client that does not answer within half of it is gone
_CLOSE_TIMEOUT_S = 1.0
_VERSION_1_ONLY = (
    "this room speaks version 1 of LiveKit's signalling only; update the client, or let it use one peer connection "
    "(livekit-client: singlePeerConnection: true)"
)
_ANY_ORIGIN = {"Access-Control-Allow-Origin": "*"}  # a page from elsewhere must be able to read a refusal


class NotLoopback(UserError):
    """The room was asked to listen where others could hear it."""


class RoomServer:
    """Rooms by name, made when the first participant joins and dropped when the last has left."""

    def __init__(self, api_key: str, api_secret: str, mux: Mux) -> None:
        self.url = ""
        self.rooms: dict[str, Room] = {}
        self.mux = mux
        self._api_key = api_key
        self._api_secret = api_secret
        self.agents = Agents(self._agent_token, lambda: self.url, self._room_info)
        self._runner: web.AppRunner | None = None

    @classmethod
    async def start(
        cls, *, api_key: str, api_secret: str, host: str = "127.0.0.1", port: int = 0, udp_port: int = 0
    ) -> "RoomServer":
        """Listen; port 0 takes a free one. Raises NotLoopback, or OSError if a port is taken."""
        if not _is_loopback(host):
            raise NotLoopback(f"room: {host} is not loopback (IPv4), and the room has no TLS yet; use 127.0.0.1")
        server = cls(api_key, api_secret, Mux.open(host, udp_port))
        try:
            await server._listen(host, port)
        except OSError:
            await server.stop()
            raise
        return server

    async def stop(self) -> None:
        """Disconnect everybody and close the ports. Safe to call twice."""
        for room in list(self.rooms.values()):
            for participant in list(room.participants.values()):
                room.leave(participant, models.DisconnectReason.SERVER_SHUTDOWN)
        await self.agents.stop()
        if self._runner is not None:
            await self._runner.cleanup()
        await self.mux.close()

    def join(self, claims: AccessClaims, listener: RoomListener) -> Member:
        """Let a participant of this process into its room. Raises GrantMissing."""
        require_join(claims)
        member = Member(self._room(claims.room), claims, listener)
        member.join()
        return member

    def request_mute(self, room_name: str, track_sid: str, muted: bool) -> None:
        """Ask the owner of a track to mute or unmute it, as LiveKit's server API does."""
        room = self.rooms.get(room_name)
        if room is not None:
            room.request_mute(track_sid, muted)

    async def _listen(self, host: str, port: int) -> None:
        app = web.Application()
        app.router.add_get("/", self._get_root)
        app.router.add_get("/rtc/v1", self._get_rtc_v1)
        app.router.add_get("/rtc/v1/validate", self._get_validate_v1)
        app.router.add_get("/rtc/validate", self._get_validate_v0)
        app.router.add_get("/agent", self._get_agent)
        app.router.add_post(server_api.PATH, self._post_server_api)
        # No access log: the request line holds the token.
        self._runner = web.AppRunner(app, access_log=None, max_line_size=_MAX_LINE_BYTES, shutdown_timeout=2.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        self.url = f"ws://{host}:{self._runner.addresses[0][1]}"

    async def _get_root(self, request: web.Request) -> web.Response:
        return web.Response(text="OK")

    async def _get_validate_v1(self, request: web.Request) -> web.Response:
        self._authorize(request)
        _join_request(request)
        return web.Response(text="success", headers=_ANY_ORIGIN)

    async def _get_validate_v0(self, request: web.Request) -> web.Response:
        self._authorize(request)
        raise web.HTTPForbidden(text=_VERSION_1_ONLY, headers=_ANY_ORIGIN)

    async def _get_rtc_v1(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() != "websocket":
            raise web.HTTPNotFound(headers=_ANY_ORIGIN)
        claims = self._authorize(request)
        join_request = _join_request(request)
        if sum(len(room.participants) for room in self.rooms.values()) >= _MAX_PARTICIPANTS:
            raise web.HTTPServiceUnavailable(text=f"all {_MAX_PARTICIPANTS} places are taken", headers=_ANY_ORIGIN)
        socket = web.WebSocketResponse(
            heartbeat=_HEARTBEAT_S, timeout=_CLOSE_TIMEOUT_S, max_msg_size=_MAX_SIGNAL_BYTES, compress=False
        )
        try:
            await socket.prepare(request)
        except ConnectionError:
            return web.Response()  # gone before it was answered
        if join_request.reconnect:  # resuming is not written yet; the client comes back with everything fresh
            await socket.send_bytes(leave_response(models.DisconnectReason.STATE_MISMATCH).SerializeToString())
            await socket.close()
            return socket
        await ClientParticipant(self._room(claims.room), claims, self.mux, join_request).run(socket)
        return socket

    async def _get_agent(self, request: web.Request) -> web.StreamResponse:
        claims = self._verified(request)
        if not claims.grants.agent:
            raise web.HTTPUnauthorized(text="token: grant agent is missing", headers=_ANY_ORIGIN)
        socket = web.WebSocketResponse(
            heartbeat=_HEARTBEAT_S, timeout=_CLOSE_TIMEOUT_S, max_msg_size=_MAX_SIGNAL_BYTES, compress=False
        )
        try:
            await socket.prepare(request)
        except ConnectionError:
            return web.Response()  # gone before it was answered
        await self.agents.serve(socket)
        return socket

    async def _post_server_api(self, request: web.Request) -> web.Response:
        return await server_api.answer(request, self._verified(request), self.agents)

    def _authorize(self, request: web.Request) -> AccessClaims:
        claims = self._verified(request)
        try:
            require_join(claims)
        except TokenError as error:
            raise self._refused(error) from None
        return claims

    def _verified(self, request: web.Request) -> AccessClaims:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer":
            token = request.query.get("access_token", "")
        try:
            return verify(token, self._api_key, self._api_secret)
        except TokenError as error:
            raise self._refused(error) from None

    def _refused(self, error: TokenError) -> web.HTTPUnauthorized:
        log.info("client refused", why=str(error))
        return web.HTTPUnauthorized(text=str(error), headers=_ANY_ORIGIN)

    def _agent_token(self, job: agent.Job, response: agent.AvailabilityResponse) -> str:
        """Return what lets the agent of a job into its room."""
        grants = api.VideoGrants(
            room_join=True,
            room=job.room.name,
            agent=True,
            can_publish=True,
            can_subscribe=True,
            can_publish_data=True,
            can_update_own_metadata=True,
        )
        token = api.AccessToken(self._api_key, self._api_secret).with_grants(grants).with_kind("agent")
        token = token.with_identity(response.participant_identity or f"agent-{job.id}")
        token = token.with_name(response.participant_name).with_metadata(response.participant_metadata)
        return token.with_attributes(dict(response.participant_attributes)).to_jwt()

    def _room_info(self, name: str) -> models.Room:
        room = self.rooms.get(name)
        return room.info() if room is not None else models.Room(name=name)

    def _room(self, name: str) -> Room:
        if name not in self.rooms:
            self.rooms[name] = Room(name, on_empty=self._drop_room)
            self.agents.room_opened(name)
        return self.rooms[name]

    def _drop_room(self, room: Room) -> None:
        if self.rooms.get(room.name) is room:
            del self.rooms[room.name]
            self.agents.room_closed(room.name)


def _join_request(request: web.Request) -> rtc.JoinRequest:
    try:
        return parse_join_request(request.query.get("join_request", ""))
    except JoinRequestError as error:
        raise web.HTTPBadRequest(text=str(error), headers=_ANY_ORIGIN) from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.IPv4Address(host).is_loopback
    except ValueError:
        return False
