"""Garbage on the room's UDP port and inside its SCTP: counted, bounded, and without effect on those who behave."""

import asyncio
import time

import pytest
from aiortc.rtcsctptransport import SCTP_DATA_FIRST_FRAG, DataChunk, SackChunk, serialize_packet
from tests.net.mutations import FUZZ_TIMEOUT_S, captures, examples, hostile
from tests.net.peers import DEADLINE_S, raw_client, until

from pressroom_host.webrtc.aiortc_parts import _BoundedSctp
from pressroom_host.webrtc.mux import Mux
from pressroom_host.webrtc.sctp_framing import is_well_framed

pytestmark = pytest.mark.timeout(FUZZ_TIMEOUT_S)

SEEDS = captures("stun") + captures("dtls") + captures("srtp")
SCTP_SEEDS = captures("sctp")


@pytest.fixture(scope="module")
def garbage() -> list[bytes]:
    return examples(hostile(SEEDS))


async def test_garbage_from_strangers_is_dropped_and_a_client_is_still_served(mux: Mux, garbage: list[bytes]):
    async with raw_client(mux) as (client, peer, owner):
        peer.start(client.offer())
        await client.connect()
        for datagram in garbage:
            mux._receive(datagram, ("127.0.0.1", 9))
        assert mux.n_unknown + mux.n_bad_stun == len(garbage)
        assert list(mux._by_address) == [client.address]
        channel = await client.open_channel("_reliable")
        channel.send(b"still here")
        assert await asyncio.wait_for(owner.messages.get(), DEADLINE_S) == ("_reliable", b"still here")


async def test_garbage_from_a_clients_own_address_is_dropped_and_it_is_still_served(mux: Mux, garbage: list[bytes]):
    async with raw_client(mux) as (client, peer, owner):
        peer.start(client.offer())
        await client.connect()
        await asyncio.wait_for(owner.connected.wait(), DEADLINE_S)
        for number, datagram in enumerate(garbage):
            mux._receive(datagram[:2_048], client.address)  # what the socket would read of it
            if number % 100 == 99:
                await asyncio.sleep(0)
        await until(lambda: peer._dtls._datagrams.empty(), "everything has been read")
        channel = await client.open_channel("_reliable")
        channel.send(b"still here")
        assert await asyncio.wait_for(owner.messages.get(), DEADLINE_S) == ("_reliable", b"still here")
        assert owner.lost == []


async def test_unread_dtls_is_bounded(mux: Mux):
    async with raw_client(mux) as (client, peer, _owner):
        await client.check()  # known, but without an offer nobody reads its DTLS
        for _ in range(2_000):
            mux._receive(captures("dtls")[0], client.address)
        assert peer._dtls._datagrams.qsize() == 512
        assert peer._dtls.n_dropped == 2_000 - 512


# Inside DTLS the peer has authenticated itself, and may still be hostile.


async def connected_sctp(client) -> _BoundedSctp:
    await client.connect()
    await client.open_channel("_reliable")
    return client._peer._channels._sctp


def chunk(sctp: _BoundedSctp, tsn: int, flags: int = SCTP_DATA_FIRST_FRAG, stream_id: int = 0, size: int = 10) -> bytes:
    data = DataChunk(flags=flags)
    data.tsn, data.stream_id, data.user_data = tsn % 2**32, stream_id, bytes(size)
    return serialize_packet(5000, 5000, sctp._local_verification_tag, data)


async def test_hostile_sctp_is_counted_and_dropped(mux: Mux):
    async with raw_client(mux) as (client, peer, _owner):
        peer.start(client.offer())
        sctp = await connected_sctp(client)
        for packet in examples(hostile(SCTP_SEEDS)):
            body = packet[12:1_500]
            # A good header, so that the chunks are read at all.
            header = serialize_packet(5000, 5000, sctp._local_verification_tag, _Raw(body))
            started_s = time.process_time()
            await sctp._handle_data(header)
            assert time.process_time() - started_s < 1
        assert len(sctp._inbound_streams) <= 32
        assert len(sctp._sack_misordered) <= 4_096
        assert sum(len(stream.reassembly) for stream in sctp._inbound_streams.values()) <= 32 * 1_025


class _Raw:
    def __init__(self, body: bytes) -> None:
        self._body = body

    def __bytes__(self) -> bytes:
        return self._body


@pytest.mark.parametrize("packet", SCTP_SEEDS)
def test_sctp_of_libwebrtc_is_well_framed(packet):
    assert is_well_framed(packet)


def test_a_parameter_of_length_zero_is_not_followed():
    heartbeat = bytes.fromhex("0400000800010000")
    assert not is_well_framed(bytes(12) + heartbeat)


async def test_a_message_without_an_end_is_not_kept_for_ever(mux: Mux):
    async with raw_client(mux) as (client, peer, _owner):
        peer.start(client.offer())
        sctp = await connected_sctp(client)
        first = sctp._last_received_tsn + 2
        for number in range(3_000):  # a hole before it, so that none of it is ever delivered
            await sctp._handle_data(chunk(sctp, first + number, size=1))
        assert len(sctp._inbound_streams[0].reassembly) <= 1_024


async def test_a_tsn_far_ahead_is_dropped(mux: Mux):
    async with raw_client(mux) as (client, peer, _owner):
        peer.start(client.offer())
        sctp = await connected_sctp(client)
        for number in range(1_000):
            await sctp._handle_data(chunk(sctp, sctp._last_received_tsn + 1_000_000 + 2 * number))
        assert len(sctp._sack_misordered) == 0
        assert sctp.n_malformed == 1_000


async def test_streams_are_bounded(mux: Mux):
    async with raw_client(mux) as (client, peer, _owner):
        peer.start(client.offer())
        sctp = await connected_sctp(client)
        for stream_id in range(2, 2_000):
            await sctp._handle_data(chunk(sctp, sctp._last_received_tsn + 1, stream_id=stream_id))
        assert len(sctp._inbound_streams) == 32


async def test_a_sack_of_what_was_never_sent_costs_nothing(mux: Mux):
    async with raw_client(mux) as (client, peer, _owner):
        peer.start(client.offer())
        sctp = await connected_sctp(client)
        sack = SackChunk()
        sack.cumulative_tsn = sctp._last_sacked_tsn
        sack.gaps = [(1, 65_535)] * 300
        packet = serialize_packet(5000, 5000, sctp._local_verification_tag, sack)
        started_s = time.process_time()
        await sctp._handle_data(packet)
        assert time.process_time() - started_s < 0.05
        assert sctp.n_malformed == 1
