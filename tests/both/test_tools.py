"""wire.tools: whether a call fits its tool, and a result fits into an answer."""

from pressroom.wire import messages
from pressroom.wire.tools import MAX_RESULT_BYTES, ToolError, arguments, choice, flag, number, result_text, text

PARAMETERS = {"direction": choice("forward", "back"), "amount": number("meters", 1, 100), "gently": flag("or not")}
GOOD = '{"direction": "back", "amount": 10, "gently": true}'


def refused(payload, parameters=PARAMETERS):
    try:
        arguments(payload, parameters)
    except ToolError as error:
        return str(error)
    raise AssertionError("taken: " + payload)


def not_told(result):
    try:
        result_text(result)
    except ToolError as error:
        return str(error)
    raise AssertionError("told")


def test_good_arguments_are_taken():
    assert arguments(GOOD, PARAMETERS) == {"direction": "back", "amount": 10, "gently": True}
    assert arguments('{"amount": 10.0}', {"amount": number("meters", 1, 100)}) == {"amount": 10}
    assert arguments("", {}) == {} and arguments("{}", {}) == {}
    assert arguments('{"name": "M\\u00fcller"}', {"name": text("of whom")}) == {"name": "M\u00fcller"}


def test_what_does_not_fit_is_named():
    assert "whole number" in refused(GOOD.replace("10", '"ten"'))
    assert "whole number" in refused(GOOD.replace("10", "true"))
    assert "whole number" in refused(GOOD.replace("10", "10.5"))
    assert "from 1 to 100" in refused(GOOD.replace("10", "101"))
    assert "one of: forward, back" in refused(GOOD.replace('"back"', '"up"'))
    assert "a text" in refused(GOOD.replace('"back"', "7"))
    assert "true or false" in refused(GOOD.replace("true", "1"))
    assert "no parameter speed" in refused('{"speed": 1}')
    assert "amount" in refused("{}", {"amount": number("meters", 1, 2)})


def test_what_is_no_object_is_refused():
    for payload in ("[1]", "7", '"text"', "null", "{", "{]", "[" * 2_000):
        refused(payload)
    assert "longer than" in refused('{"direction": "%s"}' % ("x" * 2_000))


def test_results_are_text_json_or_nothing_and_not_long():
    assert result_text(None) == ""
    assert result_text("done") == "done"
    assert result_text({"n": 1}) == '{"n": 1}'
    for result in ("x" * (MAX_RESULT_BYTES + 1), list(range(1_000))):
        assert "longer than" in not_told(result)


def test_a_tool_is_a_message():
    told = {"t": "tool", "name": "move", "description": "Drive.", "parameters": PARAMETERS}
    assert messages.parse(messages.encode(told)) == told
