"""Access tokens: LiveKit's JWT, HS256 and nothing else. No I/O; the one clock it reads is the time of day.

A grant that is absent is refused, also where a LiveKit server would allow it: a token says what it is for.
Source: RFC 7519, RFC 7515; LiveKit documentation, "Authentication / Tokens and grants".
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt

_MAX_TOKEN_BYTES = 16_384
_MAX_IDENTITY_CHARS = 256
_LEEWAY_S = 60  # LiveKit's own: clocks of machines differ


class TokenError(Exception):
    """The token does not open the door; the text says why and never repeats the token."""


class TokenInvalid(TokenError):
    """Not a token of ours: wrong shape, algorithm, key or signature."""


class TokenExpired(TokenError):
    """A token of ours whose time is over."""


class TokenNotYetValid(TokenError):
    """A token of ours whose time has not begun."""


class GrantMissing(TokenError):
    """A token of ours that does not allow what was asked."""


@dataclass(frozen=True, slots=True)
class Grants:
    """What the holder may do in its room."""

    room_join: bool = False
    can_publish: bool = False
    can_publish_sources: tuple[str, ...] = ()  # names as in the token, e.g. "microphone"; empty = any
    can_subscribe: bool = False
    can_publish_data: bool = False
    can_update_own_metadata: bool = False
    agent: bool = False  # a worker of agents
    room_admin: bool = False


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """What a verified token says."""

    identity: str
    room: str = ""
    name: str = ""
    metadata: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    kind: str = "standard"
    grants: Grants = Grants()
    jti: str = ""
    agent_name: str = ""  # the first agent that roomConfig wants in the room


def verify(token: str, api_key: str, api_secret: str) -> AccessClaims:
    """Return what the token says, once its signature, issuer and times have been checked.

    Raises TokenInvalid, TokenExpired or TokenNotYetValid.
    """
    if len(token) > _MAX_TOKEN_BYTES:
        raise TokenInvalid(f"token: {len(token)} characters, at most {_MAX_TOKEN_BYTES} are read")
    try:
        payload = jwt.decode(
            token, api_secret, algorithms=["HS256"], leeway=_LEEWAY_S, options={"require": ["exp"], "verify_aud": False}
        )
    except jwt.ExpiredSignatureError:
        raise TokenExpired("token: expired; create a new one") from None
    except jwt.ImmatureSignatureError:
        raise TokenNotYetValid("token: not valid yet; check the clock of the machine that made it") from None
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
        raise TokenInvalid(f"token: not signed with this server's secret ({type(error).__name__})") from None
    if not hmac.compare_digest(_text(payload, "iss").encode(), api_key.encode()):
        raise TokenInvalid("token: made for another API key")
    return _claims(payload)


def require_join(claims: AccessClaims) -> None:
    """Raise GrantMissing unless the token lets its holder into a room."""
    if not claims.grants.room_join:
        raise GrantMissing("token: grant roomJoin is missing")
    if not claims.room:
        raise GrantMissing("token: grant room is missing; name the room to join")
    if not claims.identity:
        raise GrantMissing("token: it has no identity (sub)")


def _claims(payload: Mapping[str, Any]) -> AccessClaims:
    video = payload.get("video", {})
    attributes = payload.get("attributes", {})
    if not isinstance(video, dict) or not isinstance(attributes, dict):
        raise TokenInvalid("token: video and attributes must be objects")
    sources = video.get("canPublishSources", [])
    if not isinstance(sources, list) or not all(isinstance(source, str) for source in sources):
        raise TokenInvalid("token: canPublishSources must be a list of names")
    identity = _text(payload, "sub")
    if len(identity) > _MAX_IDENTITY_CHARS:
        raise TokenInvalid(f"token: identity has {len(identity)} characters, at most {_MAX_IDENTITY_CHARS} are allowed")
    return AccessClaims(
        identity=identity,
        room=_text(video, "room"),
        name=_text(payload, "name"),
        metadata=_text(payload, "metadata"),
        attributes={_checked(key, "attributes"): _checked(value, "attributes") for key, value in attributes.items()},
        kind=_text(payload, "kind") or "standard",
        grants=Grants(
            room_join=video.get("roomJoin") is True,
            can_publish=video.get("canPublish") is True,
            can_publish_sources=tuple(sources),
            can_subscribe=video.get("canSubscribe") is True,
            can_publish_data=video.get("canPublishData") is True,
            can_update_own_metadata=video.get("canUpdateOwnMetadata") is True,
            agent=video.get("agent") is True,
            room_admin=video.get("roomAdmin") is True,
        ),
        jti=_text(payload, "jti"),
        agent_name=_agent_name(payload.get("roomConfig", {})),
    )


def _agent_name(room_config: object) -> str:
    agents = room_config.get("agents", []) if isinstance(room_config, dict) else None
    if not isinstance(agents, list) or not all(isinstance(agent, dict) for agent in agents):
        raise TokenInvalid("token: roomConfig.agents must be a list of objects")
    return _text(agents[0], "agentName") if agents else ""


def _text(values: Mapping[str, Any], key: str) -> str:
    return _checked(values.get(key, ""), key)


def _checked(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise TokenInvalid(f"token: {what} must be text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise TokenInvalid(f"token: half a surrogate pair in {what} is not text") from None
    return value
