"""The only way to find what is not Python code of the host: the firmware's files and the boards.

In a checkout (an editable install too) they are read where they stand; a wheel carries them in pressroom_host/_assets,
where hatch_build.py puts them. Nothing is ever copied into a checkout, so nothing there can be stale.
"""

from pathlib import Path

from pressroom_host.errors import UserError

_PACKAGE = Path(__file__).resolve().parent


class AssetMissing(UserError):
    """A file that ships with Pressroom is not where it should be."""


class BoardUnknown(UserError):
    """No board file has that name."""


def root() -> Path:
    """Return the folder that holds firmware/ and boards/: the checkout, else the wheel's copy."""
    if _PACKAGE.parent.name == "host_tools":
        return _PACKAGE.parent.parent
    return _PACKAGE / "_assets"


def firmware_folder() -> Path:
    """Return the folder whose content is a board's filesystem: main.py and pressroom/."""
    folder = root() / "firmware"
    if not (folder / "main.py").is_file():
        raise AssetMissing(f"{folder} holds no main.py; install pressroom again, or check out the whole repository")
    return folder


def board_names() -> list[str]:
    """Return the names of the boards Pressroom knows, sorted."""
    return sorted(path.stem for path in (root() / "boards").glob("*.json"))


def board_file(name: str) -> Path:
    """Return the path of a board's JSON file. Raises BoardUnknown with the names that exist."""
    if name not in board_names():
        known = ", ".join(board_names())
        raise BoardUnknown(f"board {name!r} is unknown; choose one of: {known}")
    return root() / "boards" / f"{name}.json"
