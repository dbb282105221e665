"""The examples of firmware/, each on a simulated board, called by an agent in the room."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from livekit import rtc
from tests.room.clients import DEADLINE_S, Client

from pressroom_host import assets
from pressroom_host.demo.house import House

EXAMPLES = assets.firmware_folder() / "examples"


def flash_of(example: str, folder: Path, extra: str = "") -> Path:
    """Return a board's filesystem with the example as its main.py."""
    folder.mkdir()
    (folder / "pressroom").symlink_to(assets.firmware_folder() / "pressroom")
    (folder / "main.py").write_text(
        (EXAMPLES / f"{example}.py").read_text().replace("run(tools)", f"{extra}\nrun(tools)")
    )
    return folder


@asynccontextmanager
async def board_with(example: str, tmp_path: Path, extra: str = "") -> AsyncIterator[tuple[House, Client]]:
    """A house whose second board runs the example, and an official client in the room."""
    async with House(tmp_path / "state") as house:
        board = house.make_board("tooled", {}, flash_of(example, tmp_path / "flash", extra))
        async with board:
            client = Client()
            await asyncio.wait_for(client.room.connect(house.room_url, house.room_token("agent")), DEADLINE_S)
            house.board = board
            await client.until(lambda: tools_of(client), "a tool is announced")
            yield house, client
            await client.room.disconnect()


def tools_of(client: Client) -> list[dict]:
    board = client.room.remote_participants.get("tooled")
    attributes = board.attributes if board is not None else {}
    return [json.loads(value) for key, value in attributes.items() if key.startswith("pressroom.tool.")]


async def call(client: Client, method: str, **arguments: object) -> str:
    payload = json.dumps(arguments)
    asking = client.me.perform_rpc(destination_identity="tooled", method=method, payload=payload)
    return await asyncio.wait_for(asking, DEADLINE_S)


async def test_a_cart_is_told_to_move(tmp_path):
    async with board_with("move", tmp_path) as (house, client):
        (tool,) = tools_of(client)
        assert tool["parameters"]["properties"]["amount"]["description"] == "meters"
        answer = await call(client, "move", direction="forward", amount=10)
        assert json.loads(answer) == {"direction": "forward", "amount": 10, "is_there": True}
        assert any("move direction=forward amount=10" in line for line in house.board.log_lines)
        for arguments, says in (({"direction": "up", "amount": 1}, "one of: forward"), ({"amount": 1}, "direction")):
            with pytest.raises(rtc.RpcError, match=says):
                await call(client, "move", **arguments)
        with pytest.raises(rtc.RpcError) as error:
            await call(client, "fly")
        assert error.value.code == rtc.RpcError.ErrorCode.UNSUPPORTED_METHOD


async def test_a_lamp_is_switched(tmp_path):
    async with board_with("lamp", tmp_path) as (_, client):
        assert await call(client, "lamp", on=True) == "the lamp is on"
        assert await call(client, "lamp", on=False) == "the lamp is off"


async def test_presses_of_another_button_are_counted(tmp_path):
    async with board_with("button_counter", tmp_path) as (house, client):
        assert await call(client, "presses") == "0"
        for _ in range(3):
            await house.board.set_pin(14, 0)
            await house.board.set_pin(14, 1)
        assert await call(client, "presses") == "3"


BAD_TOOLS = """
async def sleeps():
    import asyncio
    await asyncio.sleep(60)

tools.add("raises", "", {}, lambda: 1 // 0)
tools.add("floods", "", {}, lambda: "x" * 5000)
tools.add("sleeps", "", {}, sleeps)
"""


async def test_a_tool_that_raises_floods_or_sleeps_is_an_error_and_the_board_talks_on(tmp_path):
    async with board_with("lamp", tmp_path, BAD_TOOLS) as (house, client):
        for method, says in (("raises", "ZeroDivisionError"), ("floods", "longer than"), ("sleeps", "longer than 5 s")):
            with pytest.raises(rtc.RpcError, match=says):
                await call(client, method)
        assert await call(client, "lamp", on=True) == "the lamp is on"
        await house.board.press()
        await house.board.wait_led("talking", 1.0)
        await house.board.release()
