"""wire.websocket: the handshake of RFC 6455 section 4, and every way a server can decline it."""

from portable import N_EXAMPLES, Noise, raised

from pressroom.wire.errors import WireError
from pressroom.wire.websocket import BadRequest, BadResponse, Handshake, Redirected, UpgradeRefused

# RFC 6455 section 1.3
NONCE = b"the sample nonce"
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

GOOD = (
    b"HTTP/1.1 101 Switching Protocols\r\n"
    b"Upgrade: websocket\r\n"
    b"Connection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\n"
    b"\r\n"
)


def handshake():
    return Handshake("192.0.2.1:8443", "/device", NONCE, "a.device.token")


def answered(answer, step=None):
    """Give the answer, step bytes at a time; return the Handshake and how much it took."""
    shake = handshake()
    start = 0
    while start < len(answer) and not shake.is_open:
        end = len(answer) if step is None else min(start + step, len(answer))
        start = shake.read(answer, start, end)
        assert start <= end
    return shake, start


def refused(error, answer):
    for step in (None, 1, 7):
        caught = raised(error, answered, answer, step)
    return caught


def test_the_request_asks_for_a_websocket_with_the_token():
    lines = handshake().request().split(b"\r\n")
    assert lines[0] == b"GET /device HTTP/1.1"
    assert lines[-2:] == [b"", b""]
    assert sorted(lines[1:-2]) == [
        b"Authorization: Bearer a.device.token",
        b"Connection: Upgrade",
        b"Host: 192.0.2.1:8443",
        b"Sec-WebSocket-Key: " + KEY,
        b"Sec-WebSocket-Version: 13",
        b"Upgrade: websocket",
    ]


def test_the_answer_of_the_rfc_opens_it():
    for step in (None, 1, 7):
        shake, start = answered(GOOD, step)
        assert shake.is_open
        assert start == len(GOOD)


def test_frames_behind_the_answer_are_left_for_the_reader():
    shake, start = answered(GOOD + b"\x81\x02hi")
    assert shake.is_open
    assert start == len(GOOD)


def test_names_of_fields_have_no_case_and_values_no_spaces_around():
    answer = GOOD.replace(b"Upgrade: websocket", b"UPGRADE:WebSocket  ").replace(
        b"Connection: Upgrade", b"connection: keep-alive,  upgrade"
    )
    assert answered(answer)[0].is_open


def test_an_answer_to_another_key_is_refused():
    assert "Accept" in str(refused(BadResponse, GOOD.replace(ACCEPT, b"kfBSPLMBiTxaQ9kYGzzhZRbK+xO=")))
    assert "Accept" in str(refused(BadResponse, GOOD.replace(b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\n", b"")))


def test_another_upgrade_is_refused():
    refused(BadResponse, GOOD.replace(b"Upgrade: websocket", b"Upgrade: h2c"))
    refused(BadResponse, GOOD.replace(b"Connection: Upgrade", b"Connection: close"))


def test_an_extension_nobody_offered_is_refused():
    field = b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
    refused(BadResponse, GOOD[:-2] + field)


def test_a_wrong_token_names_status_and_reason():
    body = b'{"reason": "TOKEN_REVOKED", "message": "ask for a new one"}'
    for status in (b"401 Unauthorized", b"403 Forbidden"):
        head = b"HTTP/1.1 " + status + b"\r\nContent-Length: %d\r\n\r\n" % len(body)
        error = refused(UpgradeRefused, head + body + b"not of the body")
        assert error.status == int(status[:3])
        assert error.body == body.decode()
        assert "TOKEN_REVOKED" in str(error)


def test_a_redirect_names_its_target():
    error = refused(Redirected, b"HTTP/1.1 307 Temporary Redirect\r\nLocation: wss://192.0.2.2/device\r\n\r\n")
    assert error.status == 307
    assert error.location == "wss://192.0.2.2/device"


def test_only_a_redirect_redirects():
    for status in (b"201 Created", b"299 Odd", b"400 Bad", b"503 Busy"):
        head = b"HTTP/1.1 " + status + b"\r\nLocation: wss://192.0.2.2/device\r\n\r\n"
        assert not isinstance(refused(UpgradeRefused, head), Redirected)
    for status in (b"300 Many", b"399 Odd"):
        refused(Redirected, b"HTTP/1.1 " + status + b"\r\nLocation: wss://192.0.2.2/device\r\n\r\n")
    assert not isinstance(refused(UpgradeRefused, b"HTTP/1.1 302 Found\r\n\r\n"), Redirected)


def test_any_other_status_is_refused():
    for status in (b"200 OK", b"404 Not Found", b"426 Upgrade Required", b"503 Service Unavailable"):
        error = refused(UpgradeRefused, b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")
        assert error.status == int(status[:3])
        assert not isinstance(error, Redirected)


def test_a_long_body_is_cut_and_a_promised_one_not_waited_for_after_the_end():
    head = b"HTTP/1.1 500 Oh\r\nContent-Length: 99999999999999999999\r\n\r\n"
    assert refused(UpgradeRefused, head + b"x" * 1024).body == "x" * 1024
    shake, _ = answered(head + b"half")
    error = raised(UpgradeRefused, shake.closed)
    assert error.body == "half"


def test_a_body_that_nobody_can_read_does_no_harm():
    body = b"\x00\xff\x1b[2J\r\n ~\x7f"
    error = refused(UpgradeRefused, b"HTTP/1.1 500 Oh\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    assert error.body == "???[2J?? ~?"


def test_what_is_no_http_is_refused():
    for answer in (
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 1\r\n\r\n",
    ):
        refused(BadResponse, answer)
    assert "colon" in str(refused(BadResponse, GOOD[:-2] + b"nonsense\r\n\r\n"))


def test_a_head_without_end_is_refused():
    assert "2048" in str(refused(BadResponse, b"HTTP/1.1 101 " + b"x" * 4000))


def test_a_connection_closed_without_an_answer_is_refused():
    raised(BadResponse, handshake().closed)
    shake, _ = answered(GOOD[:20])
    raised(BadResponse, shake.closed)


def test_nothing_can_be_slipped_into_the_request():
    for name, host, path, token in (
        ("host", "a\r\nX: y", "/", "t"),
        ("path", "a", "/ HTTP/1.1\r\n", "t"),
        ("token", "a", "/", "t\n"),
        ("token", "a", "/", "\xe9"),
    ):
        assert "the %s has" % name in str(raised(BadRequest, Handshake, host, path, NONCE, token))


def test_any_answer_opens_it_or_raises_a_named_error():
    noise = Noise(5)
    for i in range(N_EXAMPLES):
        answer = noise.octets(noise.below(60)) if i % 3 == 0 else noise.mutated(GOOD)
        try:
            shake, start = answered(answer)
        except WireError:
            continue
        assert start <= len(answer)
        assert not shake.is_open or ACCEPT in answer
