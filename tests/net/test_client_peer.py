"""The client's end of a peer connection against the server's own end: media, data, RTCP, silence, and noise."""

import asyncio
import random
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
from tests.net.mutations import FUZZ_TIMEOUT_S, examples, hostile
from tests.net.peers import DEADLINE_S, Owner, until

from pressroom_host.webrtc import client_peer, rtcp
from pressroom_host.webrtc.client_peer import CLOSED, CONNECTED, LOSSY, RELIABLE, ClientPeer, RemoteEnd
from pressroom_host.webrtc.mux import Mux
from pressroom_host.webrtc.peer import Peer
from pressroom_host.webrtc.sdp import Offer

SSRC = 77


@dataclass
class Ends:
    """A client connected to a peer of the mux, and who they report to."""

    client: ClientPeer
    owner: Owner
    server: Peer
    server_owner: Owner
    heard: list[bytes] = field(default_factory=list)


def described(mux: Mux, server: Peer) -> RemoteEnd:
    """What the server's SDP would say."""
    transport = server.transport
    return RemoteEnd(
        ice_ufrag=transport.ice_ufrag,
        ice_pwd=transport.ice_pwd,
        is_lite=True,
        fingerprints=(transport.fingerprint,),
        is_dtls_client=False,
        sctp_port=5_000,
        max_message_bytes=262_144,
        candidates=(f"1 1 udp 2130706431 {mux.host} {mux.port} typ host",),
        has_all_candidates=True,
    )


@asynccontextmanager
async def meeting(mux: Mux, **changes: object) -> AsyncIterator[Ends]:
    """Both ends, on their way to each other."""
    owner, server_owner = Owner(), Owner()
    server = mux.add_peer(server_owner)
    client = ClientPeer(owner, has_loopback=True)
    try:
        await client.gather()
        server.start(Offer(client.ice.ufrag, (client.fingerprint,), 5_000, 65_536, ()))
        client.start(replace(described(mux, server), **changes))
        yield Ends(client, owner, server, server_owner)
    finally:
        await client.close()
        await server.close()


@asynccontextmanager
async def connected(mux: Mux) -> AsyncIterator[Ends]:
    async with meeting(mux) as ends:
        await asyncio.wait_for(ends.owner.connected.wait(), DEADLINE_S)
        assert ends.client.state == CONNECTED
        yield ends


def rtp(seq: int, payload: bytes, ssrc: int = SSRC) -> bytes:
    return struct.pack(">BBHII", 0x80, 111, seq & 0xFFFF, 960 * seq & 0xFFFFFFFF, ssrc) + payload


async def test_media_goes_both_ways(mux):
    async with connected(mux) as ends:
        up: list[bytes] = []
        sender = ends.client.add_sender(111)
        ends.server.listen(sender.ssrc, up.append)
        ends.client.set_receivers({SSRC: ends.heard.append})
        for number in range(3):
            sender.send_rtp(rtp(number, b"up %d" % number), 30, 0.0)
            ends.server.send_rtp(rtp(number, b"down %d" % number))
        await until(lambda: len(up) == len(ends.heard) == 3, "three each way")
        assert ends.heard == [rtp(number, b"down %d" % number) for number in range(3)]
        assert [packet[20:] for packet in up] == [b"up 0", b"up 1", b"up 2"]


async def test_data_goes_both_ways(mux):
    async with connected(mux) as ends:
        for label, is_reliable in ((RELIABLE, True), (LOSSY, False)):
            ends.client.send_data(label, b"up", is_reliable)
            assert await asyncio.wait_for(ends.server_owner.messages.get(), DEADLINE_S) == (label, b"up")
            ends.server.send_data(label, b"down", is_reliable)
            assert await asyncio.wait_for(ends.owner.messages.get(), DEADLINE_S) == (label, b"down")


async def test_what_comes_before_its_description_is_kept_for_it(mux):
    async with connected(mux) as ends:
        for number in range(40):
            ends.server.send_rtp(rtp(number, b"early"))
        await until(lambda: len(ends.client._early) == 32, "the newest are kept, and no more")
        ends.client.set_receivers({SSRC: ends.heard.append})
        assert ends.heard == [rtp(number, b"early") for number in range(8, 40)]
        assert len(ends.client._early) == 0


async def test_a_receiver_that_is_not_named_again_hears_no_more(mux):
    async with connected(mux) as ends:
        ends.client.set_receivers({SSRC: ends.heard.append})
        ends.server.send_rtp(rtp(0, b"heard"))
        await until(lambda: len(ends.heard) == 1, "the first")
        ends.client.set_receivers({})
        ends.server.send_rtp(rtp(1, b"not heard"))
        await until(lambda: len(ends.client._early) == 1, "the second has come")
        assert len(ends.heard) == 1
        assert ends.client.streams() == []


async def test_a_hole_is_asked_for_and_filled(mux, monkeypatch):
    async with connected(mux) as ends:
        asked: list[rtcp.Nack] = []
        on_srtp = ends.server.on_srtp

        def take(packet: bytes) -> None:
            if 191 < packet[1] < 224:
                items = rtcp.parse(ends.server._dtls.unprotect_rtcp(packet))
                asked.extend(item for item in items if isinstance(item, rtcp.Nack))
                for nack in items:
                    if isinstance(nack, rtcp.Nack) and len(asked) == 2:  # the first is lost
                        ends.server.send_rtp(rtp(nack.seqs[0], b"again"))
            else:
                on_srtp(packet)

        monkeypatch.setattr(ends.server, "on_srtp", take)
        ends.client.set_receivers({SSRC: ends.heard.append})
        for number in (0, 1, 3):
            ends.server.send_rtp(rtp(number, b"."))
        await until(lambda: len(ends.heard) == 4, "the hole is filled")
        assert [nack.seqs for nack in asked] == [(2,), (2,)]
        assert {nack.ssrc for nack in asked} == {SSRC}
        (stream,) = ends.client.streams()
        assert (stream.n_asked, stream.n_recovered) == (1, 1)


