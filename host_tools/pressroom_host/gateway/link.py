"""One WebSocket under a Session, as a queue: what goes out waits here, bounded, and one task sends it in order.

Messages may not be lost: too many of them end the link. Audio may: the oldest goes first.
"""

import asyncio
from collections import deque
from contextlib import suppress
from typing import Final

from aiohttp import web

_KIND_MEDIA: Final = b"\x01"
_MAX_MESSAGES: Final = 128
_MAX_PACKETS: Final = 10  # 200 ms
_MAX_UNSENT_BYTES: Final = 8_192  # in the transport, beyond what the system's socket buffer takes
_SEND_TIMEOUT_S: Final = 10.0


class Link:
    """Made with a WebSocket that is open; `run` sends until `close`."""

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport, local_host: str) -> None:
        self.local_host = local_host  # where the device has found us
        self._socket = socket
        self._transport = transport
        self._messages: deque[str] = deque()
        self._packets: deque[bytes] = deque()
        self._has_work = asyncio.Event()
        self._is_closing = False
        transport.set_write_buffer_limits(high=_MAX_UNSENT_BYTES)

    def send_text(self, text: str) -> None:
        """Send a message after those before it. Too many that wait end the link."""
        if self._is_closing:
            return
        if len(self._messages) >= _MAX_MESSAGES:
            self.abort()
            return
        self._messages.append(text)
        self._has_work.set()

    def send_packet(self, packet: bytes) -> bool:
        """Send a plain RTP packet, as soon as the network takes it; False if it, or an older one, was dropped."""
        if self._is_closing:
            return False
        is_full = len(self._packets) >= _MAX_PACKETS
        if is_full:
            self._packets.popleft()
        self._packets.append(packet)
        self._has_work.set()
        return not is_full

    def flush_packets(self) -> None:
        """Forget the audio that waits."""
        self._packets.clear()

    def close(self) -> None:
        """Close the WebSocket once every message is sent."""
        self._is_closing = True
        self._has_work.set()

    def abort(self) -> None:
        """Let go of the connection at once."""
        self.close()
        self._messages.clear()
        self._packets.clear()
        self._transport.abort()

    async def run(self) -> None:
        """Until closed, or the connection is lost."""
        with suppress(ConnectionError, TimeoutError):
            while True:
                await self._has_work.wait()
                self._has_work.clear()
                async with asyncio.timeout(_SEND_TIMEOUT_S):
                    await self._send_all()
                if self._is_closing:
                    await self._socket.close()
                    return
        self._transport.abort()

    async def _send_all(self) -> None:
        while self._messages or self._packets:
            if self._messages:
                await self._socket.send_str(self._messages.popleft())
            else:
                packet = self._packets.popleft()
                await self._socket.send_bytes(_KIND_MEDIA + packet)
