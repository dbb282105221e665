"""WebSocket, the client's side: handshake, frames out, frames in (RFC 6455). No I/O.

     handshake = Handshake(host, path, nonce, token)     send handshake.request(), then
     start = handshake.read(data, start, end)            for what comes, until handshake.is_open
     start = reader.read(data, start, end)               from there on; look at reader.opcode after each call
     n_bytes = write_text_into(buf, payload, n)          a whole frame: one write to the socket is one packet

Nothing here grows: what does not fit is an error with the code that the connection is to be closed with.
"""

import binascii
import hashlib

from .errors import WireError
from .port import const

NOTHING = const(0)  # `Reader.opcode` while a message is not complete; the others are of RFC 6455 section 5.2
TEXT = const(1)
BINARY = const(2)
CLOSE = const(8)
PING = const(9)
PONG = const(10)

FRAME_OVERHEAD_BYTES = const(9)  # the longest header written here, and the kind of a binary frame
KIND_MEDIA = const(1)  # the first byte of a binary frame: an RTP packet follows

NONCE_BYTES = const(16)  # RFC 6455 section 4.1
CLOSE_NORMAL = const(1000)  # RFC 6455 section 7.4.1
CLOSE_PROTOCOL_ERROR = const(1002)
CLOSE_WITHOUT_CODE = const(1005)
CLOSE_BAD_TEXT = const(1007)
CLOSE_TOO_LONG = const(1009)

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
_SWITCHING_PROTOCOLS = const(101)
_MAX_HEAD_BYTES = const(2048)
_MAX_BODY_BYTES = const(1024)

_MAX_HEADER_BYTES = const(8)  # of what is written here: never more than 16 bits of length
_FIN = const(0x80)
_RESERVED_BITS = const(0x70)
_CONTROL_BIT = const(0x08)
_OPCODE_MASK = const(0x0F)
_CONTINUATION = const(0)
_MASK_BIT = const(0x80)
_LENGTH_16 = const(126)
_LENGTH_64 = const(127)
_MAX_CONTROL_BYTES = const(125)  # RFC 6455 section 5.5
_MAX_FRAME_BYTES = const(0xFFFF)


class BadRequest(WireError):
    """A host, path or token cannot stand in a request."""


class BadResponse(WireError):
    """What answered is no WebSocket server, or not in reply to our request."""


