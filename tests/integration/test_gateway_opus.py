"""Opus through the gateway: the bytes a device says are those that everybody gets, and what it can take it gets so."""

import asyncio

import numpy as np
from gateway_device import RATE_HZ, link_device
from gateways import door_of, is_heard
from tests.net.peers import DEADLINE_S, raw_client, until
from tests.room.clients import Client
from tests.room.test_member import enter

from pressroom.wire import rtp
from pressroom_host.gateway.server import Gateway


def speech(seconds: float) -> np.ndarray:
    """Tones that come and go, so that every packet differs."""
    n = np.arange(int(seconds * RATE_HZ))
    return (8_000 * np.sin(2 * np.pi * (300 + n / 40) * n / RATE_HZ)).astype(np.int16)


def stats_of(gateway: Gateway, identity: str):
    return next(each.stats for each in gateway.devices.bridges.values() if each.claims.identity == identity)


async def test_a_second_device_hears_the_bytes_the_first_one_said(gateway: Gateway) -> None:
    async with (
        link_device(gateway, "speaker", codec="opus") as speaker,
        link_device(gateway, "listener", codec="opus") as listener,
    ):
        await is_heard(gateway, "speaker")
        said = await speaker.speak(speech(1.0))
        await listener.until(lambda: len(listener.heard) >= len(said), "all that was said")
        assert listener.payloads_heard() == said
        assert len(set(said)) == 50
        up, down = stats_of(gateway, "speaker"), stats_of(gateway, "listener")
        assert (up.n_up_passed, up.n_up_transcoded) == (50, 0)
        assert (down.n_dn_passed, down.n_dn_transcoded) == (50, 0)


async def test_a_webrtc_peer_gets_the_bytes_a_device_said(embedded_gateway: Gateway) -> None:
    async with (
        raw_client(embedded_gateway.room_server.mux) as (client, peer, owner),
        link_device(embedded_gateway, codec="opus") as device,
    ):
        peer.start(client.offer())
        await client.connect()
        await asyncio.wait_for(owner.connected.wait(), DEADLINE_S)
        _, member = enter(embedded_gateway.room_server, "peer")
        said = await device.speak(speech(0.5))
        got = []
        for _ in said:
            peer.send_rtp(await asyncio.wait_for(member.packets.get(), DEADLINE_S))
            packet = client.dtls._rx_srtp.unprotect(await asyncio.wait_for(client.srtp_in.get(), DEADLINE_S))
            got.append(packet[rtp.payload_start(packet, len(packet)) :])
        assert got == said


async def test_from_an_official_client_the_device_gets_celt_of_ours(gateway: Gateway) -> None:
    door = door_of(gateway)
    client = Client()
    await asyncio.wait_for(client.room.connect(door.url, door.token("client")), DEADLINE_S)
    async with link_device(gateway, codec="opus") as device:
        voice = await client.publish()
        async with voice.tone(500):
            await device.until(lambda: len(device.heard) >= 25, "half a second of audio")
        stats = stats_of(gateway, "attic")
        assert stats.n_dn_passed == 0 and stats.n_dn_transcoded >= 25
        assert {payload[0] for payload in device.payloads_heard()} == {0xB8}  # CELT, wide band, 20 ms, mono
    await client.room.disconnect()


async def test_a_second_talker_turns_passing_into_mixing_and_the_device_is_told_by_a_marker(gateway: Gateway) -> None:
    async with (
        link_device(gateway, "one", codec="opus") as one,
        link_device(gateway, "two", codec="opus") as two,
        link_device(gateway, "listener", codec="opus") as listener,
    ):
        for talker in ("one", "two"):
            await is_heard(gateway, talker)
        first = asyncio.create_task(one.speak(speech(1.0)))
        await listener.until(lambda: len(listener.heard) >= 15, "the first talker")
        await two.speak(speech(0.3))
        said = await first
        stats = stats_of(gateway, "listener")
        await until(lambda: stats.n_dn_passed + stats.n_dn_transcoded >= 50, "all that was said")
        marks = [n for n, (packet, _) in enumerate(listener.heard) if rtp.is_marked(packet)]
        assert marks[0] == 0 and len(marks) >= 2
        assert listener.payloads_heard()[: marks[1]] == said[: marks[1]]
        assert stats.n_dn_passed >= 15 and stats.n_dn_transcoded >= 15
