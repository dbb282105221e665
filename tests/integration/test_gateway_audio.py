"""Audio through the gateway: a device that speaks the link on one side, an official LiveKit client on the other."""

import asyncio
import time
from collections.abc import AsyncIterator

import numpy as np
import pytest
from gateway_device import FRAME_S, RATE_HZ, LinkDevice, link_device
from gateways import door_of, is_heard, request_mute
from tests.room.clients import DEADLINE_S, Client, hears

from pressroom.wire import rtp as wire_rtp
from pressroom_host.gateway.server import Gateway

TONE_HZ = 500
END_OF_TALK_MS = 150


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[Client]:
    door = door_of(gateway)
    joined = Client()
    await asyncio.wait_for(joined.room.connect(door.url, door.token("client")), DEADLINE_S)
    yield joined
    await joined.room.disconnect()


def tone(frequency_hz: float, seconds: float) -> np.ndarray:
    return (12_000 * np.sin(2 * np.pi * frequency_hz * np.arange(int(seconds * RATE_HZ)) / RATE_HZ)).astype(np.int16)


def is_tone(samples: np.ndarray, frequency_hz: float) -> bool:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return bool(abs(np.argmax(spectrum) * RATE_HZ / len(samples) - frequency_hz) < 10)


async def hears_a_device(client: Client, device: LinkDevice) -> None:
    track, publication, _ = await client.event("track_subscribed")
    assert publication.muted
    speaking = asyncio.create_task(device.speak(tone(TONE_HZ, 2.0)))
    await client.event("track_unmuted")
    await hears(track, TONE_HZ)
    await speaking
    await client.event("track_muted")


@pytest.mark.parametrize("codec", ["l16", "opus"])
@pytest.mark.parametrize("is_udp", [True, False], ids=["udp", "websocket"])
async def test_a_client_hears_what_a_device_says(gateway: Gateway, client: Client, codec: str, is_udp: bool) -> None:
    async with link_device(gateway, codec=codec, is_udp=is_udp) as device:
        await hears_a_device(client, device)


@pytest.mark.parametrize("codec", ["l16", "opus"])
@pytest.mark.parametrize("is_udp", [True, False], ids=["udp", "websocket"])
async def test_a_device_hears_what_a_client_says(gateway: Gateway, client: Client, codec: str, is_udp: bool) -> None:
    async with link_device(gateway, codec=codec, is_udp=is_udp) as device:
        voice = await client.publish()
        async with voice.tone(TONE_HZ):
            await device.until(lambda: len(device.heard) >= 100, "two seconds of audio")
        heard = device.samples_heard()[-RATE_HZ:]
        assert is_tone(heard, TONE_HZ)
        assert {way for _, way in device.heard} == {"udp" if is_udp else "websocket"}


async def test_a_device_hears_the_sum_of_two_clients(gateway: Gateway, client: Client) -> None:
    other = Client()
    door = door_of(gateway)
    await asyncio.wait_for(other.room.connect(door.url, door.token("other")), DEADLINE_S)
    async with link_device(gateway) as device:
        voices = [await client.publish(), await other.publish()]
        async with voices[0].tone(500), voices[1].tone(1_500):
            await device.until(lambda: len(device.heard) >= 150, "three seconds of audio")
        heard = device.samples_heard()[-RATE_HZ:]
        spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
        assert min(spectrum[500], spectrum[1_500]) > 20 * np.median(spectrum)
    await other.room.disconnect()


