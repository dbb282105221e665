"""Lets pytest run test functions that only MicroPython can run: those of tests/device/on_micropython/."""

import ast
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import pressroom_host.sim
from pressroom_host import assets
from pressroom_host.sim.process import micropython_program

_FOLDER = Path(__file__).parent / "on_micropython"
_STANDINS = Path(pressroom_host.sim.__file__).parent / "standins"


def in_file(name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Parametrize a test with the names of the test functions in that file."""
    tree = ast.parse((_FOLDER / f"{name}.py").read_text())
    tests = [n.name for n in tree.body if isinstance(n, ast.FunctionDef) and n.name.startswith("test_")]
    return pytest.mark.parametrize("function", tests)


def run(name: str, function: str, workdir: Path) -> None:
    """Run it in a process of its own, with the stand-ins and the firmware on its path."""
    folders = ":".join(str(folder) for folder in (_FOLDER, _STANDINS, assets.firmware_folder()))
    command = [micropython_program(), "-X", "heapsize=2M", str(_FOLDER / "run.py"), folders, name, function]
    done = subprocess.run(command, cwd=workdir, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        pytest.fail(done.stdout + done.stderr, pytrace=False)
