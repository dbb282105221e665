"""The device's kernels against their plain twins, under MicroPython."""

from pathlib import Path

from micropython_tests import in_file, run


@in_file("dsp_twins")
async def test_the_twins_agree(function: str, tmp_path: Path):
    await run("dsp_twins", function, workdir=tmp_path)
