"""The private names of aiortc that webrtc/aiortc_parts.py leans on: an upgrade that changes one fails here first."""

import asyncio
import inspect

import pytest
from aiortc.rtcdtlstransport import RTCCertificate, RTCDtlsTransport
from aiortc.rtcsctptransport import DataChunk, InboundStream, RTCSctpTransport, SackChunk
from tests.net.peers import DEADLINE_S, raw_client

from pressroom_host.webrtc.mux import Mux


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("_handle_data", ["self", "data"]),
        ("_receive_data_chunk", ["self", "chunk"]),
        ("_receive_sack_chunk", ["self", "chunk"]),
        ("_send_chunk", ["self", "chunk"]),
    ],
)
async def test_the_methods_of_sctp_that_are_bounded_still_exist(name, parameters):
    method = getattr(RTCSctpTransport, name)
    assert list(inspect.signature(method).parameters) == parameters
    assert inspect.iscoroutinefunction(method)


async def test_sctp_keeps_its_state_where_the_bounds_look():
    dtls = RTCDtlsTransport(object(), [RTCCertificate.generateCertificate()])
    sctp = RTCSctpTransport(dtls)
    assert sctp._inbound_streams == {}
    assert sctp._last_received_tsn is None
    assert sctp._advertised_rwnd == 1024 * 1024
    assert len(sctp._sent_queue) == 0
    assert InboundStream().reassembly == []
    assert SackChunk().gaps == []
    chunk = DataChunk()
    assert (chunk.tsn, chunk.stream_id, chunk.user_data) == (0, 0, b"")


async def test_dtls_has_its_srtp_sessions_only_after_the_handshake(mux: Mux):
    async with raw_client(mux) as (client, peer, owner):
        assert peer._dtls.aiortc._rx_srtp is None
        assert peer._dtls.aiortc._tx_srtp is None
        peer.start(client.offer())
        await client.connect()
        await asyncio.wait_for(owner.connected.wait(), DEADLINE_S)
        for name in ("protect", "unprotect", "remove_stream"):
            assert callable(getattr(peer._dtls.aiortc._rx_srtp, name))
        assert peer._dtls.aiortc._role == "server"


async def test_every_bound_is_on_the_way_of_real_traffic(mux: Mux, monkeypatch: pytest.MonkeyPatch):
    called = set()
    for name in ("_handle_data", "_receive_data_chunk", "_receive_sack_chunk", "_send_chunk"):
        original = getattr(RTCSctpTransport, name)

        async def spy(self, argument, name=name, original=original):
            called.add((name, type(self).__name__))
            await original(self, argument)

        monkeypatch.setattr(RTCSctpTransport, name, spy)
    async with raw_client(mux) as (client, peer, owner):
        peer.start(client.offer())
        await client.connect()
        channel = await client.open_channel("_reliable")
        channel.send(b"up")
        assert await asyncio.wait_for(owner.messages.get(), DEADLINE_S) == ("_reliable", b"up")
    assert {name for name, kind in called if kind == "_BoundedSctp"} == {
        "_handle_data",
        "_receive_data_chunk",
        "_receive_sack_chunk",
        "_send_chunk",
    }
