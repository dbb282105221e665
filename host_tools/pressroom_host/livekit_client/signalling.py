"""LiveKit's signalling over WebSocket: join request and tokens out, SignalResponses in, SignalRequests out.

     version  path      joins with                                   peer connections
     1        /rtc/v1   a JoinRequest, gzipped, in the query          one, offered by the client
     0        /rtc      parameters in the query                      two; the server offers the one with the tracks

A server that knows no version 1 answers 404 there, and is asked for version 0.
Source: LiveKit protocol, livekit_rtc.proto.
"""

import asyncio
import base64
import gzip
import ipaddress
import re
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import aiohttp
import structlog
from google.protobuf.message import DecodeError
from livekit.protocol import models, rtc

from .errors import JoinError, JoinRefused, ServerUnreachable, SignallingLost, TokenRefused, UrlUnusable

log = structlog.get_logger(__name__)

PROTOCOL = 16
CLIENT_PROTOCOL = 0  # others then call us, and send us texts, in the way every generation understands
_VERSION = "0.1.0"
_OPEN_TIMEOUT_S = 5.0
_UPGRADE = {  # RFC 6455 section 4.1
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "cHJlc3Nyb29tLWFza3Mtdw==",
}
_CLOSE_TIMEOUT_S = 0.5
_MAX_RESPONSE_BYTES = 2**20
_MAX_WAITING = 1_024  # requests that the server has not taken yet
_MAX_REASON_BYTES = 8_192
_MAX_REASON_CHARS = 200
_TOKEN = re.compile(r"eyJ[\w.-]*")  # some refusals repeat it
_NOT_FOUND = 404
_REFUSED = (401,)


def client_info() -> models.ClientInfo:
    """Return what this client says of itself."""
    return models.ClientInfo(
        sdk=models.ClientInfo.SDK.PYTHON, version=_VERSION, protocol=PROTOCOL, client_protocol=CLIENT_PROTOCOL
    )


def is_on_loopback(url: str) -> bool:
    """Return whether the server is on this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Signalling:
    """An open WebSocket. Iterate over it for the server's responses; it ends when the socket does."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, version: int) -> None:
        self.version = version
        self.n_bad_responses = 0
        self._socket = socket
        self._outbox: asyncio.Queue[rtc.SignalRequest] = asyncio.Queue(_MAX_WAITING)
        self._writer = asyncio.create_task(self._write(), name="signalling out")

    @classmethod
    async def open(
        cls, http: aiohttp.ClientSession, url: str, token: str, request: rtc.JoinRequest, version: int | None = None
    ) -> "Signalling":
        """Connect and ask to join or, with request.reconnect, to resume. version None: 1, or 0 where 1 is not spoken.

        Raises a JoinError.
        """
        base = http_url(url)
        versions = (1, 0) if version is None else (version,)
        for number in versions:
            path, query = ("/rtc/v1", _query_v1(request)) if number else ("/rtc", _query_v0(request))
            headers = {"Authorization": f"Bearer {token}"}
            try:
                async with asyncio.timeout(_OPEN_TIMEOUT_S):
                    socket = await http.ws_connect(
                        base + path,
                        params=query,
                        headers=headers,
                        max_msg_size=_MAX_RESPONSE_BYTES,
                        timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_TIMEOUT_S),
                    )
                return cls(socket, number)
            except aiohttp.WSServerHandshakeError as error:
                if error.status == _NOT_FOUND and number != versions[-1]:
                    continue
                reason = await _reason(http, base + path, error.status, query, headers)
                raise _refusal(error.status, reason) from None
            except TimeoutError:
                raise ServerUnreachable(f"{base} did not answer within {_OPEN_TIMEOUT_S:.0f} s") from None
            except (aiohttp.ClientError, OSError, ValueError) as error:
                raise ServerUnreachable(f"{base} cannot be reached ({_why(error)}); does the server run?") from None
        raise AssertionError("one of the versions was tried")

    def send(self, request: rtc.SignalRequest) -> None:
        """Send after what was sent before. Raises SignallingLost where the server takes nothing."""
        try:
            self._outbox.put_nowait(request)
        except asyncio.QueueFull:
            raise SignallingLost(f"{_MAX_WAITING} requests wait for the server") from None

    async def __aiter__(self) -> AsyncIterator[rtc.SignalResponse]:
        async for message in self._socket:
            if message.type != aiohttp.WSMsgType.BINARY:
                self.n_bad_responses += 1
                continue
            try:
                yield rtc.SignalResponse.FromString(message.data)
            except DecodeError:
                self.n_bad_responses += 1

    async def close(self) -> None:
        """Send what waits, and close. Safe to call twice."""
        if not self._writer.done():
            try:
                async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                    await self._outbox.join()
            except TimeoutError:
                pass
            self._writer.cancel()
            await asyncio.wait([self._writer])
        await self._socket.close()

    async def _write(self) -> None:
        try:
            while True:
                request = await self._outbox.get()
                await self._socket.send_bytes(request.SerializeToString())
                self._outbox.task_done()
        except ConnectionError:
            while not self._outbox.empty():
                self._outbox.get_nowait()
            await self._socket.close()


