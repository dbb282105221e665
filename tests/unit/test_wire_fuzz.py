"""Every parser of `pressroom.wire`, given random and mutated input: a result within bounds, or a named error.

By hypothesis; tests/both does the same with a seeded generator, where there is none.
"""

import json
import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pressroom.wire import opus_packet, rtp
from pressroom.wire.errors import WireError
from pressroom.wire.jitter import JitterBuffer
from pressroom.wire.srtp import SrtpIn, SrtpOut
from pressroom.wire.websocket import CLOSE, NOTHING, TEXT, Handshake, Reader

N_EXAMPLES = 100_000 if os.environ.get("PRESSROOM_LONG") == "1" else 1_000
fuzz = settings(max_examples=N_EXAMPLES, deadline=1_000)
pytestmark = pytest.mark.timeout(1_200)

VECTORS = Path(__file__).parents[1] / "vectors"
VECTOR = json.loads((VECTORS / "srtp.json").read_text())["packet"]
KEY = bytes.fromhex(VECTOR["master_key"])
SRTP_PACKET = bytes.fromhex(VECTOR["srtp"])
RTP_PACKETS = [
    bytes.fromhex(VECTOR["rtp"]),
    b"\xb3\xe0\x12\x34" + bytes(20) + b"\xbe\xde\x00\x02" + bytes(48) + b"\x04",
]
RTP_PACKETS += [path.read_bytes() for path in sorted((VECTORS / "srtp").glob("rtp-*.bin"))]
FRAMES = b"\x81\x05Hello\x01\x03Hel\x89\x05Hello\x80\x02lo\x82\x7e\x01\x00" + bytes(256) + b"\x88\x05\x03\xe8bye"
ANSWER = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
REFUSAL = b'HTTP/1.1 403 Forbidden\r\nContent-Length: 22\r\n\r\n{"reason": "REVOKED"}\r\n'
OPUS_PACKET = bytes((0xFB, 0xC4, 9, 5, 252, 1, 7)) + bytes(300)


def mutated(*originals: bytes) -> st.SearchStrategy[bytes]:
    """One of originals, cut short, continued, and with some of its bytes changed."""

    def change(original: bytes, edits: list[tuple[int, int]], n_kept: int, more: bytes) -> bytes:
        octets = bytearray(original)
        for at, value in edits:
            octets[at % len(octets)] = value
        return bytes(octets[: n_kept % (len(octets) + 1)] if n_kept else octets) + more

    return st.builds(
        change,
        st.sampled_from(originals),
        st.lists(st.tuples(st.integers(0, 4_000), st.integers(0, 255)), max_size=4),
        st.integers(0, 4_000),
        st.binary(max_size=40),
    )


def any_of(*originals: bytes) -> st.SearchStrategy[bytes]:
    return st.binary(max_size=100) | mutated(*originals)


@fuzz
@given(any_of(*RTP_PACKETS))
@example(b"\xa0\x60" + bytes(10))
def test_rtp(octets: bytes) -> None:
    start, end = rtp.payload_start(octets, len(octets)), rtp.payload_end(octets, len(octets))
    assert start == -1 or 12 <= start <= len(octets)
    assert end == -1 or start <= end <= len(octets)


@fuzz
@given(any_of(SRTP_PACKET, *RTP_PACKETS))
def test_srtp(octets: bytes) -> None:
    srtp_in = SrtpIn(KEY)
    packet = bytearray(octets)
    n_bytes = srtp_in.unprotect_in_place(packet, len(packet))
    assert len(packet) == len(octets)
    if octets == SRTP_PACKET:
        assert packet[:n_bytes].hex().upper() == VECTOR["rtp"]
    else:
        assert n_bytes == 0
        assert srtp_in.n_malformed + srtp_in.n_tag_failures + srtp_in.n_replayed == 1


@fuzz
@given(any_of(*RTP_PACKETS))
def test_what_srtp_protects_it_opens(octets: bytes) -> None:
    packet = bytearray(octets) + bytes(10)
    try:
        n_bytes = SrtpOut(KEY).protect_in_place(packet, len(octets))
    except WireError:
        assert rtp.payload_start(octets, len(octets)) == -1
        return
    assert SrtpIn(KEY).unprotect_in_place(packet, n_bytes) == len(octets)
    assert packet[:-10] == octets


@fuzz
@given(any_of(FRAMES), st.integers(1, 300), st.sampled_from((0, 5, 300, 65_535)))
def test_websocket_frames(octets: bytes, step: int, max_message_bytes: int) -> None:
    reader = Reader(max_message_bytes)
    start = n_message_bytes = 0
    with suppress(WireError):
        while start < len(octets):
            before = start
            start = reader.read(octets, start, min(start + step, len(octets)))
            assert before < start <= len(octets)
            if reader.opcode == NOTHING:
                continue
            n_message_bytes += len(reader.message)
            assert len(reader.message) <= max(max_message_bytes, 125)
            if reader.opcode == TEXT:
                reader.text()
            elif reader.opcode == CLOSE:
                assert 0 <= reader.close_code() <= 65_535
                reader.close_reason()
    assert n_message_bytes <= len(octets)


@fuzz
@given(any_of(ANSWER, REFUSAL), st.integers(1, 300))
@example(b"HTTP/1.1 500 Oh\r\nContent-Length: " + b"9" * 1_500 + b"\r\n\r\n", 300)
def test_websocket_handshake(octets: bytes, step: int) -> None:
    handshake = Handshake("192.0.2.1", "/device", b"the sample nonce", "token")
    start = 0
    with suppress(WireError):
        while start < len(octets) and not handshake.is_open:
            before = start
            start = handshake.read(octets, start, min(start + step, len(octets)))
            assert before < start <= len(octets)
    if not handshake.is_open:
        with pytest.raises(WireError) as caught:
            handshake.closed()
        assert len(str(caught.value)) < 2_000


@fuzz
@given(any_of(OPUS_PACKET))
def test_opus_packets(octets: bytes) -> None:
    try:
        frames = opus_packet.parse_packet(octets)
    except opus_packet.OpusPacketError:
        return
    assert 1 <= len(frames) == opus_packet.n_frames(octets, 0, len(octets)) <= 48
    assert sum(n_bytes for _, n_bytes in frames) < len(octets)


@fuzz
@given(
    st.lists(
        st.tuples(
            st.sampled_from(("put", "put", "take", "take", "skip", "flush")),
            st.integers(-40, 40) | st.integers(-65_536, 65_536),
            st.integers(-1, 700),
            st.booleans(),
        ),
        max_size=60,
    )
)
def test_jitter(calls: list[tuple[str, int, int, bool]]) -> None:
    buffer = JitterBuffer(16, 640)
    packet, frame = bytearray(800), bytearray(640)
    n_played = 0
    for now_ms, (call, number, n_bytes, is_marked) in enumerate(calls):
        seq = number & 0xFFFF
        if call == "put":
            buffer.put(seq, packet, 12, n_bytes, is_marked, now_ms * 10)
        elif call == "take":
            n_played += buffer.take_into(frame, now_ms * 10) > 0
        elif call == "skip":
            buffer.skip(seq)
        else:
            buffer.flush()
        assert 0 <= buffer.depth_frames <= 16
    buffer.flush()
    n_gone = buffer.n_late + buffer.n_duplicate + buffer.n_overflow + buffer.n_dropped + buffer.n_flushed
    assert buffer.n_received == n_played + n_gone
