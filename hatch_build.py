"""Puts what is not a Python package of the host (firmware/, boards/) into the wheel, for pressroom_host.assets to find.

An editable install reads both from the checkout, so it gets nothing: a copy would be stale after the next change.
"""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_ASSET_FOLDERS = ("firmware", "boards")


class AssetsHook(BuildHookInterface[Any]):
    """The build hook hatchling finds here."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the folders to the wheel; version is `standard` or `editable`."""
        if version == "editable":
            return
        for folder in _ASSET_FOLDERS:
            build_data["force_include"][folder] = f"pressroom_host/_assets/{folder}"
