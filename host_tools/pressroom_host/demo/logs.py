"""Where the logs go while the screen shows something better: into a file."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from pressroom_host.errors import UserError
from pressroom_host.gateway.log import write_logs_to


class LogUnwritable(UserError):
    """The folder for the log cannot be written into."""


@contextmanager
def into(path: Path) -> Iterator[None]:
    """Write what this process logs into a file, ours by structlog and that of libraries by logging."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w", encoding="utf-8")
    except OSError as error:
        raise LogUnwritable(f"{path} cannot be written ({error.strerror}); choose another folder") from None
    with file:
        handler = logging.StreamHandler(file)
        handler.setFormatter(logging.Formatter("logger=%(name)s level=%(levelname)s message=%(message)r"))
        root = logging.getLogger()
        root.addHandler(handler)
        write_logs_to(file)
        try:
            yield
        finally:
            structlog.reset_defaults()
            root.removeHandler(handler)
