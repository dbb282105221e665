"""The signalling messages of the link: what they hold, encoded and parsed. No I/O.

A message is one JSON object; its key `t` is the type. Field names are LiveKit's where the concept is LiveKit's.
Unknown fields are ignored and an unknown type is not an error, so that either side may be newer than the other.
Source: design, "The link"; docs/link.md shows each message with an example.
"""

import binascii
import json

from .errors import WireError
from .port import const

PROTO = 1
MAX_MESSAGE_BYTES = 2048  # what a device takes, and what it may send

_KEY_BYTES = const(30)  # RFC 3711 section 8.2: 16 bytes of master key, 14 of salt
_SSRC_BYTES = const(4)
_MAX_TEXTS = const(16)

_INT, _BOOL, _TEXT, _TEXTS, _TEXT_MAP, _NUMBERS, _OBJECT, _SSRC, _KEY = range(9)
_KIND_NAMES = (
    "a whole number from 0 to 2**32 - 1",
    "true or false",
    "a text",
    "a list of at most 16 texts",
    "an object of texts",
    "an object of whole numbers",
    "an object",
    "8 hex digits",
    "30 bytes in base64",
)

# name, kind (or the fields of an object inside), is it required?
_CAPS = (
    ("up", _TEXTS, True),
    ("dn", _TEXTS, True),
    ("max_message_bytes", _INT, True),
    ("full_duplex", _BOOL, False),
)
_MEDIA = (
    ("host", _TEXT, True),
    ("port", _INT, True),
    ("ssrc_up", _SSRC, True),
    ("ssrc_dn", _SSRC, True),
    ("key_up", _KEY, True),
    ("key_dn", _KEY, True),
    ("codec_up", _TEXT, True),
    ("codec_dn", _TEXT, True),
    ("dn_len", _INT, True),
)
_ERROR = (("code", _INT, True), ("message", _TEXT, True))

_FIELDS = {
    "hello": (
        ("proto", _INT, True),
        ("fw", _TEXT, True),
        ("board", _TEXT, True),
        ("caps", _CAPS, True),
        ("resume", _TEXT, False),
        ("muted", _BOOL, False),
    ),
    "welcome": (
        ("proto", _INT, True),
        ("session", _TEXT, True),
        ("resumed", _BOOL, True),
        ("room", _TEXT, True),
        ("identity", _TEXT, True),
        ("media", _MEDIA, True),
    ),
    "mute": (("muted", _BOOL, True), ("rtp_timestamp", _INT, False)),
    "flush": (),
    "state": (("agent", _TEXT, False), ("turn", _TEXT, False), ("room", _TEXT, False), ("message", _TEXT, False)),
    "participant": (
        ("identity", _TEXT, True),
        ("sid", _TEXT, True),
        ("state", _TEXT, True),
        ("name", _TEXT, False),
        ("attributes", _TEXT_MAP, False),
        ("is_speaking", _BOOL, False),
        ("quality", _TEXT, False),
        ("metadata", _TEXT, False),
    ),
    "track": (
        ("sid", _TEXT, True),
        ("participant", _TEXT, True),
        ("kind", _TEXT, True),
        ("muted", _BOOL, True),
        ("subscribed", _BOOL, True),
        ("name", _TEXT, False),
        ("source", _TEXT, False),
    ),
    "data": (
        ("payload", _TEXT, True),
        ("topic", _TEXT, False),
        ("destination_identities", _TEXTS, False),
        ("participant_identity", _TEXT, False),
    ),
    "rpc": (
        ("id", _TEXT, True),
        ("method", _TEXT, True),
        ("payload", _TEXT, True),
        ("destination_identity", _TEXT, False),
        ("caller_identity", _TEXT, False),
        ("response_timeout_ms", _INT, False),
    ),
    "rpc_result": (("id", _TEXT, True), ("payload", _TEXT, False), ("error", _ERROR, False)),
    "transcription": (
        ("id", _TEXT, True),
        ("text", _TEXT, True),
        ("final", _BOOL, True),
        ("participant_identity", _TEXT, False),
    ),
    "tool": (("name", _TEXT, True), ("description", _TEXT, True), ("parameters", _OBJECT, True)),
    "config": (("values", _OBJECT, True),),
    "token": (("token", _TEXT, True),),
    "stats": (("values", _NUMBERS, True),),
    "ping": (("id", _INT, True),),
    "pong": (("id", _INT, True),),
    "leave": (("action", _TEXT, True), ("reason", _TEXT, True), ("message", _TEXT, False)),
}


