"""A simulated board that speaks and hears Opus: its packets pass up, and those of a CELT sender pass down."""

import asyncio
import time
from pathlib import Path

import numpy as np
import pytest
from gateway_device import link_device
from test_gateway_audio import is_tone, tone
from tests.opus.libopus import decode

from pressroom.wire import rtp
from pressroom_host import assets
from pressroom_host.demo import codec_line
from pressroom_host.demo.house import House
from pressroom_host.room.member import RoomListener

RATE_HZ = 16_000
SETTLE_S = 0.3


class Ear(RoomListener):
    """Keeps the packets of everybody."""

    def __init__(self) -> None:
        self.opus: list[bytes] = []

    def on_rtp(self, track_sid: str, packet: bytes) -> None:
        self.opus.append(packet[rtp.HEADER_BYTES :])

    def __getattr__(self, name: str):
        if not name.startswith("on_"):
            raise AttributeError(name)
        return lambda *arguments: None


async def say(house: House, samples: np.ndarray) -> None:
    """Let the board say all of it."""
    began_s = await house.board.mic(samples, at_s=time.monotonic() + SETTLE_S)
    await house.board.press()
    await asyncio.sleep(began_s + len(samples) / RATE_HZ - time.monotonic())
    await house.board.release()
    await house.wait_ready(house.board)


@pytest.mark.parametrize(("opus_bps", "n_bytes"), [(24_000, 60), (32_000, 80), (64_000, 160)])
async def test_what_a_board_says_reaches_the_room_as_celt_of_the_bitrate_that_was_set(tmp_path, opus_bps, n_bytes):
    ear = Ear()
    async with House(tmp_path / "state", board_config={"opus_bps": opus_bps}) as house:
        await house.wait_ready(house.board)
        await house.join("ear", ear)
        await say(house, tone(600, 1.0))
        stats = house.bridge.stats
        assert stats.n_up_passed == len(ear.opus) >= 50 and stats.n_up_transcoded == 0
    assert {(packet[0], len(packet)) for packet in ear.opus} == {(0xB8, n_bytes)}
    heard, _ = decode(ear.opus)
    assert is_tone(heard[RATE_HZ // 2 : RATE_HZ], 600)


async def test_a_board_hears_a_celt_sender_whose_packets_were_passed_down(tmp_path):
    async with House(tmp_path / "state") as house:
        await house.wait_ready(house.board)
        async with link_device(house.gateway, "sender", House.room, codec="opus") as sender:
            began_s = time.monotonic()
            said = await sender.speak(tone(700, 2.0))
            await house.wait_ready(house.board)
            bridge = house.bridge
            assert bridge.stats.n_dn_passed == len(said) and bridge.stats.n_dn_transcoded == 0
            told = codec_line.as_json(bridge.codec_up, bridge.codec_down, bridge.stats)
            assert codec_line.line(told).endswith("down passed through")
            heard = house.board.speaker()
            counters = await house.next_counters(12)
    begin = heard.sample_at(began_s + 0.5)
    assert is_tone(heard.samples[begin : begin + RATE_HZ], 700)
    assert counters["n_played"] >= len(said) - 2
    assert counters["n_alloc_bytes"] == 0 and counters["n_malformed"] == 0


async def test_a_packet_lost_on_the_way_is_concealed_by_the_board_and_counted(tmp_path):
    async with House(tmp_path / "state") as house:
        await house.wait_ready(house.board)
        async with link_device(house.gateway, "sender", House.room, codec="opus") as sender:
            sound = tone(500, 1.5)
            sender.press()
            begun_s = time.monotonic()
            for n in range(75):
                await asyncio.sleep(max(0.0, begun_s + n * 0.02 - time.monotonic()))
                if n in (30, 50):
                    sender.out.write_header_into(bytearray(12), False)  # sent by nobody
                else:
                    sender.send_frame(sound[320 * n : 320 * (n + 1)], is_marked=n == 0)
            sender.release()
            await house.wait_ready(house.board)
            assert house.bridge.stats.n_dn_passed == 73
            counters = await house.next_counters(12)
    assert counters["n_lost"] == 2
    assert counters["n_concealed"] >= 2


async def test_a_board_whose_codec_does_not_load_speaks_l16(tmp_path):
    firmware = tmp_path / "firmware"
    _copy_without_codec(assets.firmware_folder(), firmware)
    async with House(tmp_path / "state") as house:
        board = house.make_board("plain", {})
        board._firmware = firmware
        async with board:
            await house.wait_ready(board)
            lines = [line for line in board.log_lines if "opus=partly" in line]
            bridge = next(each for each in house.gateway.devices.bridges.values() if each.claims.identity == "plain")
            assert (bridge.codec_up, bridge.codec_down) == ("l16", "l16")
    assert lines and "up=0 dn=0" in lines[0]


def _copy_without_codec(source: Path, into: Path) -> None:
    for path in source.rglob("*.py"):
        name = path.relative_to(source)
        place = into / name
        place.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text()
        if name.as_posix() == "pressroom/opus/encoder.py":
            text = 'raise MemoryError("memory allocation failed, allocating 5126 bytes")\n'
        place.write_text(text)
