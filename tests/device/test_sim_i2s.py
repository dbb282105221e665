"""The stand-in I2S, under MicroPython: the tests stand in on_micropython/i2s.py."""

from pathlib import Path

import micropython_tests


@micropython_tests.in_file("i2s")
def test_i2s(function: str, tmp_path: Path) -> None:
    micropython_tests.run("i2s", function, tmp_path)