async def test_what_the_server_asks_for_is_sent_again(mux):
    async with connected(mux) as ends:
        up: list[bytes] = []
        sender = ends.client.add_sender(111)
        ends.server.listen(sender.ssrc, up.append)
        for number in range(3):
            sender.send_rtp(rtp(number, b"%d" % number), 30, 0.0)
        await until(lambda: len(up) == 3, "three")
        nack = rtcp.write_nack(1, sender.ssrc, [1])
        ends.server._send_datagram(ends.server._dtls.protect_rtcp(nack))
        await until(lambda: sender.n_resent == 1, "one again")
        assert ends.client.n_bad_rtcp == 0


async def test_what_is_sent_and_heard_is_reported(mux, monkeypatch):
    monkeypatch.setattr(client_peer, "_REPORT_EVERY_S", 0.05)
    async with connected(mux) as ends:
        items: list[rtcp.Item] = []
        on_srtp = ends.server.on_srtp

        def take(packet: bytes) -> None:
            if 191 < packet[1] < 224:
                items.extend(rtcp.parse(ends.server._dtls.unprotect_rtcp(packet)))
            else:
                on_srtp(packet)

        monkeypatch.setattr(ends.server, "on_srtp", take)
        sender = ends.client.add_sender(111)
        sender.send_rtp(rtp(0, b"."), 30, 0.0)
        ends.client.set_receivers({SSRC: ends.heard.append})
        ends.server.send_rtp(rtp(5, b"."))
        await until(lambda: any(isinstance(item, rtcp.ReceptionBlock) for item in items), "a block")
        assert any(isinstance(item, rtcp.SenderReport) and item.ssrc == sender.ssrc for item in items)
        block = next(item for item in items if isinstance(item, rtcp.ReceptionBlock))
        assert (block.ssrc, block.highest_seq, block.n_lost) == (SSRC, 5, 0)


async def test_a_server_that_falls_silent_is_lost(mux, monkeypatch):
    monkeypatch.setattr(client_peer, "_REPORT_EVERY_S", 0.05)
    monkeypatch.setattr(client_peer, "_SILENCE_TIMEOUT_S", 0.3)
    async with connected(mux) as ends:
        await until(lambda: ends.owner.lost, "silence is noticed")
        assert "for 0 s" in ends.owner.lost[0]
        assert ends.client.state == CLOSED


async def test_a_server_that_closes_is_lost(mux):
    async with connected(mux) as ends:
        await ends.server.close()
        await until(lambda: ends.owner.lost == ["the server has closed the media connection"], "its goodbye")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"fingerprints": (("sha-256", ":".join(["00"] * 32)),)}, "DTLS handshake failed"),
        ({"candidates": ()}, "is UDP blocked"),
        ({"ice_pwd": "x" * 24}, "is UDP blocked"),
    ],
)
async def test_a_server_that_is_another_or_cannot_be_found_is_no_connection(mux, monkeypatch, changes, why):
    monkeypatch.setattr(client_peer, "_CONNECT_TIMEOUT_S", 1.5)
    async with meeting(mux, **changes) as ends:
        await until(lambda: ends.owner.lost, "the end")
        assert why in ends.owner.lost[0]
        assert not ends.owner.connected.is_set()


async def test_closing_twice_is_safe_and_leaves_nothing_behind(mux):
    n_before = len(asyncio.all_tasks())
    async with connected(mux) as ends:
        await ends.client.close()
        await ends.client.close()
        ends.client.send_rtp(rtp(0, b"."))
        assert ends.client.n_not_sent == 1
    await until(lambda: len(asyncio.all_tasks()) <= n_before, "no task is left")


@pytest.mark.timeout(FUZZ_TIMEOUT_S)
async def test_hostile_datagrams_and_rtcp_and_sctp_are_counted_and_media_goes_on(mux):
    async with connected(mux) as ends:
        ends.client.set_receivers({SSRC: ends.heard.append})
        report = rtcp.write_report((1, 0.0, 0, 1, 1), 1, "x", [rtcp.ReceptionBlock(2, 0, 0, 0, 0)])
        captured = [report, rtcp.write_nack(1, 2, [3, 4]), rtp(9, b"payload"), bytes((22, 254, 253)) + bytes(20)]
        protocol = ends.client.ice._aioice._protocols[0]
        protect = ends.server._dtls.protect_rtcp
        for data in examples(hostile(captured)):
            protocol.datagram_received(data, (mux.host, mux.port))
            if 28 <= len(data) <= 1_400:
                ends.client.on_srtp(protect(report[:8] + data[8:]) if data[:2] == report[:2] else protect(data))
        sctp = ends.client._channels._sctp
        numbers = random.Random(3)
        for _ in range(300):
            await sctp._handle_data(numbers.randbytes(numbers.randrange(1, 60)))
        assert ends.client.n_bad_rtcp > 0
        assert ends.client._channels.n_malformed > 0
        n_heard = len(ends.heard)
        ends.server.send_rtp(rtp(20_000, b"still there"))
        await until(lambda: len(ends.heard) > n_heard, "media goes on")
        ends.client.send_data(RELIABLE, b"data too", True)
        assert (await asyncio.wait_for(ends.server_owner.messages.get(), DEADLINE_S))[1] == b"data too"
