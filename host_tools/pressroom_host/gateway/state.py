"""The state folder: what a gateway must still know after a restart. Private; a file is written whole or not at all."""

import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import platformdirs

from pressroom_host.errors import UserError

_FOLDER_MODE = 0o700
_FILE_MODE = 0o600
_FOR_OTHERS = 0o077
_GATEWAY_LOCK = "gateway.lock"
_CHANGES_LOCK = "changes.lock"
_CHANGES_TIMEOUT_S = 5.0
_CHANGES_POLL_S = 0.02
_MAX_HOLDER_BYTES = 200


class StateUnusable(UserError):
    """The state folder or a file in it cannot be read or written."""


class StateNotPrivate(UserError):
    """Others could read the state folder."""


class StateLocked(UserError):
    """Another process has the state folder."""


class StateFolder:
    """A folder of mode 0700. Its files are small and are replaced by rename, so that no crash leaves half of one."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def open(cls, path: Path | None = None) -> Self:
        """Make the folder if it is not there. None: the place where the system keeps such things.

        Raises StateUnusable or StateNotPrivate.
        """
        path = path or platformdirs.user_state_path("pressroom", appauthor=False)
        try:
            path.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
            _require_private(path)
        except OSError as error:
            raise _unusable(path, "cannot be made", error) from None
        return cls(path)

    def file(self, name: str) -> Path:
        """Return where a file lies, or would lie."""
        return self.path / name

    def read(self, name: str) -> bytes | None:
        """Return the whole file, or None if there is none. Raises StateUnusable."""
        try:
            return self.file(name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unusable(self.file(name), "cannot be read", error) from None

    def write(self, name: str, content: bytes) -> None:
        """Replace the file, mode 0600. Raises StateUnusable, and then the old file still stands."""
        draft = self.file(f".{name}.{secrets.token_hex(4)}")
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, self.file(name))
        except OSError as error:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
            raise _unusable(self.path, "cannot be written", error) from None

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Keep other processes from changing files while this one reads and replaces some. Raises StateLocked."""
        file = self._open_lock(_CHANGES_LOCK)
        deadline_s = time.monotonic() + _CHANGES_TIMEOUT_S
        try:
            while not _try_lock(file):
                if time.monotonic() > deadline_s:
                    raise StateLocked(f"state folder {self.path}: another process keeps changing it; try again")
                time.sleep(_CHANGES_POLL_S)
            yield
        finally:
            os.close(file)

    def lock(self, holder: str) -> "StateLock":
        """Take the folder for this process, as `holder`, until `release` or its end. Raises StateLocked."""
        file = self._open_lock(_GATEWAY_LOCK)
        try:
            if not _try_lock(file):
                present = os.pread(file, _MAX_HOLDER_BYTES, 0).decode(errors="replace").strip() or "another process"
                raise StateLocked(
                    f"state folder {self.path} is in use by {present}; stop that, or choose another with --state-dir"
                )
            os.ftruncate(file, 0)
            os.pwrite(file, f"{holder} (pid {os.getpid()})\n".encode(), 0)
        except BaseException:
            os.close(file)
            raise
        return StateLock(file)

    def _open_lock(self, name: str) -> int:
        try:
            return os.open(self.file(name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _FILE_MODE)
        except OSError as error:
            raise _unusable(self.path, "cannot be written", error) from None

    def __repr__(self) -> str:
        return f"StateFolder({self.path})"


class StateLock:
    """A taken state folder. The system gives it back when the process ends, however it ends."""

    def __init__(self, file: int) -> None:
        self._file: int | None = file

    def release(self) -> None:
        """Give the folder back. Safe to call twice."""
        if self._file is not None:
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None


def _require_private(path: Path) -> None:
    """An empty folder is made private; one with files in it may be shared for a reason, so its owner has to decide."""
    if not path.stat().st_mode & _FOR_OTHERS:
        return
    if any(path.iterdir()):
        raise StateNotPrivate(
            f"state folder {path} is open to others and will hold secrets; "
            f"run `chmod 700 {path}`, or choose another with --state-dir"
        )
    path.chmod(_FOLDER_MODE)


def _try_lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _unusable(path: Path, what: str, error: OSError) -> StateUnusable:
    return StateUnusable(
        f"{path} {what}: {error.strerror or error}; make it yours, or choose another state folder with --state-dir"
    )
