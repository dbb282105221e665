"""The live timeline: a line for each event, with its time since the first."""

from collections.abc import Callable

from rich.console import Console
from rich.text import Text

Tell = Callable[[float, str, str], None]  # when (time.monotonic), who, what

_COLOURS = {"board": "bright_blue", "room": "green", "parrot": "magenta", "ear": "yellow", "gateway": "cyan"}
_WHO_CHARS = 8


class Timeline:
    """Call it with (when, who, what). An event is told once it is known, which may be after a later one."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._zero_s: float | None = None

    def __call__(self, at_s: float, who: str, what: str) -> None:
        """Print one event."""
        if self._zero_s is None:
            self._zero_s = at_s
        line = Text(f"{at_s - self._zero_s:8.3f}  ", style="dim")
        line.append(f"{who:<{_WHO_CHARS}}", style=_COLOURS.get(who, "default"))
        line.append(what, style="default")
        self._console.print(line, soft_wrap=True)
