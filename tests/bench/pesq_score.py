"""PESQ wide-band (ITU-T P.862.2) by the package `pesq`, built where a C compiler is, in an environment of its own.

It is never a dependency of Pressroom: its licence allows evaluation only.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pressroom_host.sim.sound import RATE_HZ, Samples

_PACKAGES = ("pesq==0.0.4", f"numpy=={np.__version__}")
_FOLDER = Path("build/bench/pesq")
_BUILD_TIMEOUT_S = 180
_SCORE = """
import json, sys
import numpy as np
from pesq import pesq
pairs = np.load(sys.argv[1])
print(json.dumps([pesq(int(sys.argv[2]), pairs[f"said{n}"], pairs[f"heard{n}"], "wb") for n in range(len(pairs) // 2)]))
"""


class Unavailable(Exception):
    """PESQ cannot be measured here; the text says what to plug in."""


def scores(pairs: Sequence[tuple[Samples, Samples]]) -> list[float]:
    """Return the PESQ of each (said, heard), which begin at the same time. Raises Unavailable."""
    python = _environment(_FOLDER)
    arrays = {}
    for n, (said, heard) in enumerate(pairs):
        arrays[f"said{n}"], arrays[f"heard{n}"] = said, heard
    with tempfile.NamedTemporaryFile(suffix=".npz") as file:
        np.savez(file, **arrays)
        file.flush()
        command = [python, "-c", _SCORE, file.name, str(RATE_HZ)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise Unavailable(f"pesq failed: {done.stderr.strip().splitlines()[-1]}")
    return [float(score) for score in json.loads(done.stdout)]


def _environment(folder: Path) -> Path:
    python = (folder / "bin" / "python").absolute()
    if (folder / "installed").exists():
        return python
    if shutil.which("cc") is None and shutil.which("gcc") is None:
        raise Unavailable("no C compiler; install gcc, and pesq will be built")
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True, timeout=_BUILD_TIMEOUT_S)
    done = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *_PACKAGES],
        capture_output=True,
        text=True,
        timeout=_BUILD_TIMEOUT_S,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise Unavailable(f"pesq could not be built; connect to a package index and install gcc ({last})")
    (folder / "installed").touch()
    return python
