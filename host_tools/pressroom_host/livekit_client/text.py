"""Text streams: a header, chunks, a trailer, each a DataPacket; or all of it in the header. No I/O.

The second generation of clients, which sends the short ones in the header and compresses, does so also where it has
not yet heard of a participant that does not ask for it.

Source: LiveKit documentation, "Text streams"; livekit_models.proto, DataStream.
"""

import secrets
import time
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from livekit.protocol import models

CHUNK_BYTES = 15_000  # what the official clients send
_MAX_STREAMS = 32
_MAX_STREAM_BYTES = 2**20
_UTF8_CONTINUES = 0x80
_DEFLATE = models.DataStream.CompressionType.DEFLATE_RAW
_RAW = -zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class Text:
    """A whole text stream."""

    text: str
    topic: str
    sender_identity: str
    stream_id: str
    attributes: dict[str, str]


@dataclass(slots=True)
class _Stream:
    header: models.DataStream.Header
    sender_identity: str
    chunks: dict[int, bytes] = field(default_factory=dict)
    n_bytes: int = 0


class TextStreams:
    """Puts the streams that come together again. Bounded: the oldest unfinished one is dropped for a new one."""

    def __init__(self) -> None:
        self.n_dropped = 0  # streams: too long, never finished, not text
        self._streams: dict[str, _Stream] = {}

    def packet_came(self, packet: models.DataPacket) -> Text | None:
        """Take a packet of any kind; return the text it completes."""
        kind = packet.WhichOneof("value")
        if kind == "stream_header":
            return self._begin(packet.stream_header, packet.participant_identity)
        if kind == "stream_chunk":
            self._continue(packet.stream_chunk)
        elif kind == "stream_trailer":
            return self._end(packet.stream_trailer)
        return None

    def left(self, identity: str) -> None:
        """Somebody left: what it has not finished it will not finish."""
        for stream_id in [key for key, stream in self._streams.items() if stream.sender_identity == identity]:
            self._drop(stream_id)

    def _begin(self, header: models.DataStream.Header, identity: str) -> Text | None:
        if header.WhichOneof("content_header") != "text_header":
            return None  # a byte stream is none of ours
        if header.inline_content:
            return self._whole(_Stream(header, identity), header.inline_content)
        if header.total_length > _MAX_STREAM_BYTES or header.stream_id in self._streams:
            self.n_dropped += 1
            return None
        if len(self._streams) == _MAX_STREAMS:
            self._drop(next(iter(self._streams)))
        self._streams[header.stream_id] = _Stream(header, identity)
        return None

    def _continue(self, chunk: models.DataStream.Chunk) -> None:
        stream = self._streams.get(chunk.stream_id)
        if stream is None:
            return
        stream.n_bytes += len(chunk.content) - len(stream.chunks.get(chunk.chunk_index, b""))
        stream.chunks[chunk.chunk_index] = chunk.content
        if stream.n_bytes > _MAX_STREAM_BYTES or len(stream.chunks) > _MAX_STREAM_BYTES // 64:
            self._drop(chunk.stream_id)

    def _end(self, trailer: models.DataStream.Trailer) -> Text | None:
        stream = self._streams.pop(trailer.stream_id, None)
        if stream is None:
            return None
        stream.header.attributes.update(trailer.attributes)
        if sorted(stream.chunks) != list(range(len(stream.chunks))):
            self.n_dropped += 1
            return None
        return self._whole(stream, b"".join(stream.chunks[index] for index in range(len(stream.chunks))))

    def _whole(self, stream: _Stream, content: bytes) -> Text | None:
        header = stream.header
        try:
            if header.compression == _DEFLATE:
                content = _inflate(content)
            text = content.decode()
        except (zlib.error, ValueError):  # a UnicodeDecodeError is one
            self.n_dropped += 1
            return None
        return Text(text, header.topic, stream.sender_identity, header.stream_id, dict(header.attributes))

    def _drop(self, stream_id: str) -> None:
        del self._streams[stream_id]
        self.n_dropped += 1


def text_packets(
    text: str, topic: str, destination_identities: Iterable[str], attributes: dict[str, str]
) -> list[models.DataPacket]:
    """Return the packets that send a text, in the way that clients of every generation understand."""
    content = text.encode()
    stream_id = secrets.token_hex(8)
    header = models.DataStream.Header(
        stream_id=stream_id,
        timestamp=int(time.time() * 1000),
        topic=topic,
        mime_type="text/plain",
        total_length=len(content),
        attributes=attributes,
        text_header=models.DataStream.TextHeader(operation_type=models.DataStream.OperationType.CREATE),
    )
    destinations = list(destination_identities)
    packets = [models.DataPacket(destination_identities=destinations, stream_header=header)]
    for index, chunk in enumerate(_chunks(content)):
        piece = models.DataStream.Chunk(stream_id=stream_id, chunk_index=index, content=chunk)
        packets.append(models.DataPacket(destination_identities=destinations, stream_chunk=piece))
    trailer = models.DataStream.Trailer(stream_id=stream_id)
    return [*packets, models.DataPacket(destination_identities=destinations, stream_trailer=trailer)]


def _chunks(content: bytes) -> Iterable[bytes]:
    """Cut between characters: some clients decode each chunk by itself."""
    start = 0
    while start < len(content):
        end = min(start + CHUNK_BYTES, len(content))
        while end < len(content) and content[end] & 0xC0 == _UTF8_CONTINUES:
            end -= 1
        yield content[start:end]
        start = end


def _inflate(content: bytes) -> bytes:
    """Raises zlib.error, or ValueError if it is too long or ends early."""
    inflater = zlib.decompressobj(_RAW)
    inflated = inflater.decompress(content, _MAX_STREAM_BYTES)
    if not inflater.eof:
        raise ValueError(f"truncated, or more than {_MAX_STREAM_BYTES} bytes")
    return inflated
