"""The WebSocket to the gateway: TCP without delay, TLS with a pinned certificate, RFC 6455 frames (wire/websocket.py).

Nothing here waits inside a call: sockets never block, and between two looks at them the event loop runs. Two things
hold it up all the same: looking up a name that is no number, which is done once, and the arithmetic of a TLS handshake.
"""

import asyncio
import errno
import os
import select
import socket

from micropython import const

from ..wire import websocket
from .pinned_tls import ConnectRefused, PinMismatch, PinnedTls

_POLL_MS = const(5)
_RX_BYTES = const(1024)
_TX_BYTES = const(8192)  # frames that the network does not take yet
_TX_MEDIA_BYTES = const(6144)  # of which media may fill so much: the rest is for messages
_MAX_MESSAGE_BYTES = const(2048)
_IPPROTO_TCP = const(6)  # esp32's socket module has no names for these two
_TCP_NODELAY = const(1)


class LinkClosed(OSError):
    """There is no connection, or none any more. Trying again may help."""


class AddressUnusable(ConnectRefused):
    """The gateway's address cannot be used: it is none, or the link to it would not be encrypted."""

    reason = "BAD_ADDRESS"


class SettingUnusable(ConnectRefused):
    """The gateway's address or the token holds a character that no request can carry."""

    reason = "BAD_SETTING"


