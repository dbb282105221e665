"""The link of the device, under MicroPython."""

from pathlib import Path

from micropython_tests import in_file, run


@in_file("voice_link")
async def test_link(function: str, tmp_path: Path):
    await run("voice_link", function, workdir=tmp_path)