class UpgradeRefused(WireError):
    """The server answered with another HTTP status than 101: see `status` and `body` (text, at most 1024 bytes)."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(
            "the server refused the WebSocket with HTTP status %d: %s" % (status, body or "no reason given")
        )
        self.status = status
        self.body = body


class Redirected(UpgradeRefused):
    """The server wants us elsewhere, at `location`; a pinned address is not left for another."""

    def __init__(self, status: int, body: str, location: str) -> None:
        super().__init__(status, body)
        self.location = location


class FrameError(WireError):
    """The server broke the framing rules."""

    close_code = CLOSE_PROTOCOL_ERROR


class MessageTooLong(WireError):
    """A message is longer than was agreed."""

    close_code = CLOSE_TOO_LONG


class BadText(WireError):
    """A text is not UTF-8."""

    close_code = CLOSE_BAD_TEXT


class Handshake:
    """Asks for a WebSocket and checks the answer (RFC 6455 section 4).

    host: with the port, as in the URL. nonce: 16 random bytes. token: goes into `Authorization: Bearer`.
    Raises BadRequest.
    """

    __slots__ = ("is_open", "_request", "_accept", "_head", "_status", "_location", "_body", "_n_body_bytes")

    def __init__(self, host: str, path: str, nonce: bytes, token: str) -> None:
        for name, part in (("host", host), ("path", path), ("token", token)):
            if not all("!" <= character <= "~" for character in part):
                raise BadRequest("the %s has a space, a line end or another character that cannot be in it" % name)
        key = binascii.b2a_base64(nonce)[:-1]
        self.is_open = False
        self._request = _REQUEST % (path, host, key.decode(), token)
        self._accept = binascii.b2a_base64(hashlib.sha1(key + _GUID).digest())[:-1]
        self._head = bytearray()
        self._status = None  # None until the head is complete
        self._location = None
        self._body = bytearray()
        self._n_body_bytes = 0

    def request(self) -> bytes:
        """Return the bytes that open the connection."""
        return self._request.encode()

    def read(self, data: bytes, start: int, end: int) -> int:
        """Take data[start:end]; return where the server's frames begin, or end.

        Raises BadResponse, UpgradeRefused or Redirected; a body is waited for only as far as its length is told.
        """
        while start < end and self._status is None:
            self._head.append(data[start])
            start += 1
            if self._head[-4:] == b"\r\n\r\n":
                self._parse_head()
            elif len(self._head) >= _MAX_HEAD_BYTES:
                raise BadResponse("the server's answer has no end within %d bytes" % _MAX_HEAD_BYTES)
        if self._status is not None and not self.is_open:
            n_bytes = min(end - start, self._n_body_bytes - len(self._body))
            self._body.extend(bytes(data[start : start + n_bytes]))
            start += n_bytes
            if len(self._body) >= self._n_body_bytes:
                self._refuse()
        return start

    def closed(self) -> None:
        """The server closed the connection before it was open. Raises what is known of the reason."""
        if self._status is None:
            raise BadResponse("the server closed the connection without an answer")
        self._refuse()

    def _parse_head(self):
        lines = bytes(self._head[:-4]).split(b"\r\n")
        status = _status(lines[0])
        fields = {}
        for line in lines[1:]:
            name, colon, value = line.partition(b":")
            if not colon:
                raise BadResponse("the server's answer has a header line without a colon")
            fields[name.lower()] = value.strip()
        if status == _SWITCHING_PROTOCOLS:
            self._check_upgrade(fields)
            self.is_open = True
        elif fields.get(b"content-length", b"").isdigit():
            self._n_body_bytes = min(int(fields[b"content-length"]), _MAX_BODY_BYTES)
        self._location = _text(fields[b"location"]) if b"location" in fields else None
        self._status = status

    def _check_upgrade(self, fields):
        if fields.get(b"upgrade", b"").lower() != b"websocket":
            raise BadResponse("the server switched to something else than a WebSocket")
        if b"upgrade" not in [token.strip() for token in fields.get(b"connection", b"").lower().split(b",")]:
            raise BadResponse("the server's answer lacks `Connection: Upgrade`")
        if fields.get(b"sec-websocket-accept") != self._accept:
            raise BadResponse("the server's Sec-WebSocket-Accept does not answer our key: is a cache in between?")
        if fields.get(b"sec-websocket-extensions") or fields.get(b"sec-websocket-protocol"):
            raise BadResponse("the server chose an extension or subprotocol that was not offered")

    def _refuse(self):
        if self._location is not None and 300 <= self._status < 400:
            raise Redirected(self._status, _text(self._body), self._location)
        raise UpgradeRefused(self._status, _text(self._body))

    def __repr__(self):
        return "Handshake(is_open=%r)" % self.is_open  # without the token


class Reader:
    """Puts the server's messages together, one at a time (RFC 6455 section 5).

    After each `read`, `opcode` says what it completed: TEXT, BINARY, PING, PONG, CLOSE, or NOTHING; `message` is valid
    until the next `read`. A PING is to be answered by `write_pong_into(buf, reader.message)`.
    max_message_bytes: at most 65535.
    """

    __slots__ = (
        "opcode",
        "message",
        "_max_message_bytes",
        "_buf",
        "_control",
        "_header",
        "_n_header",
        "_n_header_wanted",
    ) + ("_is_final", "_frame_opcode", "_message_opcode", "_n_left", "_n_message", "_n_control")

    def __init__(self, max_message_bytes: int) -> None:
        self.opcode = NOTHING
        self.message = None
        self._max_message_bytes = max_message_bytes
        self._buf = memoryview(bytearray(max_message_bytes))
        self._control = memoryview(bytearray(_MAX_CONTROL_BYTES))
        self._header = bytearray(4)
        self._n_message = 0
        self._message_opcode = NOTHING  # of the message whose fragments are coming
        self._start_frame()

    def read(self, data: bytes, start: int, end: int) -> int:
        """Take from data[start:end] up to the end of one message; return where to go on.

        Raises FrameError, MessageTooLong or BadText (for the reason of a CLOSE); nothing can be read after that.
        """
        self.opcode = NOTHING
        self.message = None
        while start < end and self.opcode == NOTHING:
            if self._n_header < self._n_header_wanted:
                self._header[self._n_header] = data[start]
                self._n_header += 1
                start += 1
                self._parse_header()
            else:
                start = self._copy(data, start, end)
            if self._n_header == self._n_header_wanted and not self._n_left:
                self._finish_frame()
        return start

    def text(self) -> str:
        """Return the TEXT message as a string, a copy. Raises BadText."""
        return _utf8(self.message)

    def close_code(self) -> int:
        """Return the code of the CLOSE; CLOSE_WITHOUT_CODE if it has none."""
        return self.message[0] << 8 | self.message[1] if len(self.message) else CLOSE_WITHOUT_CODE

    def close_reason(self) -> str:
        """Return the reason of the CLOSE, often empty."""
        return _utf8(self.message[2:])

    def _start_frame(self):
        self._n_header = 0
        self._n_header_wanted = 2
        self._n_left = 0
        self._n_control = 0

    def _parse_header(self):
        """Look at the header as far as it has come."""
        header = self._header
        if self._n_header == 1:
            self._check_opcode(header[0])
        elif self._n_header == 2:
            self._check_length_code(header[1])
        if self._n_header == self._n_header_wanted:
            if self._n_header == 4:
                self._n_left = header[2] << 8 | header[3]
                if self._n_left < _LENGTH_16:
                    raise FrameError("a frame's length is written longer than it must be")
            if not self._frame_opcode & _CONTROL_BIT and self._n_message + self._n_left > self._max_message_bytes:
                raise self._too_long(self._n_message + self._n_left)

    def _check_opcode(self, byte):
        opcode = byte & _OPCODE_MASK
        self._is_final = byte & _FIN != 0
        self._frame_opcode = opcode
        if byte & _RESERVED_BITS:
            raise FrameError("a frame has reserved bits set, though no extension was agreed")
        if opcode & _CONTROL_BIT:
            if opcode > PONG:
                raise FrameError("a frame has the reserved opcode %d" % opcode)
            if not self._is_final:
                raise FrameError("a control frame is fragmented")
        elif opcode > BINARY:
            raise FrameError("a frame has the reserved opcode %d" % opcode)
        elif (opcode == _CONTINUATION) != (self._message_opcode != NOTHING):
            raise FrameError("a fragment came without a beginning, or a beginning between fragments")

    def _check_length_code(self, byte):
        if byte & _MASK_BIT:
            raise FrameError("a frame from the server is masked")
        if byte > _MAX_CONTROL_BYTES and self._frame_opcode & _CONTROL_BIT:
            raise FrameError("a control frame is longer than 125 bytes")
        if byte == _LENGTH_16:
            self._n_header_wanted = 4
        elif byte == _LENGTH_64:
            raise self._too_long("more than 65535")
        else:
            self._n_left = byte

    def _copy(self, data, start, end):
        n_bytes = min(self._n_left, end - start)
        if self._frame_opcode & _CONTROL_BIT:
            self._control[self._n_control : self._n_control + n_bytes] = data[start : start + n_bytes]
            self._n_control += n_bytes
        else:
            self._buf[self._n_message : self._n_message + n_bytes] = data[start : start + n_bytes]
            self._n_message += n_bytes
        self._n_left -= n_bytes
        return start + n_bytes

    def _finish_frame(self):
        if self._frame_opcode & _CONTROL_BIT:
            self.message = self._control[: self._n_control]
            if self._frame_opcode == CLOSE and self._n_control == 1:
                raise FrameError("a close frame has half a code")
            self.opcode = self._frame_opcode
        else:
            if self._frame_opcode != _CONTINUATION:
                self._message_opcode = self._frame_opcode
            if self._is_final:
                self.opcode = self._message_opcode
                self.message = self._buf[: self._n_message]
                self._message_opcode = NOTHING
                self._n_message = 0
        self._start_frame()

    def _too_long(self, n_bytes):
        return MessageTooLong("a message has %s bytes; at most %d were agreed" % (n_bytes, self._max_message_bytes))

    def __repr__(self):
        return "Reader(opcode=%d)" % self.opcode


def write_text_into(buf: bytearray, payload: bytes, n_bytes: int) -> int:
    """Write a frame with the UTF-8 in payload[:n_bytes]; buf: FRAME_OVERHEAD_BYTES longer. Returns its n_bytes."""
    return _write_into(buf, TEXT, payload, n_bytes)


def write_binary_into(buf: bytearray, kind: int, payload: bytes, n_bytes: int) -> int:
    """Write a frame with the byte kind and payload[:n_bytes]; buf: FRAME_OVERHEAD_BYTES longer. Returns the n_bytes."""
    start = _write_header_into(buf, BINARY, 1 + n_bytes)
    buf[start] = kind
    return _copy_into(buf, start + 1, payload, n_bytes)


def write_pong_into(buf: bytearray, payload: bytes) -> int:
    """Write the answer to a PING whose message was payload. Returns the frame's n_bytes."""
    return _write_into(buf, PONG, payload, len(payload))


