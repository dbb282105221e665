"""Xtensa LX6/LX7 (ESP32, -S2, -S3): xtensa.c, built where a C compiler is. It counts what the code costs."""

import contextlib
import ctypes
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from .host import MachineFailed

_SOURCE = Path(__file__).with_name("xtensa.c")
_BUILT = Path(__file__).resolve().parents[3] / "build" / "tests"
_TIMEOUT_S = 120
_MAX_INSTRUCTIONS = 50_000_000
_KINDS = ("instructions", "from_object", "to_object", "call", "divide")

# What the runtime itself takes, in instructions (callgrind of its x64 build): a viper function calls another for about
# 75, and 31 for each argument that becomes an object or stops being one; a division that floors takes 13.
_COST = {"instructions": 1, "from_object": 31, "to_object": 31, "call": 75, "divide": 13}


class CompilerMissing(Exception):
    """There is no C compiler here."""


def library() -> Path:
    """Build the emulator once for each state of its source. Raises CompilerMissing."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise CompilerMissing(
            "no C compiler for the Xtensa emulator; install gcc (Debian, Ubuntu: apt-get install gcc)"
        )
    place = _BUILT / f"xtensa-{hashlib.sha256(_SOURCE.read_bytes()).hexdigest()[:16]}.so"
    if not place.exists():
        _BUILT.mkdir(parents=True, exist_ok=True)
        making = place.with_suffix(f".{os.getpid()}")
        command = [compiler, "-O2", "-shared", "-fPIC", "-o", making, _SOURCE]
        subprocess.run(command, check=True, timeout=_TIMEOUT_S)
        making.replace(place)
    return place


class Xtensa:
    """A Machine. Every access outside what it was given, or to what is read only, is a MachineFailed."""

    arch = "xtensawin"

    def __init__(self) -> None:
        self._library = ctypes.CDLL(str(library()))
        self._library.core_new.restype = ctypes.c_void_p
        self._library.core_message.restype = ctypes.c_char_p
        self._library.core_count.restype = ctypes.c_uint64
        self._core = ctypes.c_void_p(self._library.core_new())
        self._names: dict[int, str] = {}

    def __del__(self) -> None:
        self._library.core_delete(self._core)

    def function(self, name: str, code: bytes) -> int:
        """Take a function's machine code; return its object."""
        handle = self._library.core_function(self._core, code, len(code))
        assert handle, "no room for more functions"
        self._names[handle] = name
        return int(handle)

    def buffer(self, n_bytes: int, is_writable: bool) -> tuple[int, memoryview]:
        """Return the object of a new buffer, and its bytes."""
        at = ctypes.POINTER(ctypes.c_uint8)()
        handle = self._library.core_buffer(self._core, n_bytes, int(is_writable), ctypes.byref(at))
        assert handle, "no room for more buffers"
        array = ctypes.cast(at, ctypes.POINTER(ctypes.c_uint8 * n_bytes)).contents
        return int(handle), memoryview(array).cast("B")

    @contextlib.contextmanager
    def borrowed(self) -> Iterator[None]:
        """Buffers made inside are given back at the end."""
        n_buffers, free_at = ctypes.c_uint32(), ctypes.c_uint32()
        self._library.core_marks(self._core, ctypes.byref(n_buffers), ctypes.byref(free_at))
        yield
        self._library.core_release(self._core, n_buffers, free_at)

    def call(self, function: int, objects: list[int]) -> int:
        """Call it and return the object it returns. Raises MachineFailed."""
        result = ctypes.c_uint32()
        arguments = (ctypes.c_uint32 * len(objects))(*objects)
        limit = ctypes.c_uint64(_MAX_INSTRUCTIONS)
        if self._library.core_call(self._core, function, len(objects), arguments, limit, ctypes.byref(result)):
            names = ", ".join(f"{n}={name}" for n, name in enumerate(self._names.values()))
            raise MachineFailed(f"{self._library.core_message(self._core).decode()} ({names})")
        return result.value

    def instructions(self) -> dict[str, int]:
        """Return what each function has cost since the last time, runtime included, and begin anew."""
        cost = {
            name: sum(_COST[kind] * self._library.core_count(self._core, handle, n) for n, kind in enumerate(_KINDS))
            for handle, name in self._names.items()
        }
        self._library.core_forget_counts(self._core)
        return {name: n for name, n in cost.items() if n}
