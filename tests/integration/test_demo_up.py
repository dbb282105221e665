"""`pressroom up` and `pressroom sim`: what keeps running, and obeys a keyboard."""

import asyncio
import json
import os
import pty
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest
from livekit import rtc

from pressroom_host.demo.witness import Witness
from pressroom_host.gateway.server import Gateway, GatewayConfig
from pressroom_host.room.tokens import AccessClaims, Grants

PRESSROOM = (sys.executable, "-m", "pressroom_host.cli.main")
DEADLINE_S = 30


class Command:
    """A command that keeps running, with a terminal as its input."""

    def __init__(self, process, keyboard):
        self.process = process
        self.keyboard = keyboard
        self.seen = ""

    async def until(self, text):
        """Read its output until the text has come; returns the line that holds it."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                line = (await self.process.stdout.readline()).decode()
                assert line, f"it ended before {text!r}; it said {self.seen}"
                self.seen += line
                if text in line:
                    return line

    def enter(self):
        os.write(self.keyboard, b"\n")

    async def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), DEADLINE_S)


@contextmanager
def terminal():
    keyboard, stdin = pty.openpty()
    yield keyboard, stdin
    os.close(keyboard)
    os.close(stdin)


async def start(stdin, keyboard, *arguments):
    process = await asyncio.create_subprocess_exec(
        *(*PRESSROOM, *map(str, arguments)), stdin=stdin, stdout=asyncio.subprocess.PIPE
    )
    return Command(process, keyboard)


def made_token(make_token):
    """Run the command that `up` shows."""
    done = subprocess.run([*PRESSROOM, *make_token.split()[1:]], capture_output=True, text=True, timeout=DEADLINE_S)
    return done.stdout.strip()


async def test_up_says_how_to_join_and_the_board_speaks_when_enter_is_pressed(tmp_path):
    with terminal() as (keyboard, stdin):
        up = await start(stdin, keyboard, "up", "--json", "--state-dir", tmp_path)
        where = json.loads(await up.until("room_url"))
        room = rtc.Room()
        unmuted = asyncio.Event()
        muted = asyncio.Event()
        room.on("track_unmuted", lambda participant, _: participant.identity == where["board"] and unmuted.set())
        room.on("track_muted", lambda participant, _: participant.identity == where["board"] and muted.set())
        token = made_token(where["make_token"])
        await asyncio.wait_for(room.connect(where["room_url"], token), DEADLINE_S)
        up.enter()
        await asyncio.wait_for(unmuted.wait(), DEADLINE_S)
        up.enter()  # long before the recording ends
        await asyncio.wait_for(muted.wait(), 1.0)
        await room.disconnect()
        assert await up.end() == 0


async def test_up_tells_a_person_where_the_room_is_and_no_secret(tmp_path):
    with terminal() as (keyboard, stdin):
        up = await start(stdin, keyboard, "up", "--state-dir", tmp_path)
        await up.until("Ctrl-C")
        up.enter()
        await up.until("button pressed")
        await up.until("button released")
        assert await up.end(signal.SIGINT) == 130
    assert "ws://127.0.0.1:" in up.seen
    assert "pressroom token create" in up.seen
    assert json.loads((tmp_path / "api_key.json").read_text())["secret"] not in up.seen
    assert "eyJ" not in up.seen


async def test_a_state_folder_in_use_is_one_clear_line(tmp_path):
    with terminal() as (keyboard, stdin):
        up = await start(stdin, keyboard, "up", "--json", "--state-dir", tmp_path)
        await up.until("room_url")
        done = await asyncio.to_thread(
            subprocess.run,
            [*PRESSROOM, "demo", "--out", str(tmp_path / "out"), "--state-dir", str(tmp_path)],
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
        )
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert str(up.process.pid) in done.stderr  # it names the holder
        assert await up.end() == 0


@pytest.fixture
async def gateway(tmp_path):
    gateway = await Gateway.start(GatewayConfig(state_dir=tmp_path / "gateway"))
    yield gateway
    await gateway.stop()


async def test_sim_is_a_board_for_a_gateway_elsewhere(gateway, tmp_path):
    token_file = tmp_path / "kitchen.token"
    token_file.write_text(gateway.create_device_token("kitchen", "hall") + "\n")
    speaking = asyncio.Event()
    witness = Witness("kitchen", lambda _: speaking.set())
    grants = Grants(room_join=True, can_subscribe=True)
    gateway.room_server.join(AccessClaims(identity="witness", room="hall", grants=grants), witness)
    with terminal() as (keyboard, stdin):
        sim = await start(
            *(stdin, keyboard, "sim", "--gateway", gateway.device_url, "--pin", gateway.certificate_pin.hex()),
            *("--token-file", token_file),
        )
        await sim.until("shows ready")
        sim.enter()
        await asyncio.wait_for(speaking.wait(), DEADLINE_S)
        await sim.until("shows talking")
        assert await sim.end() == 0


@pytest.mark.parametrize(
    ("pin", "token", "says"),
    [
        ("12ab", "a-token", "--pin: '12ab' is not a SHA-256"),
        ("00" * 32, "", "holds no token"),
        ("00" * 32, None, "cannot be read"),
        ("00" * 32, "x" * 20_000, "holds no token"),
    ],
)
def test_sim_answers_what_it_cannot_use_by_one_clear_line(tmp_path, pin, token, says):
    token_file = tmp_path / "token"
    if token is not None:
        token_file.write_text(token)
    command = ("sim", "--gateway", "wss://127.0.0.1:1/device", "--pin", pin, "--token-file", token_file)
    done = subprocess.run(
        [*PRESSROOM, *map(str, command)], capture_output=True, text=True, timeout=DEADLINE_S, stdin=subprocess.DEVNULL
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert says in done.stderr
