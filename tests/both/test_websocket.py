"""wire.websocket: frames in and out (RFC 6455 section 5), also in pieces and also wrong ones."""

from portable import N_EXAMPLES, Noise, raised

from pressroom.wire import websocket
from pressroom.wire.errors import WireError
from pressroom.wire.websocket import (
    BINARY,
    CLOSE,
    NOTHING,
    PING,
    PONG,
    TEXT,
    BadText,
    FrameError,
    MessageTooLong,
    Reader,
)

HELLO = b"\x81\x05Hello"  # RFC 6455 section 5.7
HELLO_IN_TWO = b"\x01\x03Hel\x80\x02lo"
PING_HELLO = b"\x89\x05Hello"
BINARY_256 = b"\x82\x7e\x01\x00" + bytes(256)
CLOSE_NORMAL = b"\x88\x05\x03\xe8bye"


def messages(octets, step=None, max_message_bytes=2048):
    """Every (opcode, payload) in octets, given step bytes at a time."""
    reader = Reader(max_message_bytes)
    found = []
    start = 0
    while start < len(octets):
        start = reader.read(octets, start, len(octets) if step is None else min(start + step, len(octets)))
        if reader.opcode != NOTHING:
            found.append((reader.opcode, bytes(reader.message)))
    return found


def refused(error, octets, max_message_bytes=2048):
    for step in (None, 1):
        caught = raised(error, messages, octets, step, max_message_bytes)
    return caught


def test_the_examples_of_the_rfc_are_read_whole_and_in_pieces():
    octets = HELLO + HELLO_IN_TWO + PING_HELLO + BINARY_256 + CLOSE_NORMAL
    for step in (None, 1, 2, 3, 100):
        assert messages(octets, step) == [
            (TEXT, b"Hello"),
            (TEXT, b"Hello"),
            (PING, b"Hello"),
            (BINARY, bytes(256)),
            (CLOSE, b"\x03\xe8bye"),
        ]


def test_a_ping_between_fragments_disturbs_nothing():
    octets = b"\x01\x03Hel" + PING_HELLO + b"\x8a\x00" + b"\x00\x00" + b"\x80\x02lo"
    assert messages(octets) == [(PING, b"Hello"), (PONG, b""), (TEXT, b"Hello")]


def test_empty_messages_are_messages():
    assert messages(b"\x81\x00\x82\x00") == [(TEXT, b""), (BINARY, b"")]


def test_a_text_is_utf_8():
    reader = Reader(100)
    reader.read(b"\x81\x03\xe2\x82\xac", 0, 5)
    assert reader.text() == "\u20ac"
    reader.read(b"\x81\x02\xc3\x28", 0, 4)
    error = raised(BadText, reader.text)
    assert error.close_code == 1007


def test_a_close_tells_its_code_and_reason():
    reader = Reader(100)
    reader.read(CLOSE_NORMAL, 0, len(CLOSE_NORMAL))
    assert (reader.close_code(), reader.close_reason()) == (1000, "bye")
    reader.read(b"\x88\x00", 0, 2)
    assert (reader.close_code(), reader.close_reason()) == (1005, "")


def test_half_a_close_code_is_refused():
    assert refused(FrameError, b"\x88\x01\x03").close_code == 1002