def http_url(url: str) -> str:
    """Return where HTTP requests go, for a URL as LIVEKIT_URL has it. Raises UrlUnusable."""
    parts = urlsplit(url)
    scheme = {"ws": "http", "wss": "https", "http": "http", "https": "https"}.get(parts.scheme)
    if scheme is None or not parts.hostname:
        raise UrlUnusable(f"{url!r:.80} is no URL of a LiveKit server; wss://HOST is needed, or ws://127.0.0.1:7880")
    return f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def _query_v1(request: rtc.JoinRequest) -> dict[str, str]:
    wrapped = rtc.WrappedJoinRequest(
        compression=rtc.WrappedJoinRequest.Compression.GZIP, join_request=gzip.compress(request.SerializeToString())
    )
    return {"join_request": base64.urlsafe_b64encode(wrapped.SerializeToString()).decode()}


def _query_v0(request: rtc.JoinRequest) -> dict[str, str]:
    query = {
        "sdk": "python",
        "version": _VERSION,
        "protocol": str(PROTOCOL),
        "client_protocol": str(CLIENT_PROTOCOL),
        "auto_subscribe": str(int(request.connection_settings.auto_subscribe)),
    }
    if request.reconnect:
        query |= {"reconnect": "1", "sid": request.participant_sid, "reconnect_reason": str(request.reconnect_reason)}
    return query


async def _reason(
    http: aiohttp.ClientSession, url: str, status: int, query: dict[str, str], headers: dict[str, str]
) -> str:
    """Return why the server refuses: in words it says so at `validate`; a full room only where it is to be joined."""
    if status >= 500:
        headers = {**headers, **_UPGRADE}
    else:
        url = f"{url}/validate"
    try:
        async with asyncio.timeout(_OPEN_TIMEOUT_S), http.get(url, params=query, headers=headers) as answer:
            if answer.status < 300:  # 101 too: it would let us in now
                return ""
            text = (await answer.content.read(_MAX_REASON_BYTES)).decode(errors="replace").strip()
            return _TOKEN.sub("(token)", text)[:_MAX_REASON_CHARS]
    except (TimeoutError, aiohttp.ClientError, OSError):
        return ""


def _refusal(status: int, reason: str) -> JoinError:
    why = f": {reason}" if reason else ""
    if status in _REFUSED:
        return TokenRefused(
            f"the LiveKit server refuses the token (HTTP {status}{why}); check API key, secret and clock"
        )
    if status == _NOT_FOUND:
        return ServerUnreachable(f"no LiveKit server, or no such room, at this URL (HTTP 404{why})")
    if status >= 500 and not reason:
        return ServerUnreachable(f"the LiveKit server cannot serve now (HTTP {status}{why})")
    hint = "; is the room full?" if status >= 500 else ""
    return JoinRefused(f"the LiveKit server does not let this participant in (HTTP {status}{why}){hint}")


def _why(error: BaseException) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
