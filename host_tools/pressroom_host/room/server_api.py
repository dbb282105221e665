"""LiveKit's server API at the embedded room, as far as agents need it: AgentDispatchService over Twirp, in protobuf.

     POST /twirp/livekit.AgentDispatchService/CreateDispatch | ListDispatch | DeleteDispatch

Source: LiveKit protocol, livekit_agent_dispatch.proto; Twirp specification, version 7.
"""

from typing import Final

from aiohttp import web
from google.protobuf.message import DecodeError, Message
from livekit.protocol import agent_dispatch

from .agents import Agents, DispatchRefused
from .tokens import AccessClaims

PATH: Final = "/twirp/livekit.AgentDispatchService/{method}"
_PROTOBUF: Final = "application/protobuf"
_STATUSES: Final = {
    "malformed": 400,
    "invalid_argument": 400,
    "bad_route": 404,
    "not_found": 404,
    "permission_denied": 403,
    "resource_exhausted": 429,
}


async def answer(request: web.Request, claims: AccessClaims, agents: Agents) -> web.Response:
    """Answer a call of somebody whose token was verified."""
    try:
        if request.content_type != _PROTOBUF:
            raise DispatchRefused("malformed", f"{_PROTOBUF} is spoken, not {request.content_type[:80]}")
        reply = _call(request.match_info["method"], await request.read(), claims, agents)
    except DispatchRefused as refusal:
        error = {"code": refusal.code, "msg": str(refusal)}
        return web.json_response(error, status=_STATUSES[refusal.code])
    return web.Response(body=reply.SerializeToString(), content_type=_PROTOBUF)


def _call(method: str, body: bytes, claims: AccessClaims, agents: Agents) -> Message:
    try:
        if method == "CreateDispatch":
            create = agent_dispatch.CreateAgentDispatchRequest.FromString(body)
            _require_admin(claims, create.room)
            return agents.create(create)
        if method == "ListDispatch":
            listed = agent_dispatch.ListAgentDispatchRequest.FromString(body)
            _require_admin(claims, listed.room)
            found = agents.list(listed.room, listed.dispatch_id)
            return agent_dispatch.ListAgentDispatchResponse(agent_dispatches=found)
        if method == "DeleteDispatch":
            deleted = agent_dispatch.DeleteAgentDispatchRequest.FromString(body)
            _require_admin(claims, deleted.room)
            return agents.delete(deleted.room, deleted.dispatch_id)
    except DecodeError:
        raise DispatchRefused("malformed", "the body is not the expected protobuf") from None
    raise DispatchRefused("bad_route", f"AgentDispatchService has no method {method[:80]!r}")


def _require_admin(claims: AccessClaims, room: str) -> None:
    if not claims.grants.room_admin or claims.room != room:
        raise DispatchRefused("permission_denied", "the token does not grant roomAdmin in this room")
