"""The folder a demo writes into, held for itself while it runs: two demos at once must not mix their files."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pressroom_host.errors import UserError

DEFAULT = Path("build/demo")

_MAX_AT_ONCE = 9
_RESULTS = ("heard-*.wav", "report.json", "timeline.svg", "*.log")


class FolderBusy(UserError):
    """Another demo writes into this folder."""


class FolderUnusable(UserError):
    """This folder cannot be written into."""


@contextmanager
def held(wanted: Path | None) -> Iterator[Path]:
    """Hold the wanted folder, free of the results of an earlier run; None = build/demo, or -2 and so on if taken.

    Raises FolderBusy or FolderUnusable.
    """
    if wanted is not None:
        folder, lock = wanted, _lock(wanted)
        if lock is None:
            raise FolderBusy(
                f"another demo writes into {wanted} just now; wait for it, or choose another folder with --out"
            )
    else:
        folder, lock = _first_free()
    try:
        for pattern in _RESULTS:
            for old in folder.glob(pattern):
                old.unlink()
        yield folder
    finally:
        os.close(lock)


def _first_free() -> tuple[Path, int]:
    for number in range(1, _MAX_AT_ONCE + 1):
        folder = DEFAULT if number == 1 else DEFAULT.with_name(f"{DEFAULT.name}-{number}")
        lock = _lock(folder)
        if lock is not None:
            return folder, lock
    raise FolderBusy(
        f"{_MAX_AT_ONCE} demos write into {DEFAULT} and its neighbours just now; choose a folder with --out"
    )


def _lock(folder: Path) -> int | None:
    """Return the descriptor that holds the folder, or None if somebody else has it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise FolderUnusable(f"{folder} cannot be written into ({error.strerror}); choose another with --out") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock
