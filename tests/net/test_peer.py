"""One peer over a real UDP port: how it is found, what passes, and when it is given up."""

import asyncio

import pytest
from tests.net.peers import DEADLINE_S, raw_client, until

from pressroom_host.webrtc import peer as peer_module
from pressroom_host.webrtc.mux import Mux
from pressroom_host.webrtc.peer_connection import BacklogFull

RTP = bytes.fromhex("806f0001000003c0000004d2") + b"opus payload"
SSRC = 1234


def received(mux: Mux, peer, ssrc: int = SSRC) -> asyncio.Queue:
    packets: asyncio.Queue = asyncio.Queue()
    peer.listen(ssrc, packets.put_nowait)
    return packets


async def test_rtp_passes_both_ways_unchanged(mux):
    async with raw_client(mux) as (client, peer, owner):
        packets = received(mux, peer)
        peer.start(client.offer())
        await client.connect()
        await asyncio.wait_for(owner.connected.wait(), DEADLINE_S)
        client.send(client.dtls._tx_srtp.protect(RTP))
        assert await asyncio.wait_for(packets.get(), DEADLINE_S) == RTP
        peer.send_rtp(RTP)
        assert client.dtls._rx_srtp.unprotect(await asyncio.wait_for(client.srtp_in.get(), DEADLINE_S)) == RTP


async def test_a_check_with_a_wrong_password_is_counted_and_not_answered(mux):
    async with raw_client(mux) as (client, peer, _owner):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.check(password="wrong"), 0.1)
        assert mux.n_bad_stun == 1
        assert peer.address is None


async def test_nothing_but_stun_is_taken_from_an_address_without_a_signed_check(mux):
    async with raw_client(mux) as (client, peer, _owner):
        peer.start(client.offer())
        client.send(b"\x16\xfe\xff" + bytes(40))
        client.send(b"\x80\x6f" + bytes(40))
        await until(lambda: mux.n_unknown == 2, "two datagrams dropped")
        assert peer.state == peer_module.WAITING


async def test_a_certificate_other_than_the_signalled_one_is_refused(mux):
    async with raw_client(mux) as (client, peer, owner):
        offer = client.offer()
        ((algorithm, _),) = offer.fingerprints
        peer.start(type(offer)(offer.ice_ufrag, ((algorithm, "00:" * 31 + "00"),), 0, 0, ()))
        await client.connect()
        await until(lambda: owner.lost, "the peer is given up")
        assert owner.lost == ["DTLS handshake failed"]
        assert not owner.connected.is_set()


async def test_an_ssrc_nobody_listens_to_is_dropped_before_it_is_decrypted(mux):
    async with raw_client(mux) as (client, peer, owner):
        peer.start(client.offer())
        await client.connect()
        await asyncio.wait_for(owner.connected.wait(), DEADLINE_S)
        client.send(client.dtls._tx_srtp.protect(RTP))
        await until(lambda: peer.n_unknown_ssrc == 1, "the packet is counted")


async def test_forged_and_replayed_packets_are_counted_and_dropped(mux):
    async with raw_client(mux) as (client, peer, owner):
        packets = received(mux, peer)
        peer.start(client.offer())
        await client.connect()
        await asyncio.wait_for(owner.connected.wait(), DEADLINE_S)
        packet = client.dtls._tx_srtp.protect(RTP)
        client.send(packet[:-1] + bytes((packet[-1] ^ 1,)))
        client.send(packet)
        client.send(packet)
        await until(lambda: peer.n_srtp_failures == 2, "two packets refused")
        assert packets.qsize() == 1


async def test_reliable_data_waits_for_its_channel_and_keeps_its_order(mux):
    async with raw_client(mux) as (client, peer, _owner):
        for number in range(50):
            peer.send_data("_reliable", b"%d" % number, is_reliable=True)
        peer.start(client.offer())
        await client.connect()
        await client.open_channel("_reliable")
        peer.send_data("_reliable", b"50", is_reliable=True)
        got = [await asyncio.wait_for(client.data_in.get(), DEADLINE_S) for _ in range(51)]
        assert got == [b"%d" % number for number in range(51)]


async def test_lossy_data_does_not_wait_and_is_counted(mux):
    async with raw_client(mux) as (_client, peer, _owner):
        peer.send_data("_lossy", b"late", is_reliable=False)
        assert peer.n_not_sent == 1


async def test_what_waits_for_a_channel_is_bounded(mux):
    async with raw_client(mux) as (_client, peer, _owner):
        for _ in range(4_096):
            peer.send_data("_reliable", bytes(1_000), is_reliable=True)
        with pytest.raises(BacklogFull):
            peer.send_data("_reliable", bytes(1_000), is_reliable=True)


async def test_what_waits_for_a_channel_is_bounded_in_bytes_too(mux):
    async with raw_client(mux) as (_client, peer, _owner):
        for _ in range(16):
            peer.send_data("_reliable", bytes(2**20), is_reliable=True)
        with pytest.raises(BacklogFull):
            peer.send_data("_reliable", b"x", is_reliable=True)


async def test_a_peer_that_never_connects_is_given_up(mux):
    async with raw_client(mux) as (_client, peer, owner):
        now_s = asyncio.get_running_loop().time()
        peer.poll(now_s + 19.9)
        assert owner.lost == []
        peer.poll(now_s + 20.1)
        assert owner.lost == ["never connected"]


async def test_a_connected_peer_is_given_up_once_its_checks_stop(mux):
    async with raw_client(mux) as (client, peer, owner):
        peer.start(client.offer())
        await client.connect()
        await asyncio.wait_for(owner.connected.wait(), DEADLINE_S)
        checked_s = asyncio.get_running_loop().time()
        peer.poll(checked_s + 14.9)
        assert owner.lost == []
        peer.poll(checked_s + 15.1)
        assert owner.lost == ["silent"]


async def test_a_client_may_move_and_only_a_signed_check_makes_it(mux):
    async with raw_client(mux) as (client, peer, owner):
        peer.start(client.offer())
        await client.connect()
        await asyncio.wait_for(owner.connected.wait(), DEADLINE_S)
        loop = asyncio.get_running_loop()
        _, moved = await loop.create_datagram_endpoint(lambda: type(client)(peer), local_addr=(mux.host, 0))
        moved.send(b"\x80\x6f" + bytes(40))
        await until(lambda: mux.n_unknown == 1, "the packet is dropped")
        assert peer.address == client.address
        await moved.check()
        assert peer.address == moved.address
        await moved.close()


async def test_the_addresses_of_a_peer_are_bounded_and_forgotten_with_it(mux):
    async with raw_client(mux) as (client, peer, _owner):
        loop = asyncio.get_running_loop()
        for _ in range(12):
            _, other = await loop.create_datagram_endpoint(lambda: type(client)(peer), local_addr=(mux.host, 0))
            await other.check()
            await other.close()
        assert len(peer.addresses) == len(mux._by_address) == 8
    assert mux._by_address == {}
    assert mux._by_ufrag == {}


async def test_closing_twice_is_safe(mux):
    async with raw_client(mux) as (client, peer, owner):
        peer.start(client.offer())
        await client.connect()
        await asyncio.wait_for(owner.connected.wait(), DEADLINE_S)
        await peer.close()
        await peer.close()
        peer.send_rtp(RTP)
        assert peer.n_not_sent == 1
        assert owner.lost == []