def write_close_into(buf: bytearray, code: int) -> int:
    """Write a frame that closes the connection. Returns its n_bytes."""
    return _write_into(buf, CLOSE, bytes((code >> 8, code & 0xFF)), 2)


def _write_into(buf, opcode, payload, n_bytes):
    return _copy_into(buf, _write_header_into(buf, opcode, n_bytes), payload, n_bytes)


def _write_header_into(buf, opcode, n_bytes):
    """The masking key is zero: every client frame must have one (section 5.3), and inside TLS it protects nothing."""
    if n_bytes > _MAX_FRAME_BYTES or n_bytes + _MAX_HEADER_BYTES > len(buf):
        raise MessageTooLong("a message of %d bytes does not fit a frame in %d" % (n_bytes, len(buf)))
    buf[0] = _FIN | opcode
    start = 6
    if n_bytes < _LENGTH_16:
        buf[1] = _MASK_BIT | n_bytes
    else:
        buf[1] = _MASK_BIT | _LENGTH_16
        buf[2] = n_bytes >> 8
        buf[3] = n_bytes & 0xFF
        start = 8
    buf[start - 4] = buf[start - 3] = buf[start - 2] = buf[start - 1] = 0
    return start


def _copy_into(buf, start, payload, n_bytes):
    buf[start : start + n_bytes] = memoryview(payload)[:n_bytes]
    return start + n_bytes


def _status(line):
    version, _, rest = line.partition(b" ")
    if not version.startswith(b"HTTP/1.") or not rest[:3].isdigit() or len(rest[:3]) != 3:
        raise BadResponse("what answered does not speak HTTP/1.1")
    return int(rest[:3])


def _text(raw):
    """Return what a person can read of raw, whatever it is."""
    return "".join(chr(byte) if 32 <= byte < 127 else "?" for byte in raw)


def _utf8(raw):
    try:
        return str(raw, "utf-8")
    except UnicodeError:
        raise BadText("a text is not UTF-8")


_REQUEST = (
    "GET %s HTTP/1.1\r\n"
    "Host: %s\r\n"
    "Upgrade: websocket\r\n"
    "Connection: Upgrade\r\n"
    "Sec-WebSocket-Key: %s\r\n"
    "Sec-WebSocket-Version: 13\r\n"
    "Authorization: Bearer %s\r\n"
    "\r\n"
)
