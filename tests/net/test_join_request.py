"""The join_request parameter: a real one, its layers broken one by one, and bombs."""

import base64
import gzip
import time

import pytest
from hypothesis import given
from livekit.protocol import rtc
from tests.net.mutations import captures, fuzz, hostile, hostile_text

from pressroom_host.room.join_request import JoinRequestError, parse_join_request

REAL = captures("signalling", "join_request.txt")
GZIP = rtc.WrappedJoinRequest.Compression.GZIP


def wrapped(body: bytes, compression: int = GZIP) -> str:
    message = rtc.WrappedJoinRequest(compression=compression, join_request=body)
    return base64.urlsafe_b64encode(message.SerializeToString()).decode()


def test_the_request_of_the_official_client_is_read():
    request = parse_join_request(REAL[0].decode())
    assert request.connection_settings.auto_subscribe
    assert request.publisher_offer.sdp.startswith("v=0")


def test_a_request_may_come_uncompressed_and_without_padding():
    request = rtc.JoinRequest(metadata="m").SerializeToString()
    assert parse_join_request(wrapped(request, 0).rstrip("=")).metadata == "m"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "0 characters"),
        ("A" * 70_000, "70000 characters"),
        ("&&&&", "join_request"),
        (base64.urlsafe_b64encode(b"\xff" * 9).decode(), "protobuf"),
        (wrapped(b"not gzip"), "gzip"),
        # Without the time of day, which would be in the name of the test, and each worker has its own.
        (wrapped(gzip.compress(b"\xff" * 9, mtime=0)), "protobuf"),
        (wrapped(gzip.compress(b"x" * 1_000, mtime=0)[:-12]), "truncated"),
    ],
)
def test_the_broken_layer_is_named(text, what):
    with pytest.raises(JoinRequestError, match=what):
        parse_join_request(text)


def test_a_gzip_bomb_is_refused_at_once():
    bomb = wrapped(gzip.compress(bytes(40_000_000)))
    started_s = time.process_time()
    with pytest.raises(JoinRequestError, match="more than"):
        parse_join_request(bomb)
    assert time.process_time() - started_s < 0.1


@fuzz
@given(text=hostile_text(REAL))
def test_hostile_text_is_a_join_request_error_or_a_request(text):
    try:
        parse_join_request(text)
    except JoinRequestError:
        return


@fuzz
@given(body=hostile([parse_join_request(REAL[0].decode()).SerializeToString()]))
def test_a_hostile_protobuf_inside_good_layers_is_a_join_request_error_or_a_request(body):
    try:
        parse_join_request(wrapped(gzip.compress(body, compresslevel=1)))
    except JoinRequestError:
        return
