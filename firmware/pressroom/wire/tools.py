"""Tools of a board, which agents may call: their parameters as JSON schemas, and whether a call fits them. No I/O."""

import json

from .errors import WireError
from .port import const

MAX_RESULT_BYTES = const(1_024)
_MAX_PAYLOAD_BYTES = const(1_024)


class ToolError(WireError):
    """A call does not fit its tool, or a result does not fit into a message; the text is for the agent."""


def number(unit, least, most):
    """Describe a whole number, from least to most. unit: of what it counts, such as "meters"."""
    return {"type": "integer", "minimum": least, "maximum": most, "description": unit}


def choice(*names):
    """Describe one of some words."""
    return {"type": "string", "enum": list(names)}


def text(meaning):
    """Describe a text."""
    return {"type": "string", "description": meaning}


def flag(meaning):
    """Describe a yes or no."""
    return {"type": "boolean", "description": meaning}


def arguments(payload, parameters):
    """Return the arguments in the payload of a call: JSON, an object. parameters: name -> schema. Raises ToolError."""
    if len(payload.encode()) > _MAX_PAYLOAD_BYTES:
        raise ToolError("the arguments are longer than %d bytes" % _MAX_PAYLOAD_BYTES)
    try:
        given = json.loads(payload or "{}")
    except (ValueError, RuntimeError, TypeError):  # RuntimeError: nested too deep; TypeError: a list as key
        raise ToolError("the arguments are not JSON")
    if not isinstance(given, dict):
        raise ToolError("the arguments are not an object")
    for name in given:
        if name not in parameters:
            raise ToolError("there is no parameter %s; those are: %s" % (name, ", ".join(sorted(parameters))))
    return {name: _fitting(name, given.get(name), schema) for name, schema in parameters.items()}


def result_text(result):
    """Return what a tool returned as the JSON text of the answer; None is "". Raises ToolError."""
    if result is None:
        return ""
    try:
        told = result if isinstance(result, str) else json.dumps(result)
    except TypeError:
        raise ToolError("the result is nothing that JSON has")
    if len(told.encode()) > MAX_RESULT_BYTES:
        raise ToolError("the result is longer than %d bytes" % MAX_RESULT_BYTES)
    return told


def _fitting(name, value, schema):
    kind = schema["type"]
    if kind == "integer":
        if isinstance(value, float) and value == int(value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise ToolError("%s has to be a whole number" % name)
        if not schema["minimum"] <= value <= schema["maximum"]:
            raise ToolError("%s has to be from %d to %d" % (name, schema["minimum"], schema["maximum"]))
    elif kind == "boolean":
        if not isinstance(value, bool):
            raise ToolError("%s has to be true or false" % name)
    elif not isinstance(value, str):
        raise ToolError("%s has to be a text" % name)
    elif value not in schema.get("enum", (value,)):
        raise ToolError("%s has to be one of: %s" % (name, ", ".join(schema["enum"])))
    return value
