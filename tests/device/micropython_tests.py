"""Lets pytest run functions that only MicroPython can run: those of tests/device/on_micropython/."""

import ast
import asyncio
import functools
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

import pressroom_host.sim
from pressroom_host import assets
from pressroom_host.sim.flash import lay_out
from pressroom_host.sim.process import micropython_program

_FOLDER = Path(__file__).parent / "on_micropython"
_STANDINS = Path(pressroom_host.sim.__file__).parent / "standins"
_TIMEOUT_S = 60


def in_file(name: str) -> Callable[[Callable[..., object]], Callable[..., object]]:
    """Parametrize a test with the names of the test functions in that file."""
    tree = ast.parse((_FOLDER / f"{name}.py").read_text())
    tests = [n.name for n in tree.body if isinstance(n, ast.FunctionDef) and n.name.startswith("test_")]
    return pytest.mark.parametrize("function", tests)


async def run(name: str, function: str, *arguments: object, workdir: Path | None = None) -> str:
    """Run it in a process of its own, over stand-ins and firmware; fail with its traceback, return its output."""
    folders = ":".join(str(folder) for folder in (_FOLDER, _STANDINS, _flash().name))
    command = [micropython_program(), "-X", "heapsize=2M", str(_FOLDER / "run.py"), folders, name, function]
    process = await asyncio.create_subprocess_exec(
        *command,
        *map(str, arguments),
        cwd=workdir,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), _TIMEOUT_S)
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        pytest.fail(output.decode(), pytrace=False)
    return output.decode()


@functools.cache
def _flash() -> tempfile.TemporaryDirectory[str]:
    """Lay the firmware out once; the folder goes when Python ends."""
    folder = tempfile.TemporaryDirectory()
    lay_out(assets.firmware_folder(), Path(folder.name))
    return folder
