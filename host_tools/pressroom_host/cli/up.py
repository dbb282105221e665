"""`pressroom up`: gateway, room and a simulated board, kept running, so that a person can join them."""

import asyncio
import sys
from pathlib import Path

import rich_click as click
from rich.console import Console

from pressroom_host.cli.livekit import livekit_options
from pressroom_host.cli.output import json_option, print_json
from pressroom_host.demo import logs, speech
from pressroom_host.demo.hand import Hand
from pressroom_host.demo.house import House
from pressroom_host.demo.timeline import Timeline
from pressroom_host.gateway.server import LiveKitServer
from pressroom_host.sim.process import micropython_program


@click.command()
@click.option(
    "--audio",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="What the board says: a WAV of 16 kHz, mono, 16 bit. Several are said in turn.",
)
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("build/up"),
    show_default=True,
    metavar="FOLDER",
    help="Where the gateway and the board keep their state.",
)
@livekit_options
@json_option
def up(audio: tuple[Path, ...], state_dir: Path, livekit: LiveKitServer | None, is_json: bool) -> int:
    """Gateway, room and a simulated board, kept running.

    Prints the room's URL and how to make a token to join it with any LiveKit client. In a terminal, Enter lets somebody
    speak and presses the board's button; Enter again releases it. Ctrl-C ends it.

    \b
      pressroom up
      pressroom up --audio hello.wav      the board says this
      pressroom up --livekit              in the LiveKit server that LIVEKIT_URL names
    """
    micropython_program()
    speeches = [speech.load(path) for path in audio] or speech.script()
    with logs.into(state_dir / "gateway.log"):
        return asyncio.run(_stay(speeches, state_dir, livekit, is_json))


async def _stay(speeches: list[speech.Speech], state_dir: Path, livekit: LiveKitServer | None, is_json: bool) -> int:
    async with House(state_dir, livekit=livekit) as house:
        await house.wait_ready(house.board)
        console = Console(highlight=False, stderr=is_json)
        make_token = f"pressroom token create guest --room {house.room} --state-dir {state_dir}"
        if livekit is not None:
            make_token = f"lk token create --join --room {house.room} --identity guest"
        if is_json:
            print_json(
                {"room_url": house.room_url, "room": house.room, "board": house.identity, "make_token": make_token}
            )
        else:
            print(f"The room {house.room!r} is open at {house.room_url}, and the board is in it as {house.identity!r}.")
            print(f"To join, make a token:  {make_token}")
            print("and give both to any LiveKit client" + (" on this machine." if livekit is None else "."))
            if sys.stdin.isatty():
                print("Enter: the board presses its button and says something; Enter again: it lets go.")
            print("Ctrl-C ends it.", flush=True)
        return await Hand(house.board, speeches, Timeline(console)).obey_keyboard()
