"""The filesystem of a simulated board: links to the firmware's files, and viper code as the x64 port needs it."""

import functools
from pathlib import Path

from pressroom_host.sim.viper64 import widen

_VIPER = "@micropython.viper"
_NOT_FIRMWARE = (".", "__")  # how names begin that are no part of it, but for __init__.py


def lay_out(firmware: Path, into: Path) -> None:
    """Make `into` look like the folder `firmware`, with its viper code widened to 64 bits.

    A file of viper code is copied, anew at each call; everything else is a link, so that an edit shows at once. What
    lies in `into` besides (the board's own files) stays. Raises NotWidenable.
    """
    into.mkdir(parents=True, exist_ok=True)
    entries = {entry.name: entry for entry in firmware.iterdir() if _is_firmware(entry)}
    for place in into.iterdir():
        if place.is_symlink() or _is_viper(place):
            place.unlink()
    for name, entry in entries.items():
        place = into / name
        if place.is_dir() or (entry.is_dir() and any(map(_is_viper, entry.rglob("*.py")))):
            lay_out(entry, place)
        elif _is_viper(entry):
            place.write_text(_widened(entry.read_text(), str(entry)))
        else:
            place.symlink_to(entry)


def _is_firmware(entry: Path) -> bool:
    return entry.name == "__init__.py" or not entry.name.startswith(_NOT_FIRMWARE)


def _is_viper(path: Path) -> bool:
    return path.suffix == ".py" and _VIPER in path.read_text()


_widened = functools.cache(widen)  # a boot takes no longer for it
