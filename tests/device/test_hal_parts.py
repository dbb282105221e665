"""hal's button, LED, store, board file and Wi-Fi, under MicroPython: the tests stand in on_micropython/parts.py."""

from pathlib import Path

import micropython_tests


@micropython_tests.in_file("parts")
async def test_part(function: str, tmp_path: Path) -> None:
    await micropython_tests.run("parts", function, workdir=tmp_path)
