"""Tools of a device as attributes of its participant."""

import json

from pressroom.wire.tools import number
from pressroom_host.gateway.tools import PREFIX, Tools


def told(name="move", description="Drive.", parameters=None):
    parameters = {"amount": number("meters", 1, 100)} if parameters is None else parameters
    return {"t": "tool", "name": name, "description": description, "parameters": parameters}


def test_a_tool_becomes_an_attribute_with_a_json_schema():
    attributes = Tools().told(told())
    assert attributes is not None
    assert list(attributes) == [PREFIX + "move"]
    assert json.loads(attributes[PREFIX + "move"]) == {
        "name": "move",
        "description": "Drive.",
        "parameters": {
            "type": "object",
            "properties": {"amount": {"type": "integer", "minimum": 1, "maximum": 100, "description": "meters"}},
            "required": ["amount"],
        },
    }


def test_what_is_told_again_changes_nothing_and_what_is_new_is_announced():
    tools = Tools()
    tools.told(told())
    assert tools.told(told()) == {}
    assert tools.told(told(description="Drive the cart.")) != {}


def test_what_is_too_long_or_too_many_is_not_announced():
    tools = Tools()
    assert tools.told(told(description="x" * 2_000)) is None
    assert tools.told(told(name="")) is None
    for number_of_tool in range(16):
        assert tools.told(told(name=f"tool{number_of_tool}")) is not None
    assert tools.told(told(name="one more")) is None
    assert tools.told(told(name="tool3", description="changed")) is not None
