"""The stand-in I2S, under MicroPython: the tests stand in on_micropython/i2s.py."""

from pathlib import Path

import micropython_tests


@micropython_tests.in_file("i2s")
async def test_i2s(function: str, tmp_path: Path) -> None:
    await micropython_tests.run("i2s", function, workdir=tmp_path)
