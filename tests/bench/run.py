"""Measures the figures of the design and prints them beside their budgets.

    python tests/bench/run.py [--json] [--only PART]      parts: talk, mouth_to_ear, board_cpu, codec, gateway_cpu,
                                                          livekit; and livekit_hour, only where it is asked for

It exits 0 whatever the figures are: they are read by a person, or by a program with --json.
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

import board_cpu
import codec
import gateway_cpu
import livekit_room
import mouth_to_ear
import talk
from figures import Figure, show

from pressroom_host.demo import logs, machine
from pressroom_host.errors import UserError

_PARTS = {
    "talk": talk.measure,
    "mouth_to_ear": mouth_to_ear.measure,
    "board_cpu": board_cpu.measure,
    "codec": codec.measure,
    "gateway_cpu": gateway_cpu.measure,
    "livekit": livekit_room.measure,
}
_LONG_PARTS = {"livekit_hour": livekit_room.hour}
_CACHE = Path("build/bench")  # where pesq stays built


def main() -> int:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description="Measure the figures of the design.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--only", choices=(*_PARTS, *_LONG_PARTS), action="append", help="measure this part")
    arguments = parser.parse_args()
    _CACHE.mkdir(parents=True, exist_ok=True)
    try:
        machine.require_all()
        figures = asyncio.run(_measure(arguments.only or list(_PARTS)))
    except UserError as mistake:
        print(f"bench: {mistake}", file=sys.stderr)
        return mistake.exit_code
    show(figures, is_json=arguments.json)
    return 0


async def _measure(parts: list[str]) -> list[Figure]:
    figures = []
    for part in parts:
        print(f"measuring {part} ...", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="pressroom-bench-") as folder, logs.into(_CACHE / f"{part}.log"):
            figures += await (_PARTS | _LONG_PARTS)[part](Path(folder))
    return figures


if __name__ == "__main__":
    sys.exit(main())
