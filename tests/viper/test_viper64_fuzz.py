"""sim/viper64.py: random viper functions, widened on the x64 port, compute what the machine code of chips computes.

The same functions catch a rewriting that leaves out a rule.
"""

import ast
import os

import chip
import programs
import pytest
import x64
from tests.opus.machines.rv32 import Rv32

from pressroom_host.sim import viper64
from pressroom_host.sim.viper64 import _Function, _Value

N_FILES = 60 if os.environ.get("PRESSROOM_LONG") == "1" else 4
N_FUNCTIONS = 100  # a file
N_CALLS = 6  # of each


def calls_of(seed):
    arguments = programs.arguments(seed, N_CALLS)
    return [(f"f{i}", *values) for i in range(N_FUNCTIONS) for values in arguments]


@pytest.fixture(autouse=True)
def _needs_micropython():
    if not x64.MICROPYTHON.exists():
        pytest.skip("MicroPython's unix port is not installed; it exists for Linux x86-64: run `make test` there")


@pytest.mark.parametrize("seed", range(N_FILES))
def test_widened_code_computes_what_a_chip_does(seed, machine, tmp_path):
    source, calls = programs.module(seed, N_FUNCTIONS), calls_of(seed)
    widened, by_chip = x64.run(source, calls, tmp_path), chip.run(source, calls, machine)
    assert [(call, w, c) for call, w, c in zip(calls, widened, by_chip, strict=True) if w != c] == []
    assert len({result for result, _ in by_chip}) > len(calls) // 4  # the functions do compute something


@pytest.fixture(scope="module")
def by_the_chip():
    source, calls = programs.module(0, N_FUNCTIONS), calls_of(0)
    return source, calls, chip.run(source, calls, Rv32())


def test_code_that_is_not_widened_computes_something_else(by_the_chip, tmp_path, monkeypatch):
    monkeypatch.setattr(x64, "widen", lambda source, name: source)
    assert differs(by_the_chip, tmp_path)


class WithoutRule:
    """Methods of the rewriting that leave something out, by the name of what they leave."""

    @staticmethod
    def cut(function, value):
        return value

    @staticmethod
    def argument(function, name):
        return ast.Name(name, ast.Load())

    @staticmethod
    def seen(function, node):
        return function.not_address(function.value(node))

    @staticmethod
    def condition(function, node):
        match node:
            case ast.BoolOp():
                return ast.BoolOp(node.op, [function.condition(value) for value in node.values])
            case ast.UnaryOp(op=ast.Not()):
                return ast.UnaryOp(node.op, function.condition(node.operand))
        return function.value(node).node

    @staticmethod
    def count(function, node):
        return _Value(function.value(node).node, "int", (0, 31))

    @staticmethod
    def signed(function, node):
        return function.cut(function.number(node))

    @staticmethod
    def cast(function, node, to, whole=_Function.cast):
        value = whole(function, node, to)
        return _Value(value.node, value.type, viper64._RANGE.get(value.type))


@pytest.mark.parametrize("rule", [name for name in vars(WithoutRule) if not name.startswith("_")])
def test_a_rule_left_out_is_caught(rule, by_the_chip, tmp_path, monkeypatch):
    monkeypatch.setattr(_Function, rule, getattr(WithoutRule, rule))
    assert differs(by_the_chip, tmp_path)


def test_the_sign_of_a_loaded_word_left_out_is_caught(by_the_chip, tmp_path, monkeypatch):
    monkeypatch.setitem(viper64._LOADED, "ptr32", viper64._RANGE["int"])
    assert differs(by_the_chip, tmp_path)


@pytest.mark.parametrize(
    "operation", ["Add", "Sub", "Mult", "LShift", "RShift", "FloorDiv", "Mod", "BitAnd", "BitOr", "BitXor"]
)
def test_bounds_that_promise_too_much_are_caught(operation, by_the_chip, tmp_path, monkeypatch):
    right = viper64._bounds

    def bounds(op, *of_operands):
        return (0, 0) if type(op).__name__ == operation else right(op, *of_operands)

    monkeypatch.setattr(viper64, "_bounds", bounds)
    assert differs(by_the_chip, tmp_path)


def differs(by_the_chip, folder):
    """Return whether the rewriting as it is now makes code that computes anything else than the chip."""
    source, calls, results = by_the_chip
    try:
        return x64.run(source, calls, folder) != results
    except x64.Failed:  # a wild store, say
        return True