class SignallingSocket:
    """One connection at a time. `receive` must be awaited again and again: it also sends what had to wait."""

    def __init__(self):
        self.n_dropped_media = 0  # no connection, or the network takes nothing
        self._raw = None  # the TCP socket
        self._socket = None  # what bytes go through: the TLS socket, or the TCP socket itself
        self._why_closed = "not connected"
        self._tls = None  # made for the first wss address
        self._resolved = {}  # the one host and port that answered last -> its address
        self._reader = None
        self._rx = memoryview(bytearray(_RX_BYTES))
        self._rx_start = 0
        self._rx_end = 0
        self._tx = bytearray(_TX_BYTES)
        self._tx_start = 0
        self._tx_tried = 0  # mbedTLS must be given the same bytes again, no more and no fewer
        self._tx_end = 0

    async def connect(self, url, pins, token, timeout_ms):
        """Open `wss://host:port/path` (`ws://` on this machine only) with `Authorization: Bearer token`.

        pins: SHA-256 digests of the certificates that are trusted.
        Raises a ConnectRefused, websocket.UpgradeRefused, or LinkClosed for all that may pass.
        """
        self.close()
        is_tls, host, port, path = _parse_url(url)
        if not is_tls and not _is_loopback(host):
            raise AddressUnusable(
                "%s is not encrypted; give the board a wss:// address: ws:// is for one machine" % url
            )
        if is_tls and not pins:
            raise PinMismatch("no pin is set; give the board pin0, the SHA-256 of the gateway's certificate")
        is_open = False
        try:
            await asyncio.wait_for_ms(self._open(is_tls, host, port, path, pins, token), timeout_ms)
            is_open = True
        except asyncio.TimeoutError:
            raise LinkClosed("%s:%d did not answer within %d ms" % (host, port, timeout_ms))
        except websocket.UpgradeRefused:
            raise
        except websocket.BadRequest as error:
            raise SettingUnusable("%s; give it to the board again" % error)
        except (websocket.WireError, OSError) as error:
            raise LinkClosed("%s:%d: %s" % (host, port, error))
        finally:
            if not is_open:
                self._resolved = {}  # it may have moved
                self.close()

    def send_text(self, text):
        """Send a message, or queue it. If the queue is full the connection is given up, and `receive` tells."""
        payload = text.encode()
        if self._socket is None:
            return
        if len(payload) + websocket.FRAME_OVERHEAD_BYTES > _TX_BYTES - self._tx_end:
            self._give_up("the network has taken nothing for too long")
            return
        self._tx_end += websocket.write_text_into(self._tx_free(), payload, len(payload))
        self._flush()

    def send_media(self, packet, n_bytes):
        """Send packet[:n_bytes] as a binary frame of kind media; returns False, and counts it, if it was dropped."""
        if self._socket is None or n_bytes + websocket.FRAME_OVERHEAD_BYTES > _TX_MEDIA_BYTES - self._tx_end:
            self.n_dropped_media += 1
            return False
        self._tx_end += websocket.write_binary_into(self._tx_free(), websocket.KIND_MEDIA, packet, n_bytes)
        self._flush()
        return True

    async def receive(self):
        """Return the next message: a str, or a binary one as a memoryview that is valid until the next call.

        Raises LinkClosed.
        """
        while True:
            message = self._next_message()
            if message is not None:
                return message
            self._flush()
            n_bytes = self._read_some()
            if n_bytes == 0:
                raise LinkClosed(self._why_closed)
            await asyncio.sleep_ms(_POLL_MS if n_bytes is None else 0)

    def close(self):
        """Safe to call twice; a `receive` that waits raises LinkClosed."""
        self._give_up("closed on this side")

    async def _open(self, is_tls, host, port, path, pins, token):
        self._raw = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._raw.setblocking(False)
        self._raw.setsockopt(_IPPROTO_TCP, _TCP_NODELAY, 1)
        try:
            self._raw.connect(self._address(host, port))
        except OSError as error:
            if error.errno != errno.EINPROGRESS:
                raise
        await _until_writable(self._raw)
        self._socket = await self._wrap(host, pins) if is_tls else self._raw
        handshake = websocket.Handshake("%s:%d" % (host, port), path, os.urandom(websocket.NONCE_BYTES), token)
        await self._write_all(handshake.request())
        while not handshake.is_open:
            n_bytes = self._socket.readinto(self._rx)
            if n_bytes is None:
                await asyncio.sleep_ms(_POLL_MS)
            elif n_bytes == 0:
                handshake.closed()
            else:
                self._rx_start = handshake.read(self._rx, 0, n_bytes)
                self._rx_end = n_bytes
        self._reader = websocket.Reader(_MAX_MESSAGE_BYTES)

    async def _wrap(self, host, pins):
        if self._tls is None:
            self._tls = PinnedTls()
        return await self._tls.wrap(self._raw, host, pins)

    def _address(self, host, port):
        """A lookup can hold up everything for seconds, so it is done once."""
        if (host, port) not in self._resolved:
            self._resolved = {(host, port): socket.getaddrinfo(host, port)[0][-1]}
        return self._resolved[(host, port)]

    async def _write_all(self, data):
        n_sent = 0
        while n_sent < len(data):
            n_bytes = self._socket.write(data, n_sent, len(data) - n_sent)
            if n_bytes is None:
                await asyncio.sleep_ms(_POLL_MS)
            else:
                n_sent += n_bytes

    def _tx_free(self):
        return memoryview(self._tx)[self._tx_end :] if self._tx_end else self._tx

    def _flush(self):
        """Write what waits, as far as the network takes it: one write a message unless some had to wait."""
        while self._socket is not None and self._tx_start < self._tx_end:
            stop = self._tx_tried or self._tx_end
            try:
                n_bytes = self._socket.write(self._tx, self._tx_start, stop - self._tx_start)
            except OSError as error:
                self._give_up("writing failed: %s" % error)
                return
            self._tx_start += n_bytes or 0
            if self._tx_start < stop:
                self._tx_tried = stop
                return
            self._tx_tried = 0
        self._tx_start = self._tx_end = 0

    def _read_some(self):
        """Return n_bytes now in _rx, None if nothing came, 0 if there is no connection any more."""
        if self._socket is None:
            return 0
        try:
            n_bytes = self._socket.readinto(self._rx)
        except OSError as error:
            self._give_up("reading failed: %s" % error)
            return 0
        if n_bytes == 0:
            self._give_up("the gateway closed the connection")
        self._rx_start = 0
        self._rx_end = n_bytes or 0
        return n_bytes

    def _next_message(self):
        """Return the next message of what has been read, answering what needs no owner; None if more must come."""
        try:
            while self._rx_start < self._rx_end:
                self._rx_start = self._reader.read(self._rx, self._rx_start, self._rx_end)
                opcode = self._reader.opcode
                if opcode == websocket.TEXT:
                    return self._reader.text()
                if opcode == websocket.BINARY:
                    return self._reader.message
                if opcode == websocket.PING:
                    self._answer(websocket.write_pong_into(self._tx_free(), self._reader.message))
                elif opcode == websocket.CLOSE:
                    code = self._reader.close_code()
                    self._answer(websocket.write_close_into(self._tx_free(), websocket.CLOSE_NORMAL))
                    self._give_up("the gateway closed the WebSocket: %d %s" % (code, self._reader.close_reason()))
        except websocket.WireError as error:
            code = getattr(error, "close_code", websocket.CLOSE_PROTOCOL_ERROR)
            self._answer(websocket.write_close_into(self._tx_free(), code))
            self._give_up(str(error))
        return None

    def _answer(self, n_bytes):
        self._tx_end += n_bytes
        self._flush()

    def _give_up(self, why):
        if self._socket is not None or self._raw is not None:
            self._why_closed = why
        for open_socket in (self._socket, self._raw):  # a failed handshake leaves the TCP socket open
            if open_socket is not None:
                open_socket.close()
        self._socket = self._raw = None
        self._rx_start = self._rx_end = 0
        self._tx_start = self._tx_tried = self._tx_end = 0


async def _until_writable(raw):
    poller = select.poll()
    poller.register(raw, select.POLLOUT)
    while not poller.poll(0):
        await asyncio.sleep_ms(_POLL_MS)


def _parse_url(url):
    """Return (is_tls, host, port, path). Raises AddressUnusable."""
    scheme, _, rest = url.partition("://")
    address, slash, path = rest.partition("/")
    host, colon, port = address.partition(":")
    if scheme not in ("wss", "ws") or not host or (colon and not port.isdigit()):
        raise AddressUnusable("%r is not like wss://host:port/device; give the board the gateway's address" % url)
    is_tls = scheme == "wss"
    return is_tls, host, int(port) if colon else 443 if is_tls else 80, slash + path or "/"


def _is_loopback(host):
    parts = host.split(".")
    is_address = len(parts) == 4 and all(part.isdigit() for part in parts)
    return host == "localhost" or (is_address and parts[0] == "127")
