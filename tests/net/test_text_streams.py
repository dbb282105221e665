"""Text streams put together again: in order or not, compressed or not, and never more than is kept."""

import random
import zlib

import pytest
from livekit.protocol import models

from pressroom_host.livekit_client.text import CHUNK_BYTES, Text, TextStreams, text_packets

DEFLATE = models.DataStream.CompressionType.DEFLATE_RAW


def packets(text: str, identity: str = "alice", **attributes: str) -> list[models.DataPacket]:
    made = text_packets(text, "notes", ["bob"], attributes)
    for packet in made:
        packet.participant_identity = identity
    return made


def put(streams: TextStreams, sent: list[models.DataPacket]) -> list[Text]:
    return [text for packet in sent if (text := streams.packet_came(packet)) is not None]


def deflated(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


@pytest.mark.parametrize("text", ["", "short", "grüße " * 8_000])
def test_a_text_comes_out_as_it_went_in(text):
    sent = packets(text, a="1")
    (whole,) = put(TextStreams(), sent)
    assert (whole.text, whole.topic, whole.sender_identity, whole.attributes) == (text, "notes", "alice", {"a": "1"})
    assert all(list(packet.destination_identities) == ["bob"] for packet in sent)


def test_no_chunk_cuts_a_character_and_none_is_too_long():
    chunks = [packet.stream_chunk.content for packet in packets("ü€😀" * 9_000)[1:-1]]
    assert len(chunks) > 3
    for chunk in chunks:
        chunk.decode()
        assert len(chunk) <= CHUNK_BYTES


def test_chunks_may_come_in_any_order_and_twice():
    header, *chunks, trailer = packets("x" * 50_000)
    random.Random(1).shuffle(chunks)
    (whole,) = put(TextStreams(), [header, *chunks, chunks[0], trailer])
    assert whole.text == "x" * 50_000


def test_a_text_with_a_hole_is_dropped():
    header, *chunks, trailer = packets("x" * 50_000)
    streams = TextStreams()
    assert put(streams, [header, *chunks[:-2], chunks[-1], trailer]) == []
    assert streams.n_dropped == 1


def test_the_trailer_may_bring_attributes():
    *before, trailer = packets("hello", final="false")
    trailer.stream_trailer.attributes["final"] = "true"
    (whole,) = put(TextStreams(), [*before, trailer])
    assert whole.attributes == {"final": "true"}


@pytest.mark.parametrize("is_compressed", [False, True])
def test_a_text_may_be_all_in_its_header(is_compressed):
    (header, *_) = packets("ignored")
    content = "grüße".encode()
    header.stream_header.inline_content = deflated(content) if is_compressed else content
    header.stream_header.compression = DEFLATE if is_compressed else 0
    (whole,) = put(TextStreams(), [header])
    assert whole.text == "grüße"


def test_a_bomb_and_what_is_no_text_are_dropped():
    streams = TextStreams()
    for content, compression in ((deflated(bytes(40_000_000)), DEFLATE), (b"\xff\xfe", 0), (b"\xff" * 9, DEFLATE)):
        (header, *_) = packets("ignored")
        header.stream_header.inline_content = content
        header.stream_header.compression = compression
        assert put(streams, [header]) == []
    assert streams.n_dropped == 3


def test_streams_that_are_never_finished_give_way():
    streams = TextStreams()
    for _ in range(100):
        put(streams, packets("x" * 20_000)[:-1])
    assert len(streams._streams) == 32
    assert streams.n_dropped == 68


def test_a_stream_that_grows_too_long_is_dropped():
    header, chunk, trailer = packets("x" * 15_000)
    streams = TextStreams()
    put(streams, [header])
    for index in range(100):
        chunk.stream_chunk.chunk_index = index
        put(streams, [chunk])
    assert put(streams, [trailer]) == []
    assert streams.n_dropped == 1


def test_one_that_leaves_takes_its_unfinished_texts_along():
    streams = TextStreams()
    put(streams, packets("x" * 20_000)[:-1])
    streams.left("alice")
    assert streams._streams == {}


def test_byte_streams_and_other_packets_are_none_of_ours():
    header = models.DataStream.Header(stream_id="s", byte_header=models.DataStream.ByteHeader(name="file"))
    streams = TextStreams()
    assert put(streams, [models.DataPacket(stream_header=header), models.DataPacket(user=models.UserPacket())]) == []
    assert streams._streams == {}
