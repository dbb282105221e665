"""Tools of a device, announced to agents: an attribute of its participant for each, with a JSON schema. No I/O.

An agent calls one by LiveKit's RPC: its name is the method, its arguments are a JSON object. A device tells its tools
after each welcome; only what is new is announced.
"""

import json
from typing import Final

from .room_view import Message

PREFIX: Final = "pressroom.tool."
_MAX_TOOLS: Final = 16
_MAX_BYTES: Final = 1_024  # of an attribute


class Tools:
    """What was announced, over all links of a Session."""

    def __init__(self) -> None:
        self._attributes: dict[str, str] = {}

    def told(self, message: Message) -> dict[str, str] | None:
        """A device tells a tool; return the attributes that change, or None if it cannot be announced."""
        name, parameters = message["name"], message["parameters"]
        schema = {"type": "object", "properties": parameters, "required": sorted(parameters)}
        tool = {"name": name, "description": message["description"], "parameters": schema}
        key, value = PREFIX + name, json.dumps(tool, separators=(",", ":"))
        is_known = key in self._attributes
        if not name or len(value.encode()) > _MAX_BYTES or (not is_known and len(self._attributes) >= _MAX_TOOLS):
            return None
        if self._attributes.get(key) == value:
            return {}
        self._attributes[key] = value
        return {key: value}
