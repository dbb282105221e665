"""The join_request parameter of /rtc/v1: base64 of a protobuf that holds another, usually gzipped. No I/O.

Source: LiveKit protocol, livekit_rtc.proto, WrappedJoinRequest.
"""

import base64
import binascii
import zlib

from google.protobuf.message import DecodeError
from livekit.protocol import rtc

MAX_TEXT_BYTES = 65_536
_MAX_REQUEST_BYTES = 262_144  # decompressed; a browser's first offer is some 20,000
_GZIP = 16 + zlib.MAX_WBITS


class JoinRequestError(ValueError):
    """Not a join_request; the text says at which layer."""


def parse_join_request(text: str) -> rtc.JoinRequest:
    """Return the request. Raises JoinRequestError; never keeps more than the bounds above."""
    if not 0 < len(text) <= MAX_TEXT_BYTES:
        raise JoinRequestError(f"join_request: {len(text)} characters, expected 1 to {MAX_TEXT_BYTES}")
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        wrapped = rtc.WrappedJoinRequest.FromString(raw)
        is_gzip = wrapped.compression == rtc.WrappedJoinRequest.Compression.GZIP
        body = _gunzip(wrapped.join_request) if is_gzip else wrapped.join_request
        return rtc.JoinRequest.FromString(body)
    except (binascii.Error, ValueError) as error:
        raise JoinRequestError(f"join_request: {error}") from None
    except zlib.error:
        raise JoinRequestError("join_request: its gzip part is damaged") from None
    except DecodeError:
        raise JoinRequestError("join_request: not the expected protobuf") from None


def _gunzip(data: bytes) -> bytes:
    inflater = zlib.decompressobj(_GZIP)
    body = inflater.decompress(data, _MAX_REQUEST_BYTES)
    if not inflater.eof:
        raise JoinRequestError(f"join_request: truncated, or more than {_MAX_REQUEST_BYTES} bytes")
    return body
