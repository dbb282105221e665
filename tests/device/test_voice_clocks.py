"""Clocks that drift apart, under MicroPython on a virtual clock."""

from pathlib import Path

from micropython_tests import in_file, run


@in_file("clocks")
async def test_drift_is_steered(function: str, tmp_path: Path):
    await run("clocks", function, workdir=tmp_path)
