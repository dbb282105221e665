"""app.run: what the firmware does with its board file and its settings before there is a device."""

from pathlib import Path
from typing import Any

import pytest

from pressroom_host.sim.board import SimulatedBoard

CONFIG = {
    "gateway_url": "wss://127.0.0.1:1/device",
    "token": "the-token-of-the-test",
    "pin0": bytes(32),
    "wifi_ssid": "simulated",
    "wifi_password": "",
}


async def last_words(config: dict[str, Any], tmp_path: Path, part: str) -> str:
    """Start a board that cannot go on, and return the line in which it says why."""
    async with await SimulatedBoard.start(config, workdir=tmp_path) as board:
        line = await board.wait_log("state=error")
        assert part in line, line
        assert "the-token-of-the-test" not in line
        assert not any("Traceback" in line for line in board.log_lines)
        return line


@pytest.mark.parametrize("missing", ["gateway_url", "token", "wifi_ssid"])
async def test_a_missing_setting_is_named(tmp_path: Path, missing: str):
    await last_words({key: value for key, value in CONFIG.items() if key != missing}, tmp_path, missing)


async def test_a_pin_of_a_wrong_length_is_told(tmp_path: Path):
    await last_words({**CONFIG, "pin0": b"short"}, tmp_path, "a pin has 5 bytes")


async def test_settings_that_are_no_text_are_told(tmp_path: Path):
    await last_words({**CONFIG, "token": b"\xff\xfe\xfd"}, tmp_path, "token")


async def test_an_address_that_is_none_is_told(tmp_path: Path):
    async with await SimulatedBoard.start({**CONFIG, "gateway_url": "nowhere"}, workdir=tmp_path) as board:
        await board.wait_led("error")
        line = await board.wait_log("state=refused")
    assert "gateway's address" in line


async def test_a_gateway_without_encryption_is_refused_off_this_machine(tmp_path: Path):
    config = {**CONFIG, "gateway_url": "ws://192.0.2.1:7000/device"}
    async with await SimulatedBoard.start(config, workdir=tmp_path) as board:
        await board.wait_led("error")
        line = await board.wait_log("state=refused")
    assert "not encrypted" in line


async def test_without_a_pin_nothing_is_trusted(tmp_path: Path):
    config = {key: value for key, value in CONFIG.items() if key != "pin0"}
    async with await SimulatedBoard.start(config, workdir=tmp_path) as board:
        await board.wait_led("error")
        line = await board.wait_log("state=refused")
    assert "pin0" in line


async def test_an_access_point_that_is_not_there_is_tried_again(tmp_path: Path):
    async with await SimulatedBoard.start(CONFIG, workdir=tmp_path, wifi_delay_ms=300) as board:
        assert (await board.wait_led("connecting")) > 0
        await board.wait_log("state=connecting")  # beyond Wi-Fi: the gateway is tried
