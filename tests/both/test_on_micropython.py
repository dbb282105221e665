"""Every test file of this folder, run again where the firmware runs: under MicroPython, and under one of 32 bits."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pressroom_host.sim.flash import lay_out

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]
FIRMWARE = CHECKOUT / "firmware"
MICROPYTHON = Path(sys.executable).with_name("micropython")
WASM = CHECKOUT / "build" / "micropython-wasm"

FILES = sorted(path.name for path in HERE.glob("test_*.py") if path.name != Path(__file__).name)

# The WebAssembly port has no viper, no cryptolib and no SHA-1. What these files need of that:
NOT_ON_WASM = {
    "test_crypto.py": "all of it",
    "test_srtp.py": "SRTP",
    "test_keys.py": "the key derivation's AES",
    "test_websocket_handshake.py": "SHA-1",
    "test_media.py": "SRTP",
}


def run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def micropython() -> Path:
    if not MICROPYTHON.exists():
        pytest.skip("MicroPython's unix port is not installed; it exists for Linux x86-64: run `make test` there")
    return MICROPYTHON


@pytest.fixture(scope="session")
def flash(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lay the firmware out as the x64 port needs it; the WebAssembly port has 32 bits and takes it as it is."""
    folder = tmp_path_factory.mktemp("flash")
    lay_out(FIRMWARE, folder)
    return folder


@pytest.fixture(scope="session")
def wasm() -> Path:
    """Install the WebAssembly port once, and return its module."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Node is not installed; install nodejs 18 or later, and npm")
    module = WASM / "node_modules/@micropython/micropython-webassembly-pyscript/micropython.mjs"
    lock = (HERE / "package-lock.json").read_text()
    installed = WASM / "installed-lock.json"
    if not installed.exists() or installed.read_text() != lock:
        WASM.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, WASM)
        npm = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(npm, cwd=WASM, capture_output=True, text=True, timeout=100)
        if done.returncode != 0:
            pytest.skip("npm could not install MicroPython's WebAssembly port; connect to a network once and run again")
        installed.write_text(lock)
    return module


@pytest.mark.parametrize("file", FILES)
def test_passes_under_micropython(micropython: Path, flash: Path, file: str) -> None:
    run(micropython, "-X", "heapsize=8M", HERE / "run.py", flash, file)


@pytest.mark.parametrize("file", [file for file in FILES if file not in NOT_ON_WASM])
def test_passes_under_micropython_with_32_bits(wasm: Path, file: str) -> None:
    run("node", HERE / "run_wasm.mjs", wasm, FIRMWARE, HERE, file)


def test_what_is_left_out_with_32_bits_exists() -> None:
    assert [name for name in NOT_ON_WASM if name not in FILES] == []


def test_a_failing_test_fails_the_run(micropython: Path, tmp_path: Path) -> None:
    shutil.copy(HERE / "run.py", tmp_path)
    (tmp_path / "test_wrong.py").write_text("def test_right():\n    pass\n\n\ndef test_wrong():\n    assert 1 == 2\n")
    done = subprocess.run([micropython, tmp_path / "run.py", FIRMWARE, "test_wrong.py"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "ok test_right" in done.stdout
    assert "FAILED test_wrong" in done.stdout
    assert "1 passed, 1 failed" in done.stdout


def test_a_file_without_tests_fails_the_run(micropython: Path, tmp_path: Path) -> None:
    shutil.copy(HERE / "run.py", tmp_path)
    (tmp_path / "test_nothing.py").write_text("")
    done = subprocess.run([micropython, tmp_path / "run.py", FIRMWARE, "test_nothing.py"], capture_output=True)
    assert done.returncode == 1
