"""A board that may not come in: its LED says so, its log says what to do, and it does not knock again by itself."""

import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path

import jwt
import pytest
from link_proxy import LinkProxy

from pressroom_host import assets
from pressroom_host.gateway.server import Gateway, GatewayConfig
from pressroom_host.gateway.state import StateFolder
from pressroom_host.gateway.tokens import TokenBook, load_or_make_api_key
from pressroom_host.sim.board import SimulatedBoard

ROOM = "kitchen"


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    gateway = await Gateway.start(GatewayConfig(state_dir=tmp_path / "state"))
    yield gateway
    await gateway.stop()


def token(gateway: Gateway, secret: str | None = None, **changes: object) -> str:
    """A device token with some of its claims changed."""
    made = gateway.create_device_token("board", ROOM)
    claims = jwt.decode(made, options={"verify_signature": False})
    video = {**claims.pop("video"), **changes.pop("video", {})}
    return jwt.encode({**claims, "video": video, **changes}, secret or gateway.api_secret, algorithm="HS256")


def revoked(gateway: Gateway) -> str:
    made = gateway.create_device_token("board", ROOM)
    state = StateFolder.open(gateway.state_dir)  # as `pressroom token revoke` does beside a running gateway
    TokenBook(state, load_or_make_api_key(state)).revoke("board")
    return made


def config(gateway: Gateway, port: int, token: str, pin: bytes) -> dict[str, str | bytes]:
    return {
        "gateway_url": f"wss://127.0.0.1:{port}/device",
        "token": token,
        "pin0": pin,
        "wifi_ssid": "simulated",
        "wifi_password": "",
    }


async def assert_refused(gateway: Gateway, folder: Path, made: str, pin: bytes, words: str, **board: Path) -> None:
    """Switch a board on, and see it give up after one try, with these words in its log."""
    async with LinkProxy.running() as proxy:
        proxy.aim(gateway.devices.port, gateway.media.port)
        async with SimulatedBoard(config(gateway, proxy.tcp_port, made, pin), workdir=folder / "board", **board) as on:
            await on.wait_led("error", 10)
            line = await on.wait_log("state=refused")
            assert words in line
            assert made not in "\n".join(on.log_lines)
            await on.press()  # somebody asks again: once
            n_lines = len(on.log_lines)
            await on.wait_log("state=refused", since=n_lines - 1, timeout_s=10)
            await on.wait_led("error", 10)
            await on.release()
            assert proxy.n_connections <= 3  # the first, that of the press, and no storm


async def test_a_wrong_pin(gateway: Gateway, tmp_path: Path) -> None:
    made = gateway.create_device_token("board", ROOM)
    await assert_refused(gateway, tmp_path, made, bytes(32), "pin")


async def test_a_token_of_another_gateway(gateway: Gateway, tmp_path: Path) -> None:
    made = token(gateway, secret="another secret of another gateway, long enough")
    await assert_refused(gateway, tmp_path, made, gateway.certificate_pin, "pressroom token create")


async def test_an_expired_token(gateway: Gateway, tmp_path: Path) -> None:
    made = token(gateway, nbf=0, exp=int(time.time()) - 3_600)
    await assert_refused(gateway, tmp_path, made, gateway.certificate_pin, "expired")


async def test_a_revoked_token(gateway: Gateway, tmp_path: Path) -> None:
    await assert_refused(gateway, tmp_path, revoked(gateway), gateway.certificate_pin, "revoked")


async def test_a_token_for_no_room(gateway: Gateway, tmp_path: Path) -> None:
    made = token(gateway, video={"room": ""})
    await assert_refused(gateway, tmp_path, made, gateway.certificate_pin, "WRONG_ROOM")


async def test_firmware_of_an_unknown_protocol(gateway: Gateway, tmp_path: Path) -> None:
    firmware = tmp_path / "firmware"
    shutil.copytree(assets.firmware_folder(), firmware, ignore=shutil.ignore_patterns("__pycache__"))
    messages = firmware / "pressroom" / "wire" / "messages.py"
    text = messages.read_text()
    assert "PROTO = 1\n" in text
    messages.write_text(text.replace("PROTO = 1\n", "PROTO = 99\n"))
    made = gateway.create_device_token("board", ROOM)
    await assert_refused(gateway, tmp_path, made, gateway.certificate_pin, "UPGRADE_REQUIRED", firmware=firmware)
