"""wire.messages: what may stand in a message, and what is refused."""

import json

from portable import N_EXAMPLES

from pressroom.wire import messages
from pressroom.wire.messages import MAX_MESSAGE_BYTES, MessageError, encode, parse

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd"  # the bytes 0 to 29
MEDIA = {
    "host": "192.0.2.1",
    "port": 7882,
    "ssrc_up": "0000cafe",
    "ssrc_dn": "ffffffff",
    "key_up": KEY,
    "key_dn": KEY,
    "codec_up": "l16",
    "codec_dn": "l16",
    "dn_len": 662,
}
WELCOME = {
    "t": "welcome",
    "proto": 1,
    "session": "s1",
    "resumed": False,
    "room": "kitchen",
    "identity": "box",
    "media": MEDIA,
}
HELLO = {
    "t": "hello",
    "proto": 1,
    "fw": "0.1.0",
    "board": "devkit",
    "caps": {"up": ["l16"], "dn": ["l16"], "max_message_bytes": 2048, "full_duplex": False},
}
MUTE = {"t": "mute", "muted": True, "rtp_timestamp": 0xFFFFFFFF}
SAMPLES = (
    HELLO,
    WELCOME,
    MUTE,
    {"t": "rpc", "id": "7", "method": "move", "payload": "{}", "destination_identity": "agent"},
    {"t": "rpc_result", "id": "7", "error": {"code": 1400, "message": "no such method"}},
    {"t": "participant", "identity": "a", "sid": "PA_1", "state": "active", "attributes": {"lk.agent.state": "idle"}},
    {"t": "stats", "values": {"n_lost": 3}},
    {"t": "flush"},
)


def refusal(text):
    try:
        parse(text)
    except MessageError as error:
        return str(error)
    raise AssertionError("not refused: " + text[:60])


def changed(message, **fields):
    message = dict(message)
    message.update(fields)
    return json.dumps(message)


def test_what_is_encoded_is_parsed_back():
    for message in SAMPLES:
        assert parse(encode(message)) == message


def test_an_unknown_field_is_ignored():
    assert parse(changed(MUTE, colour="red")) == MUTE


def test_an_unknown_type_is_no_error():
    assert parse('{"t": "dance"}') is None


def test_a_missing_field_is_named():
    assert "rpc.method is missing" in refusal('{"t": "rpc", "id": "7", "payload": ""}')
    assert "hello.caps.dn is missing" in refusal(changed(HELLO, caps={"up": [], "max_message_bytes": 1}))


def test_a_field_of_the_wrong_kind_is_named():
    assert "mute.muted is a int; needed is true or false" in refusal(changed(MUTE, muted=1))
    assert "mute.rtp_timestamp" in refusal(changed(MUTE, rtp_timestamp=-1))
    assert "mute.rtp_timestamp" in refusal(changed(MUTE, rtp_timestamp=1 << 32))
    assert "mute.rtp_timestamp" in refusal(changed(MUTE, rtp_timestamp=1.5))
    assert "mute.rtp_timestamp" in refusal(changed(MUTE, rtp_timestamp=True))


def test_a_refusal_never_repeats_a_key():
    media = dict(MEDIA)
    media["key_up"] = KEY[:-4]
    text = refusal(changed(WELCOME, media=media))
    assert "welcome.media.key_up" in text and KEY[:8] not in text


def test_an_ssrc_has_eight_hex_digits():
    for ssrc in ("cafe", "0000cafx", 7, "00000000cafe"):
        media = dict(MEDIA)
        media["ssrc_up"] = ssrc
        assert "welcome.media.ssrc_up" in refusal(changed(WELCOME, media=media))


def test_what_is_no_json_object_is_refused():
    for text in ("", "x", "[]", "7", "null", '{"t": 7}', '{"t": "mute"', "{}", "[" * 2000, '{"a":' * 400):
        refusal(text)


def test_an_oversized_message_is_refused_both_ways():
    payload = "x" * MAX_MESSAGE_BYTES
    assert "at most 2048" in refusal(json.dumps({"t": "data", "payload": payload}))
    try:
        encode({"t": "data", "payload": payload})
    except MessageError:
        return
    raise AssertionError("encoded")


def test_encode_refuses_what_parse_would():
    for message in ({"t": "dance"}, {"t": "mute"}, {"t": "ping", "id": "7"}):
        try:
            encode(message)
        except MessageError:
            continue
        raise AssertionError(message)


def test_keys_and_ssrcs_turn_into_text_and_back():
    key = bytes(range(30))
    assert messages.key_text(key) == KEY
    assert messages.key_bytes(KEY) == key
    assert messages.ssrc_bytes(messages.ssrc_text(b"\x00\x00\xca\xfe")) == b"\x00\x00\xca\xfe"


def test_mutated_messages_parse_or_raise_their_error():
    state = 12345
    texts = [json.dumps(message) for message in SAMPLES]
    for i in range(N_EXAMPLES):
        state = (state * 1103515 + 12345) & 0x3FFFFFF
        text = texts[i % len(texts)]
        cut = state % len(text)
        mutants = (text[:cut], text[:cut] + chr(32 + state % 95) + text[cut + 1 :], text[:cut] + text[cut + 1 :])
        try:
            parse(mutants[state % 3])
        except MessageError:
            pass
