"""A TCP port for an HTTP handler: connections are bounded in number, and each must ask for something in time.

aiohttp by itself waits long for the first request. Here a connection has 5 s for its TLS handshake and 5 s to ask for
something; while all places are taken, further connections wait in the system's queue.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

from aiohttp import web

_MAX_CONNECTIONS: Final = 1_024
_BACKLOG: Final = 128
_HANDSHAKE_TIMEOUT_S: Final = 5.0
_REQUEST_TIMEOUT_S: Final = 5.0
_SHUTDOWN_TIMEOUT_S: Final = 1.0
_SEND_BUFFER_BYTES: Final = 16_384  # the system doubles it; more would only be audio that comes late
_RETRY_S: Final = 0.1  # no file descriptors are left: some will be closed

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class _Server(web.Server):
    """aiohttp's, which tells when a connection is lost."""

    def __init__(self, handler: Handler, on_lost: Callable[[], None]) -> None:
        super().__init__(handler, access_log=None)  # no access log: it would be one line a try of every device
        self._on_lost = on_lost

    def connection_lost(self, handler: Any, exc: BaseException | None = None) -> None:
        """A connection is gone, and its place is free."""
        super().connection_lost(handler, exc)
        self._on_lost()


class Listener:
    """Listens from `open` to `stop`."""

    def __init__(self, sock: socket.socket, handler: Handler, tls: ssl.SSLContext | None) -> None:
        self.host, self.port = sock.getsockname()[:2]
        self.n_silent = 0  # connections that asked for nothing
        self._socket = sock
        self._handler = handler
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._places = asyncio.Semaphore(_MAX_CONNECTIONS)
        self._server = _Server(self._handle, self._places.release)
        self._silent: dict[asyncio.BaseTransport, asyncio.TimerHandle] = {}
        self._greeting: set[asyncio.Task[None]] = set()
        self._accepting = asyncio.create_task(self._accept_all(), name="listener")

    @classmethod
    def open(cls, host: str, port: int, handler: Handler, tls: ssl.SSLContext | None) -> "Listener":
        """Bind the port; 0 takes a free one. Raises OSError."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, port))
            sock.listen(_BACKLOG)
        except OSError:
            sock.close()
            raise
        return cls(sock, handler, tls)

    async def stop(self) -> None:
        """Accept no more, and drop who is left. Safe to call twice."""
        tasks = [self._accepting, *self._greeting]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        self._socket.close()
        await self._server.shutdown(_SHUTDOWN_TIMEOUT_S)

    async def _accept_all(self) -> None:
        while True:
            await self._places.acquire()
            try:
                connection, _ = await self._loop.sock_accept(self._socket)
            except OSError:
                self._places.release()
                await asyncio.sleep(_RETRY_S)
                continue
            except asyncio.CancelledError:
                self._places.release()
                raise
            task = self._loop.create_task(self._greet(connection), name="greet")
            self._greeting.add(task)
            task.add_done_callback(self._greeting.discard)

    async def _greet(self, connection: socket.socket) -> None:
        """The TLS handshake; then aiohttp has the connection, and gives its place back."""
        has_place = True
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
            transport, _ = await self._loop.connect_accepted_socket(
                self._server,
                connection,
                ssl=self._tls,
                ssl_handshake_timeout=_HANDSHAKE_TIMEOUT_S if self._tls is not None else None,
            )
            has_place = False
            self._silent[transport] = self._loop.call_later(_REQUEST_TIMEOUT_S, self._drop_silent, transport)
        except OSError:  # ssl.SSLError and TimeoutError among them
            connection.close()
        finally:
            if has_place:
                self._places.release()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.transport is not None:
            timer = self._silent.pop(request.transport, None)
            if timer is not None:
                timer.cancel()
        return await self._handler(request)

    def _drop_silent(self, transport: asyncio.BaseTransport) -> None:
        if self._silent.pop(transport, None) is not None and isinstance(transport, asyncio.Transport):
            self.n_silent += not transport.is_closing()
            with suppress(OSError):
                transport.abort()
