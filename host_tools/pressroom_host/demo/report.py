"""What the demo leaves behind: the table, report.json, heard-N.wav and timeline.svg."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pressroom_host.demo import codec_line, timeline_svg
from pressroom_host.demo.conversation import Conversation
from pressroom_host.demo.turn import Turn


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


def table(conversation: Conversation) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of the summary: a column for each turn."""
    turns = conversation.turns
    allocated = conversation.allocated_bytes_per_frame
    told: list[tuple[str, Callable[[Turn], str]]] = [
        ("press → first packet in the room", lambda turn: _ms(turn.ms_between("press", "packet"))),
        ("press → first sample at the parrot", lambda turn: _ms(turn.ms_between("press", "heard"))),
        ("press → release", lambda turn: _ms(turn.ms_between("press", "release"))),
        ("release → first sample back", lambda turn: _ms(turn.ms_between("release", "back"))),
        ("packets lost", lambda turn: f"{turn.n_lost} of {turn.n_packets}"),
        (
            "correlation (at least 0.70)",
            lambda turn: "-" if turn.judgement is None else f"{turn.judgement.correlation_p10:.2f}",
        ),
        (
            "longest hole (at most 20 ms)",
            lambda turn: "-" if turn.judgement is None else _ms(turn.judgement.longest_hole_ms),
        ),
        ("came back", lambda turn: "whole" if turn.is_good else "not whole"),
    ]
    rows = [[name, *map(tell, turns)] for name, tell in told]
    rows += [
        [name, value, *("" for _ in turns[1:])]
        for name, value in (
            ("frames late, lost, dropped, inserted", _counts(conversation.counters)),
            ("codec of the link", codec_line.line(conversation.codec)),
            ("allocated by the board per frame", "not measured" if allocated is None else f"{allocated:.3g} bytes"),
        )
    ]
    return ["", *(f"turn {turn.number}" for turn in turns)], rows


def _counts(counters: dict[str, int]) -> str:
    return ", ".join(str(counters.get(f"n_{what}", 0)) for what in ("late", "lost", "dropped", "inserted"))


def _ms(value_ms: float | None) -> str:
    return "-" if value_ms is None else f"{value_ms:,.0f} ms"