def test_a_masked_frame_from_a_server_is_refused():
    assert "masked" in str(refused(FrameError, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"))


def test_reserved_bits_and_opcodes_are_refused():
    for bits in (0x40, 0x20, 0x10):
        refused(FrameError, bytes((0x81 | bits, 0)))
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        refused(FrameError, bytes((0x80 | opcode, 0)))


def test_control_frames_are_whole_and_short():
    refused(FrameError, b"\x09\x00")
    refused(FrameError, b"\x89\x7e\x00\x7e" + bytes(126))
    assert messages(b"\x89\x7d" + bytes(125)) == [(PING, bytes(125))]


def test_fragments_out_of_order_are_refused():
    refused(FrameError, b"\x80\x02lo")
    refused(FrameError, b"\x01\x03Hel\x81\x02lo")
    refused(FrameError, HELLO_IN_TWO + b"\x80\x00")


def test_a_length_written_too_long_is_refused():
    refused(FrameError, b"\x82\x7e\x00\x7d" + bytes(125))
    assert messages(b"\x82\x7e\x00\x7e" + bytes(126)) == [(BINARY, bytes(126))]


def test_a_message_longer_than_agreed_is_refused_before_it_comes():
    assert messages(b"\x82\x7e\x08\x00" + bytes(2048)) == [(BINARY, bytes(2048))]
    error = refused(MessageTooLong, b"\x82\x7e\x08\x01")
    assert error.close_code == 1009
    refused(MessageTooLong, b"\x82\x7f" + bytes(8))
    refused(MessageTooLong, b"\x01\x03Hel\x80\x03lo!", max_message_bytes=5)
    refused(MessageTooLong, b"\x81\x06Hello!", max_message_bytes=5)


def test_a_control_frame_does_not_count_as_message():
    assert messages(b"\x89\x7d" + bytes(125), max_message_bytes=5) == [(PING, bytes(125))]


def written(write, *arguments):
    buf = bytearray(b"\xff" * 700)
    return bytes(buf[: write(buf, *arguments)])


def test_a_text_is_written_masked_with_zero():
    assert written(websocket.write_text_into, b"Hello", 5) == b"\x81\x85\x00\x00\x00\x00Hello"


def test_a_long_frame_has_a_length_of_two_bytes():
    assert written(websocket.write_text_into, bytes(125), 125)[:6] == b"\x81\xfd\x00\x00\x00\x00"
    assert written(websocket.write_text_into, bytes(0x203), 0x203)[:8] == b"\x81\xfe\x02\x03\x00\x00\x00\x00"
    assert written(websocket.write_text_into, bytes(126), 126) == b"\x81\xfe\x00\x7e\x00\x00\x00\x00" + bytes(126)


def test_a_binary_frame_begins_with_its_kind():
    packet = bytearray(range(200))
    frame = written(websocket.write_binary_into, websocket.KIND_MEDIA, packet, 40)
    assert frame == b"\x82\xa9\x00\x00\x00\x00\x01" + bytes(range(40))


def test_a_pong_says_back_what_the_ping_said():
    reader = Reader(100)
    reader.read(PING_HELLO, 0, len(PING_HELLO))
    assert written(websocket.write_pong_into, reader.message) == b"\x8a\x85\x00\x00\x00\x00Hello"


def test_a_close_carries_its_code():
    assert written(websocket.write_close_into, websocket.CLOSE_NORMAL) == b"\x88\x82\x00\x00\x00\x00\x03\xe8"


def test_a_frame_fits_its_buffer_or_is_refused():
    n_bytes = 200
    buf = bytearray(n_bytes + websocket.FRAME_OVERHEAD_BYTES)
    assert websocket.write_binary_into(buf, 1, bytes(n_bytes), n_bytes) == len(buf)
    raised(MessageTooLong, websocket.write_binary_into, buf, 1, bytes(n_bytes + 1), n_bytes + 1)
    raised(MessageTooLong, websocket.write_text_into, bytearray(70_000), bytes(65_536), 65_536)
    assert len(buf) == n_bytes + websocket.FRAME_OVERHEAD_BYTES


def test_any_input_gives_messages_or_a_named_error():
    noise = Noise(6)
    octets = HELLO + b"\x01\x03Hel" + PING_HELLO + b"\x80\x02lo" + BINARY_256 + CLOSE_NORMAL
    n_messages = 0
    for i in range(N_EXAMPLES):
        given = noise.octets(noise.below(40)) if i % 3 == 0 else noise.mutated(octets)
        try:
            found = messages(given, 1 + noise.below(300))
        except WireError:
            continue
        n_messages += len(found)
        assert sum(len(payload) for _, payload in found) <= len(given)
    assert n_messages > N_EXAMPLES // 2
