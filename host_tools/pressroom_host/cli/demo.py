"""`pressroom demo`: the simulated board talks in a room, is answered, and what came back is judged."""

import asyncio
from pathlib import Path

import rich_click as click
from rich.console import Console

from pressroom_host.cli.livekit import livekit_options
from pressroom_host.cli.output import json_option, print_json, print_table
from pressroom_host.demo import conversation, folder, logs, machine, report, speech
from pressroom_host.demo.house import House
from pressroom_host.demo.timeline import Tell, Timeline
from pressroom_host.gateway.server import LiveKitServer

_NOT_HEARD = 1


@click.command()
@click.option(
    "--audio",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="Say this WAV (16 kHz, mono, 16 bit) instead of the recordings. Give it several times for several turns.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Where to write what was heard, the report and the picture.  [default: build/demo]",
)
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Where the gateway and the board keep their state.  [default: state in the folder of --out]",
)
@click.option(
    "--preroll-ms",
    type=click.IntRange(0, 1_000),
    default=200,
    show_default=True,
    help="How much of what was said before the press is sent. With 0 the first word is lost and the demo fails.",
)
@livekit_options
@json_option
def demo(
    audio: tuple[Path, ...],
    out: Path | None,
    state_dir: Path | None,
    preroll_ms: int,
    livekit: LiveKitServer | None,
    is_json: bool,
) -> int:
    """A simulated board talks in a room and is answered.

    Starts a gateway with its room, a board (the real firmware under MicroPython, simulated hardware) and a parrot (an
    official LiveKit client that says back what it hears). Human recordings are said into the board's microphone, the
    first word before the button is pressed. Exits 0 only if each came back out of the loudspeaker as it was said.

    \b
      pressroom demo                       three turns, about half a minute
      pressroom demo --audio hello.wav     your own voice
      pressroom demo --preroll-ms 0        hear what the pre-roll is for
      pressroom demo --livekit             the same in the LiveKit server that LIVEKIT_URL names

    Writes heard-N.wav, report.json and timeline.svg into build/demo.
    """
    machine.require_all()
    speeches = [speech.load(path) for path in audio] or speech.script()
    with folder.held(out) as results:
        timeline = Timeline(Console(highlight=False, quiet=is_json))
        with logs.into(results / "gateway.log"):
            house = House(state_dir or results / "state", board_config={"preroll_ms": preroll_ms}, livekit=livekit)
            talk = asyncio.run(_hold(house, speeches, results, timeline))
        told = report.write(talk, results)
    if is_json:
        print_json(told)
    else:
        _show(talk, results)
    return 0 if talk.is_good else _NOT_HEARD


async def _hold(house: House, speeches: list[speech.Speech], results: Path, tell: Tell) -> conversation.Conversation:
    async with house:
        try:
            return await conversation.hold(house, speeches, tell)
        finally:
            (results / "board.log").write_text("".join(f"{line}\n" for line in house.board.log_lines), encoding="utf-8")


def _show(talk: conversation.Conversation, results: Path) -> None:
    print()
    print_table(*report.table(talk))
    for turn in talk.turns:
        for reason in turn.reasons:
            print(f"Turn {turn.number} did not come back as it was said: {reason}.")
    print(f"Listen to {results}/heard-1.wav, look at {results}/timeline.svg; all figures are in {results}/report.json.")
