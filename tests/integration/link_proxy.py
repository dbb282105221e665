"""A network between a device and its gateway that can be cut: TCP and UDP forwarded on loopback.

cut("reset")        connections are reset, new ones too; datagrams are dropped
cut("black hole")   nothing arrives and nothing is refused; what TCP held flows once it is mended
is_udp_blocked      datagrams are dropped, TCP flows
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator

_CHUNK_BYTES = 65_536
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: close sends RST


class LinkProxy:
    """Forwards one TCP and one UDP port of its own to those it is aimed at, on loopback."""

    def __init__(self) -> None:
        self._tcp_target = ("127.0.0.1", 0)
        self._udp_target = ("127.0.0.1", 0)
        self._cut: str | None = None
        self._is_open = asyncio.Event()
        self._is_open.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._upstreams: dict[tuple[str, int], asyncio.DatagramTransport] = {}
        self.is_udp_blocked = False
        self.n_connections = 0
        self.n_datagrams_up = 0
        self.n_datagrams_down = 0
        self.n_dropped_datagrams = 0
        self.tcp_port = 0
        self.udp_port = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls) -> AsyncIterator["LinkProxy"]:
        """The proxy on free ports, closed at the end."""
        proxy = cls()
        server = await asyncio.start_server(proxy._serve, "127.0.0.1", 0)
        proxy.tcp_port = server.sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: _Downstream(proxy), local_addr=("127.0.0.1", 0))
        proxy.udp_port = transport.get_extra_info("sockname")[1]
        try:
            yield proxy
        finally:
            server.close()
            transport.close()
            for upstream in proxy._upstreams.values():
                upstream.close()
            proxy._reset_all()
            for task in list(proxy._tasks):
                task.cancel()
            await asyncio.gather(*proxy._tasks, return_exceptions=True)

    def aim(self, tcp_port: int, udp_port: int) -> None:
        """Forward to these ports from now on."""
        self._tcp_target = ("127.0.0.1", tcp_port)
        self._udp_target = ("127.0.0.1", udp_port)
        for upstream in self._upstreams.values():
            upstream.close()
        self._upstreams.clear()

    def cut(self, how: str) -> None:
        """Cut the network: how is "reset" or "black hole"."""
        self._cut = how
        self._is_open.clear()
        if how == "reset":
            self._reset_all()

    def mend(self) -> None:
        """The network works again."""
        self._cut = None
        self._is_open.set()

    def takes_datagram(self) -> bool:
        """Does the next datagram pass? One that does not is counted."""
        is_taken = self._cut is None and not self.is_udp_blocked
        self.n_dropped_datagrams += not is_taken
        return is_taken

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.n_connections += 1
        self._writers.add(writer)
        if self._cut == "reset":
            self._reset(writer)
            return
        await self._is_open.wait()
        try:
            up_reader, up_writer = await asyncio.open_connection(*self._tcp_target)
        except OSError:  # the gateway is down: so is the connection
            self._reset(writer)
            return
        self._writers.add(up_writer)
        for source, sink in ((reader, up_writer), (up_reader, writer)):
            task = asyncio.create_task(self._pump(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(_CHUNK_BYTES):
                await self._is_open.wait()
                sink.write(data)
                await sink.drain()
        self._writers.discard(sink)
        sink.close()

    def _reset_all(self) -> None:
        for writer in list(self._writers):
            self._reset(writer)

    def _reset(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        sock = writer.get_extra_info("socket")
        if sock is not None and sock.fileno() >= 0:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        writer.transport.abort()

    async def _upstream_of(
        self, address: tuple[str, int], transport: asyncio.DatagramTransport
    ) -> asyncio.DatagramTransport:
        if address not in self._upstreams:
            loop = asyncio.get_running_loop()
            upstream, _ = await loop.create_datagram_endpoint(
                lambda: _Upstream(self, address, transport), remote_addr=self._udp_target
            )
            self._upstreams[address] = upstream
        return self._upstreams[address]


class _Downstream(asyncio.DatagramProtocol):
    def __init__(self, proxy: LinkProxy) -> None:
        self._proxy = proxy
        self._queue: asyncio.Queue[tuple[bytes, tuple[str, int]]] = asyncio.Queue(256)

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport
        task = asyncio.create_task(self._forward())
        self._proxy._tasks.add(task)
        task.add_done_callback(self._proxy._tasks.discard)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        if self._proxy.takes_datagram() and not self._queue.full():
            self._queue.put_nowait((data, address))

    async def _forward(self) -> None:
        while True:
            data, address = await self._queue.get()
            self._proxy.n_datagrams_up += 1
            (await self._proxy._upstream_of(address, self._transport)).sendto(data)


class _Upstream(asyncio.DatagramProtocol):
    def __init__(self, proxy: LinkProxy, address: tuple[str, int], downstream: asyncio.DatagramTransport) -> None:
        self._proxy = proxy
        self._address = address
        self._downstream = downstream

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        if self._proxy.takes_datagram():
            self._proxy.n_datagrams_down += 1
            self._downstream.sendto(data, self._address)
