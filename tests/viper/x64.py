"""Viper functions on the x64 port, widened."""

import json
import subprocess
import sys
from pathlib import Path

from pressroom_host.sim.viper64 import widen

MICROPYTHON = Path(sys.executable).with_name("micropython")
_RUN_CALLS = Path(__file__).with_name("run_calls.py")
_TIMEOUT_S = 60


class Failed(Exception):
    """MicroPython did not run the calls to their end."""


Call = tuple[str, bytes, int, int, int]
Result = tuple[int, bytes]


def run(source: str, calls: list[Call], folder: Path) -> list[Result]:
    """Call functions of a module as programs.py makes them; return what each returned and left in memory."""
    (folder / "widened.py").write_text(widen(source, "widened.py"))
    work = {
        "module": "widened",
        "callee": "callee",
        "calls": [[name, memory.hex(), *xyz] for name, memory, *xyz in calls],
    }
    (folder / "calls.json").write_text(json.dumps(work))
    command = [MICROPYTHON, "-X", "heapsize=64M", _RUN_CALLS, folder / "calls.json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S)
    if done.returncode != 0:
        raise Failed(f"exit code {done.returncode}: {done.stderr}")
    results = map(json.loads, done.stdout.splitlines())
    return [(result, bytes.fromhex(memory)) for result, memory in results]