async def test_two_devices_hear_each_other_soon(gateway: Gateway) -> None:
    """A click goes through gateway, room and gateway: encoded, forwarded, decoded, well within a frame's time."""
    async with link_device(gateway, "one") as one, link_device(gateway, "two") as two:
        await is_heard(gateway, "one")
        click = np.zeros(320, np.int16)
        click[100:140] = 20_000
        one.press()
        delays_s = []
        for _ in range(20):
            n_before = len(two.heard)
            sent_s = time.monotonic()
            one.send_frame(click)
            await two.until(lambda n=n_before: len(two.heard) > n, "the frame")
            delays_s.append(time.monotonic() - sent_s)
            await asyncio.sleep(max(0.0, sent_s + FRAME_S - time.monotonic()))
        one.release()
        assert sorted(delays_s)[len(delays_s) // 2] < FRAME_S


async def test_the_first_packet_of_a_spurt_is_marked_and_silence_sends_nothing(gateway: Gateway) -> None:
    async with link_device(gateway, "one") as one, link_device(gateway, "two") as two:
        await is_heard(gateway, "one")
        for _ in range(2):
            n_before = len(two.heard)
            await one.speak(np.concatenate([tone(TONE_HZ, 0.3), np.zeros(RATE_HZ, np.int16)]))
            marks = [wire_rtp.is_marked(packet) for packet, _ in two.heard[n_before:]]
            assert marks[0] and not any(marks[1:])
            assert 15 <= len(marks) <= 15 + 20 + 5  # the tone, 400 ms of pause, and what the codec rings on
        seqs = [wire_rtp.seq(packet) for packet, _ in two.heard]
        assert seqs == [(seqs[0] + n) & 0xFFFF for n in range(len(seqs))]


async def test_a_mute_that_overtakes_the_last_packets_does_not_cut_them_off(gateway: Gateway) -> None:
    async with link_device(gateway, "one") as one, link_device(gateway, "two") as two:
        await is_heard(gateway, "one")
        track = await two.message("track")
        one.press()
        await two.message("track", sid=track["sid"], muted=False)
        for _ in range(5):
            one.send_frame(tone(TONE_HZ, FRAME_S))
        packets = [plain_frame(one) for _ in range(5)]  # on their way
        muted_s = time.monotonic()
        one.release()
        await asyncio.sleep(0.05)
        assert not any(message["t"] == "track" for message in two.messages)
        for packet in packets:
            one.send_packet(packet)
        await two.message("track", sid=track["sid"], muted=True)
        assert (time.monotonic() - muted_s) * 1_000 < END_OF_TALK_MS
        await two.until(lambda: len(two.heard) >= 10, "the last packets")


async def test_a_mute_whose_audio_is_lost_is_done_after_150_ms(gateway: Gateway) -> None:
    async with link_device(gateway, "one") as one, link_device(gateway, "two") as two:
        await is_heard(gateway, "one")
        track = await two.message("track")
        one.press()
        await two.message("track", sid=track["sid"], muted=False)
        plain_frame(one)  # lost
        released_s = time.monotonic()
        one.release()
        await two.message("track", sid=track["sid"], muted=True)
        assert END_OF_TALK_MS <= (time.monotonic() - released_s) * 1_000 < END_OF_TALK_MS + 200


async def test_audio_nobody_was_told_of_stays_unsaid(gateway: Gateway) -> None:
    async with link_device(gateway, "one") as one, link_device(gateway, "two") as two:
        for _ in range(80):
            one.send_frame(tone(TONE_HZ, FRAME_S))
        await one.until(lambda: bridge(gateway, "one").stats.n_up_muted >= 20 or ping(one), "the count")
        assert two.heard == []


async def test_a_flush_drops_what_is_queued_for_the_device(gateway: Gateway, client: Client) -> None:
    async with link_device(gateway) as device:
        voice = await client.publish()
        async with voice.tone(TONE_HZ):
            await device.until(lambda: len(device.heard) > 20, "audio")
            n_before = len(device.heard)
            device.say({"t": "flush"})
            await device.until(lambda: len(device.heard) > n_before + 20, "more audio")
        marks = [wire_rtp.is_marked(packet) for packet, _ in device.heard[n_before:]]
        assert any(marks)  # after it a spurt has begun


async def test_the_room_can_silence_a_device_but_not_open_its_microphone(gateway: Gateway, client: Client) -> None:
    async with link_device(gateway) as device:
        _, publication, _ = await client.event("track_subscribed")
        device.press()
        await client.event("track_unmuted")
        await request_mute(gateway, "attic", publication.sid, True)
        await client.event("track_muted")
        assert (await device.message("mute"))["muted"]
        for _ in range(5):
            device.send_frame(tone(TONE_HZ, FRAME_S))
        device.release()
        await request_mute(gateway, "attic", publication.sid, False)
        await pong(device)
        assert "track_unmuted" not in client.names()
        assert not any(message["t"] == "mute" for message in device.messages)


async def test_a_resume_in_a_sentence_is_no_leave_no_mute_and_speech_goes_on(gateway: Gateway, client: Client) -> None:
    async with link_device(gateway) as device:
        track, _, _ = await client.event("track_subscribed")
        device.press()
        for _ in range(10):
            device.send_frame(tone(TONE_HZ, FRAME_S))
        await client.event("track_unmuted")
        session = device.welcome["session"]
        keys = device.welcome["media"]["key_up"], device.welcome["media"]["key_dn"]
        await device.lose_link()
        await device.connect()
        assert device.welcome["resumed"] and device.welcome["session"] == session
        assert keys[0] != device.welcome["media"]["key_up"] and keys[1] != device.welcome["media"]["key_dn"]
        await asyncio.gather(device.speak(tone(TONE_HZ, 2.0)), hears(track, TONE_HZ))
        await client.event("track_muted")
        assert "participant_disconnected" not in client.names()
        assert [name for name in client.names() if name in ("track_unmuted", "track_muted")] == []


def plain_frame(device: LinkDevice) -> bytes:
    """The next frame of a device that has only L16, not sent."""
    header = bytearray(12)
    device.out.write_header_into(header, False)
    return bytes(header) + tone(TONE_HZ, FRAME_S).astype(">i2").tobytes()


def bridge(gateway: Gateway, identity: str):
    return next(each for each in gateway.devices.bridges.values() if each.claims.identity == identity)


def ping(device: LinkDevice) -> bool:
    """Make something come, so that a condition is looked at again."""
    device.say({"t": "ping", "id": 7})
    return False


async def pong(device: LinkDevice) -> None:
    """Wait until everything that was sent before has been answered."""
    n_before = device.session.n_bad_messages
    device.say({"t": "data", "topic": "", "payload": "", "destination_identities": ["nobody"]})
    device.say({"t": "rpc", "id": "pong", "method": "", "payload": "", "destination_identity": "nobody"})
    await device.message("rpc_result", id="pong")
    assert device.session.n_bad_messages == n_before
