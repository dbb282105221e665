"""Who may import whom: the table of the architecture page, enforced over the syntax tree.

The firmware's rules all stand here: it is never imported to be checked. For host_tools import-linter holds the layers
(pyproject.toml); what it cannot say (a part of somebody's package, private names) stands here too.
"""

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
FIRMWARE = CHECKOUT / "firmware"
HOST_TOOLS = CHECKOUT / "host_tools"

_HAL = {
    *("machine", "network", "esp32", "socket", "select", "tls", "asyncio", "time", "json", "os", "hashlib"),
    *("binascii", "array", "gc", "micropython", "errno"),
    *("pressroom.wire.websocket", "pressroom.hal"),
}

# What a firmware module may import, its own package included; the longest name that fits a module is its rule.
FIRMWARE_RULES = {
    "main": {"pressroom.app"},
    "examples": {"machine", "asyncio", "pressroom.app", "pressroom.voice.tools", "pressroom.wire.tools"},
    "pressroom": set(),
    "pressroom.app": {
        *("asyncio", "gc", "json", "sys"),
        *("pressroom.hal", "pressroom.opus", "pressroom.voice", "pressroom.wire"),
    },
    "pressroom.hal": _HAL,
    "pressroom.hal.led": _HAL | {"neopixel"},
    "pressroom.opus": {"array", "micropython", "pressroom.opus"},
    "pressroom.voice": {"asyncio", "array", "gc", "micropython", "time", "pressroom.wire", "pressroom.voice"},
    "pressroom.voice.opus_codec": {"pressroom.opus.errors", "pressroom.wire"},  # it is handed the codec
    "pressroom.wire": {
        *("struct", "binascii", "hashlib", "json", "errno", "collections", "array"),
        "pressroom.wire",
    },
    # The two seams where the interpreters differ.
    "pressroom.wire.port": {"micropython"},
    "pressroom.wire.crypto": {"pressroom.wire.crypto_viper", "pressroom.wire.crypto_host"},
    "pressroom.wire.crypto_viper": {"array", "cryptolib", "hashlib", "micropython", "pressroom.wire"},
    "pressroom.wire.crypto_host": {"cryptography", "hashlib", "hmac", "pressroom.wire"},
}

# The clock comes in as now_ms; `time` is in voice for ticks, never for the date or for sleeping in place.
TICKS_ONLY = "pressroom.voice"

# Packages of others, and the only modules of host_tools that may import them.
HOST_ONLY_IN = {
    "livekit.rtc": ("pressroom_host.demo",),  # the official client judges us; nothing of ours leans on it
    "aiortc": ("pressroom_host.webrtc.aiortc_parts",),  # private names too: pinned, and held by a contract test
    "opuslib": ("pressroom_host.gateway.audio", "pressroom_host.demo"),
    "opuslib_next": ("pressroom_host.gateway.audio", "pressroom_host.demo"),
    "pylibsrtp": ("pressroom_host.gateway", "pressroom_host.webrtc"),
}


def imports_of(source: str, module: str, is_package: bool = False) -> Iterator[tuple[str, int]]:
    """Yield (what is imported, line), wherever in the file it stands; relative names are made absolute."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = module.split(".")
            package = parts[: len(parts) - node.level + is_package] if node.level else []
            base = ".".join([*package, *([node.module] if node.module else [])])
            # `from . import seq` may name a module or a name in one: either way it must be allowed.
            yield from ((f"{base}.{alias.name}", node.lineno) for alias in node.names)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "__import__":
            yield "__import__", node.lineno


def is_within(name: str, package: str) -> bool:
    """Return whether name is the package or something in it."""
    return name == package or name.startswith(package + ".")


def modules(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield every Python file below root with its dotted name."""
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def firmware_violations(module: str, source: str, is_package: bool = False) -> list[str]:
    """Return a line for each import the rules forbid to this module of the firmware."""
    rules = [name for name in FIRMWARE_RULES if is_within(module, name)]
    if not rules:
        return [f"{module}: no rule says what it may import; give it one in FIRMWARE_RULES"]
    allowed = FIRMWARE_RULES[max(rules, key=len)]
    found = [
        f"{module}:{line} imports {name}"
        for name, line in imports_of(source, module, is_package)
        if not any(is_within(name, package) for package in allowed)
    ]
    if is_within(module, TICKS_ONLY):
        found += [
            f"{module}:{node.lineno} uses time.{node.attr}; only time.ticks_* is free of the date"
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "time"
            and not node.attr.startswith("ticks_")
        ]
    return found


