"""The logs of a gateway: one line of key=value an event, the Session first; never a key or a token."""

from typing import TextIO

import structlog

_KEY_ORDER = ("ses", "event")


def write_logs_to(stream: TextIO) -> None:
    """Write what gateway and room log from now on as lines like `ses=7f3a0c11 event=welcomed resumed=true`."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=_KEY_ORDER, drop_missing=True),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=False,
    )
