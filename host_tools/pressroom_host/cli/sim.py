"""`pressroom sim`: a simulated board alone, for a gateway that runs elsewhere."""

import asyncio
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import rich_click as click
from rich.console import Console

from pressroom_host.cli.output import json_option, print_json
from pressroom_host.demo import speech
from pressroom_host.demo.hand import Hand
from pressroom_host.demo.timeline import Timeline
from pressroom_host.errors import UserError
from pressroom_host.sim.board import SimulatedBoard
from pressroom_host.sim.process import micropython_program

_PIN_BYTES = 32
_MAX_TOKEN_BYTES = 16_384


class PinUnreadable(UserError):
    """A certificate pin is not 64 hex digits."""


class FolderUnusable(UserError):
    """The board's folder cannot be made."""


class TokenUnreadable(UserError):
    """The file of a token cannot be read, or holds none."""


@click.command()
@click.option("--gateway", "url", required=True, metavar="URL", help="Of the gateway: wss://HOST:PORT/device")
@click.option(
    "--pin", required=True, metavar="HEX", help="SHA-256 of the gateway's certificate; the gateway prints it."
)
@click.option(
    "--token-file",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Holds the device's token (pressroom token create NAME > FILE).",
)
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
    metavar="FOLDER",
    help="The board's flash, and what its loudspeaker played.  [default: a temporary folder]",
)
@json_option
def sim(url: str, pin: str, token_file: Path, audio: tuple[Path, ...], state_dir: Path | None, is_json: bool) -> int:
    """A simulated board alone, for a gateway elsewhere.

    Runs the firmware as a board would. In a terminal, Enter lets somebody speak and presses the button; Enter again
    releases it. Ctrl-C ends it.

    \b
      pressroom token create kitchen > kitchen.token
      pressroom sim --gateway wss://127.0.0.1:7443/device --pin 9f86d0... --token-file kitchen.token
    """
    micropython_program()
    config: dict[str, str | bytes | int] = {
        "gateway_url": url,
        "token": _token(token_file),
        "pin0": _pin(pin),
        "wifi_ssid": "simulated",
        "wifi_password": "",
    }
    speeches = [speech.load(path) for path in audio] or speech.script()
    with ExitStack() as stack:
        folder = state_dir or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pressroom-sim-")))
        _make(folder)
        return asyncio.run(_stay(config, speeches, folder, is_json))


async def _stay(
    config: dict[str, str | bytes | int], speeches: list[speech.Speech], folder: Path, is_json: bool
) -> int:
    async with SimulatedBoard(config, workdir=folder) as board:
        if is_json:
            print_json({"pid": board.pid, "state_dir": str(folder)})
        elif sys.stdin.isatty():
            print("Enter: the board presses its button and says something; Enter again: it lets go. Ctrl-C ends it.")
        return await Hand(board, speeches, Timeline(Console(highlight=False, stderr=is_json))).obey_keyboard()


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FolderUnusable(f"--state-dir: {folder} cannot be used ({error.strerror}); choose another") from None


def _pin(text: str) -> bytes:
    try:
        pin = bytes.fromhex(text.replace(":", ""))
    except ValueError:
        pin = b""
    if len(pin) != _PIN_BYTES:
        raise PinUnreadable(f"--pin: {text!r} is not a SHA-256 in hex; give the 64 digits that the gateway prints")
    return pin


def _token(path: Path) -> str:
    try:
        with path.open("rb") as file:
            token = file.read(_MAX_TOKEN_BYTES + 1).decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise TokenUnreadable(f"--token-file: {path} cannot be read ({reason})") from None
    if not token or len(token) > _MAX_TOKEN_BYTES:
        raise TokenUnreadable(
            f"--token-file: {path} holds no token; make one with: pressroom token create NAME > {path}"
        )
    return token
