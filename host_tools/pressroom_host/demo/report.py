"""What the demo leaves behind: the table, report.json, heard-N.wav and timeline.svg."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pressroom_host.demo import timeline_svg
from pressroom_host.demo.conversation import Conversation
from pressroom_host.demo.turn import Turn

COLUMNS = (
    "turn",
    "press → room",
    "press → parrot",
    "press → release",
    "release → answer",
    "lost",
    "alike",
    "longest hole",
    "came back",
)


def write(conversation: Conversation, folder: Path) -> dict[str, Any]:
    """Write all files into the folder and return what report.json holds."""
    report = conversation.as_json()
    for turn, told in zip(conversation.turns, report["turns"], strict=True):
        if turn.heard is not None:
            path = folder / f"heard-{turn.number}.wav"
            turn.heard.write_wav(path)
            told["heard"] = str(path)
    picture = folder / "timeline.svg"
    picture.write_text(timeline_svg.draw(conversation.turns), encoding="utf-8")
    report["timeline"] = str(picture)
    (folder / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return report


def rows(turns: Sequence[Turn]) -> list[tuple[str, ...]]:
    """Return the rows of the table, one a turn."""
    return [
        (
            f"{turn.number} {turn.speech.name}",
            _ms(turn.ms_between("press", "packet")),
            _ms(turn.ms_between("press", "heard")),
            _ms(turn.ms_between("press", "release")),
            _ms(turn.ms_between("release", "back")),
            str(turn.n_lost),
            "-" if turn.judgement is None else f"{turn.judgement.correlation_p10:.2f}",
            "-" if turn.judgement is None else _ms(turn.judgement.longest_hole_ms),
            "whole" if turn.is_good else "no",
        )
        for turn in turns
    ]


def _ms(value_ms: float | None) -> str:
    return "-" if value_ms is None else f"{value_ms:,.0f} ms"


def lines(conversation: Conversation) -> list[str]:
    """Return what the table has no column for."""
    board = conversation.counters
    allocated = conversation.allocated_bytes_per_frame
    memory = "not measured" if allocated is None else f"{allocated:.3g} bytes a frame"
    played = ", ".join(
        f"{board.get(f'n_{what}', 0)} {what}" for what in ("played", "late", "lost", "inserted", "dropped")
    )
    return [
        f"codec      {conversation.codec}, Opus in the room",
        f"board      frames: {played}",
        f"memory     {memory} allocated by the audio path, over {board.get('n_metered', 0):,} frames",
        *(f"turn {turn.number}     {reason}" for turn in conversation.turns for reason in turn.reasons),
    ]