class MessageError(WireError):
    """A message is not JSON, too long, or a field is missing or of the wrong kind."""


def encode(message: dict) -> str:
    """Return the message as JSON text. Raises MessageError on an unknown type, or a field unlike the table."""
    if message.get("t") not in _FIELDS:
        raise MessageError("type %r is unknown; choose one of %s" % (message.get("t"), ", ".join(sorted(_FIELDS))))
    _checked(message, _FIELDS[message["t"]], message["t"])
    text = json.dumps(message)
    _check_length(text)
    return text


def parse(text: str) -> dict | None:
    """Return the message with its known fields, or None if its type is unknown to this version.

    Raises MessageError when it is longer than MAX_MESSAGE_BYTES, not a JSON object, or a field is unlike the table.
    """
    _check_length(text)
    try:
        message = json.loads(text)
    except (ValueError, RuntimeError, TypeError) as error:  # RuntimeError: nested too deep; TypeError: a list as key
        raise MessageError("the message is not JSON: %s" % error)
    if not isinstance(message, dict) or not isinstance(message.get("t"), str):
        raise MessageError("a message is a JSON object with its type in `t`")
    if message["t"] not in _FIELDS:
        return None
    known = _checked(message, _FIELDS[message["t"]], message["t"])
    known["t"] = message["t"]
    return known


def key_text(key: bytes) -> str:
    """Return 30 bytes of key material as it stands in a welcome."""
    return binascii.b2a_base64(key).decode().strip()


def key_bytes(text: str) -> bytes:
    """Return the 30 bytes behind a key of a parsed welcome."""
    return binascii.a2b_base64(text)


def ssrc_text(ssrc: bytes) -> str:
    """Return 4 bytes of SSRC as 8 hex digits."""
    return binascii.hexlify(ssrc).decode()


def ssrc_bytes(text: str) -> bytes:
    """Return the 4 bytes behind an SSRC of a parsed welcome."""
    return binascii.unhexlify(text)


def _check_length(text):
    n_bytes = len(text.encode())
    if n_bytes > MAX_MESSAGE_BYTES:
        raise MessageError("the message has %d bytes; at most %d are allowed" % (n_bytes, MAX_MESSAGE_BYTES))


def _checked(source, fields, path):
    known = {}
    for name, kind, is_required in fields:
        value = source.get(name)
        if value is None:
            if is_required:
                raise MessageError("%s.%s is missing" % (path, name))
        elif isinstance(kind, tuple):
            if not isinstance(value, dict):
                raise MessageError("%s.%s is %s; an object is needed" % (path, name, _kind_of(value)))
            known[name] = _checked(value, kind, path + "." + name)
        else:
            if not _is_of_kind(value, kind):
                raise MessageError("%s.%s is %s; needed is %s" % (path, name, _kind_of(value), _KIND_NAMES[kind]))
            known[name] = value
    return known


def _kind_of(value):
    """Names the type only: the value may be a key, a token, or long."""
    return "not valid text" if isinstance(value, str) else "a " + type(value).__name__


def _is_of_kind(value, kind):
    if kind == _INT:
        return _is_u32(value)
    if kind == _BOOL:
        return isinstance(value, bool)
    if kind == _TEXT:
        return isinstance(value, str)
    if kind == _TEXTS:
        return isinstance(value, list) and len(value) <= _MAX_TEXTS and all(isinstance(item, str) for item in value)
    if kind == _SSRC:
        return _is_decoded(value, binascii.unhexlify, _SSRC_BYTES)
    if kind == _KEY:
        return _is_decoded(value, binascii.a2b_base64, _KEY_BYTES)
    if not isinstance(value, dict):
        return False
    if kind == _NUMBERS:
        return all(isinstance(key, str) and _is_u32(item) for key, item in value.items())
    if kind == _TEXT_MAP:
        return all(isinstance(key, str) and isinstance(item, str) for key, item in value.items())
    return True


def _is_u32(value):
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 32


def _is_decoded(value, decode, n_bytes):
    if not isinstance(value, str):
        return False
    try:
        return len(decode(value.encode())) == n_bytes
    except ValueError:
        return False
