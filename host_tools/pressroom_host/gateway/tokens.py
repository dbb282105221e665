"""Device tokens: LiveKit access tokens with a long life and a `jti`, made, listed, revoked and checked.

What opens the door is the signature; the book of issued tokens only remembers for whom they were made, and holds none.
A token that was revoked stands in the deny-list until it would have expired. Both are files of the state folder, so
that `pressroom token` works beside a running gateway, which reads the deny-list again when it has changed.
"""

import json
import secrets
import time
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, field
from typing import Any

import jwt

from pressroom_host.errors import UserError
from pressroom_host.room.tokens import AccessClaims, GrantMissing, TokenError, TokenExpired, require_join, verify

from .state import StateFolder, StateUnusable

LIFE_DAYS = 3_650

_API_KEY_FILE = "api_key.json"
_BOOK_FILE = "tokens.json"
_DENY_FILE = "denied.json"
_DAY_S = 86_400
_MAX_NAME_CHARS = 128
_GRANTS = {
    "roomJoin": True,
    "canPublish": True,
    "canSubscribe": True,
    "canPublishData": True,
    "canUpdateOwnMetadata": True,
}
_MAKE_ONE = "make one with `pressroom token create` and give it to the board"


class TokenUnmakeable(UserError):
    """A token was asked for that nobody could use."""


class TokenUnknown(UserError):
    """No token goes by that name."""