def host_violations(module: str, source: str, is_package: bool = False) -> list[str]:
    """Return a line for each package of others imported outside the modules that own it."""
    found = []
    for name, line in imports_of(source, module, is_package):
        for package, owners in HOST_ONLY_IN.items():
            if is_within(name, package) and not any(is_within(module, owner) for owner in owners):
                found.append(f"{module}:{line} imports {name}; only {' and '.join(owners)} may")
    return found


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter over the checkout, or over a copy of it."""
    linter = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    return subprocess.run(
        [
            sys.executable,
            "-S",
            "-c",
            f"import sys; sys.path[:0] = {[*_paths(root)]!r}; {linter}",
            "--no-cache",
            "--no-logo",
        ],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=100,
    )


def _paths(root: Path) -> list[str]:
    # The copy first; -S leaves out the editable install, whose finder would answer with the checkout.
    return [str(root / "firmware"), str(root / "host_tools"), *(path for path in sys.path if "site-packages" in path)]


def test_every_import_of_the_firmware_is_allowed():
    found = []
    for module, path in modules(FIRMWARE):
        found += firmware_violations(module, path.read_text(), path.name == "__init__.py")
    assert found == []


def test_packages_of_others_are_imported_only_where_they_belong():
    found = []
    for module, path in modules(HOST_TOOLS):
        found += host_violations(module, path.read_text(), path.name == "__init__.py")
    assert found == []


def test_boards_are_data():
    assert [path.name for path in (CHECKOUT / "boards").rglob("*") if path.suffix in (".py", ".mpy")] == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("pressroom.wire.rtp", "import socket"),
        ("pressroom.wire.rtp", "import micropython"),
        ("pressroom.wire.rtp", "def f():\n    from time import ticks_ms"),
        ("pressroom.wire.rtp", "from ..hal import net"),
        ("pressroom.wire.rtp", "try:\n    import os\nexcept ImportError:\n    os = None"),
        ("pressroom.wire.rtp", "net = __import__('socket')"),
        ("pressroom.voice.uplink", "import machine"),
        ("pressroom.voice.uplink", "from pressroom.hal import mic"),
        ("pressroom.voice.uplink", "import time\ntime.sleep(1)"),
        ("pressroom.hal.net", "from ..wire import rtp"),
        ("pressroom.hal.mic", "import neopixel"),
        ("pressroom.hal.mic", "from ..voice import uplink"),
        ("pressroom.app", "import machine"),
        ("pressroom.brand_new", "import machine"),
    ],
)
def test_a_forbidden_import_of_the_firmware_is_caught(module, source):
    assert firmware_violations(module, source)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("pressroom.wire.rtp", "import struct\nfrom . import seq\nfrom .port import const"),
        ("pressroom.hal.net", "from pressroom.wire import websocket\nfrom ..wire.websocket import Reader"),
        ("pressroom.hal.led", "import neopixel"),
        ("pressroom.voice.uplink", "import time\ntime.ticks_ms()"),
    ],
)
def test_an_allowed_import_of_the_firmware_passes(module, source):
    assert firmware_violations(module, source) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("pressroom_host.gateway.server", "from livekit import rtc"),
        ("pressroom_host.room.server", "import livekit.rtc"),
        ("pressroom_host.gateway.server", "import opuslib"),
        ("pressroom_host.room.server", "import aiortc"),
        ("pressroom_host.webrtc.peer", "from aiortc import RTCDtlsTransport"),
    ],
)
def test_a_package_imported_outside_its_place_is_caught(module, source):
    assert host_violations(module, source)


def test_the_layers_of_the_host_hold():
    done = lint_imports(CHECKOUT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("room/intruder.py", "import pressroom_host.gateway"),
        ("webrtc/intruder.py", "import pressroom_host.room"),
        ("gateway/intruder.py", "import pressroom.voice"),
        ("gateway/intruder.py", "import pressroom_host.demo"),
        ("sim/intruder.py", "import pressroom_host.gateway"),
    ],
)
def test_a_host_module_that_reaches_across_a_layer_is_caught(tmp_path, file, line):
    ignored = shutil.ignore_patterns("__pycache__")
    for folder in ("firmware", "host_tools"):
        shutil.copytree(CHECKOUT / folder, tmp_path / folder, ignore=ignored)
    shutil.copy(CHECKOUT / "pyproject.toml", tmp_path)
    (tmp_path / "host_tools" / "pressroom_host" / file).write_text(line + "\n")
    done = lint_imports(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "intruder" in done.stdout