class Refusal(Exception):
    """A device is not let in. status: of the HTTP answer. reason: as in a `leave`; the text says what to do."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What tokens are signed with. It never leaves this machine."""

    key: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A line in the book. Times are in seconds since 1970."""

    jti: str
    identity: str
    room: str
    created_at_s: int
    expires_at_s: int


def load_or_make_api_key(folder: StateFolder) -> ApiKey:
    """Return the API key and secret, made at random on first use. Raises StateUnusable."""
    with folder.changing():
        stored = _read_object(folder, _API_KEY_FILE)
        if not stored:
            stored = {"key": "API" + secrets.token_hex(6), "secret": secrets.token_urlsafe(32)}
            _write_object(folder, _API_KEY_FILE, stored)
    if not isinstance(stored.get("key"), str) or not isinstance(stored.get("secret"), str):
        raise _damaged(folder, _API_KEY_FILE, "`key` and `secret` are missing")
    return ApiKey(stored["key"], stored["secret"])


class TokenBook:
    """Makes, lists and revokes. time_s: the time of day in seconds since 1970."""

    def __init__(self, folder: StateFolder, api_key: ApiKey, time_s: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._api_key = api_key
        self._time_s = time_s

    def create(
        self,
        identity: str,
        room: str,
        name: str = "",
        days: float = LIFE_DAYS,
        can_subscribe: bool = True,
        agent_name: str = "",
    ) -> tuple[str, IssuedToken]:
        """Return a new token and what the book says of it. Raises TokenUnmakeable or StateUnusable.

        can_subscribe: the device hears the others. agent_name: whom it wants in its room.
        """
        for what, text in (("identity", identity), ("room", room), ("name", name or identity)):
            if not text.strip() or len(text) > _MAX_NAME_CHARS:
                raise TokenUnmakeable(f"{what} {text[:20]!r}: a text of 1 to {_MAX_NAME_CHARS} characters is needed")
        if days <= 0:
            raise TokenUnmakeable(f"a life of {days:g} days: choose more than 0")
        now_s = int(self._time_s())
        issued = IssuedToken(secrets.token_hex(8), identity, room, now_s, now_s + int(days * _DAY_S))
        token = jwt.encode(
            {
                "iss": self._api_key.key,
                "sub": identity,
                "name": name or identity,
                "jti": issued.jti,
                "nbf": now_s,
                "exp": issued.expires_at_s,
                "video": {"room": room, **_GRANTS, "canSubscribe": can_subscribe},
                **({"roomConfig": {"agents": [{"agentName": agent_name}]}} if agent_name else {}),
            },
            self._api_key.secret,
            algorithm="HS256",
        )
        with self._folder.changing():
            book = _read_object(self._folder, _BOOK_FILE)
            book[issued.jti] = asdict(issued)
            _write_object(self._folder, _BOOK_FILE, self._unexpired(book))
        return token, issued

    def issued(self) -> list[tuple[IssuedToken, bool]]:
        """Return every token of the book that has not expired, the oldest first, and whether it is revoked."""
        denied = _read_object(self._folder, _DENY_FILE)
        book = self._unexpired(_read_object(self._folder, _BOOK_FILE))
        try:
            tokens = [IssuedToken(**entry) for entry in book.values()]
        except TypeError:
            raise _damaged(self._folder, _BOOK_FILE, "an entry is not as it was written") from None
        return [(token, token.jti in denied) for token in sorted(tokens, key=lambda token: token.created_at_s)]

    def revoke(self, name: str) -> list[str]:
        """Revoke the token of this jti, or all tokens of this identity; return the jtis that were not revoked before.

        Raises TokenUnknown or StateUnusable.
        """
        with self._folder.changing():
            tokens = [token for token, _ in self.issued() if name in (token.jti, token.identity)]
            if not tokens:
                raise TokenUnknown(f"no token has the jti or identity {name!r}; `pressroom token list` shows them")
            denied = self._unexpired(_read_object(self._folder, _DENY_FILE))
            revoked = [token for token in tokens if token.jti not in denied]
            denied.update({token.jti: {"expires_at_s": token.expires_at_s} for token in revoked})
            _write_object(self._folder, _DENY_FILE, denied)
        return [token.jti for token in revoked]

    def _unexpired(self, entries: dict[str, Any]) -> dict[str, Any]:
        """Keeps the files from growing for ever; an expired token needs no denying."""
        after_s = self._time_s() - _DAY_S
        return {
            jti: entry
            for jti, entry in entries.items()
            if isinstance(entry, dict)
            and isinstance(entry.get("expires_at_s"), int)
            and entry["expires_at_s"] > after_s
        }


class TokenGate:
    """Lets devices in. rooms: those the gateway serves; empty = any."""

    def __init__(self, folder: StateFolder, api_key: ApiKey, rooms: Collection[str] = ()) -> None:
        self._folder = folder
        self._api_key = api_key
        self._rooms = rooms
        self._denied: frozenset[str] = frozenset()
        self._denied_version: object = None
        self.reload()

    def reload(self) -> bool:
        """Read the deny-list again if it has changed; return whether it had. Raises StateUnusable."""
        version = _version(self._folder, _DENY_FILE)
        if version == self._denied_version:
            return False
        self._denied = frozenset(_read_object(self._folder, _DENY_FILE))
        self._denied_version = version
        return True

    def is_denied(self, jti: str) -> bool:
        """Return whether the token was revoked, as of the last `reload`."""
        return jti in self._denied

    def admit(self, authorization: str) -> AccessClaims:
        """Return what the bearer token of a request says. Raises Refusal."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Refusal(401, "UNAUTHORIZED", f"the device sent no token; {_MAKE_ONE}")
        try:
            claims = verify(token.strip(), self._api_key.key, self._api_key.secret)
        except TokenExpired:
            raise Refusal(401, "TOKEN_EXPIRED", f"the device's token has expired; {_MAKE_ONE}") from None
        except TokenError as error:
            raise Refusal(401, "UNAUTHORIZED", f"{error}; {_MAKE_ONE}") from None
        if not claims.jti:
            raise Refusal(401, "UNAUTHORIZED", f"token: it has no jti, so it could not be revoked; {_MAKE_ONE}")
        if self.is_denied(claims.jti):
            raise Refusal(403, "TOKEN_REVOKED", f"the token of {claims.identity} was revoked; {_MAKE_ONE}")
        try:
            require_join(claims)
        except GrantMissing as error:
            raise Refusal(403, "WRONG_ROOM", f"{error}; {_MAKE_ONE}") from None
        if self._rooms and claims.room not in self._rooms:
            served = ", ".join(sorted(self._rooms))
            raise Refusal(
                403,
                "WRONG_ROOM",
                f"this gateway does not serve room {claims.room!r} but {served}; "
                "make a token for one of these with `pressroom token create --room`",
            )
        return claims


def _version(folder: StateFolder, name: str) -> object:
    """Return something that changes with the file: it is replaced, so its inode does."""
    try:
        stat = folder.file(name).stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def _read_object(folder: StateFolder, name: str) -> dict[str, Any]:
    content = folder.read(name)
    if content is None:
        return {}
    try:
        value = json.loads(content)
    except ValueError as error:
        raise _damaged(folder, name, str(error)) from None
    if not isinstance(value, dict):
        raise _damaged(folder, name, "it is not a JSON object")
    return value


def _write_object(folder: StateFolder, name: str, value: dict[str, Any]) -> None:
    folder.write(name, json.dumps(value, indent=1).encode() + b"\n")


def _damaged(folder: StateFolder, name: str, why: str) -> StateUnusable:
    return StateUnusable(f"{folder.file(name)} is damaged ({why}); bring back a copy of it, or remove it")
