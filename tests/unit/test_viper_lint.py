"""What viper code must not hold: what the chip's compiler gets wrong, and what is an object there instead of a number.

Xtensa's compiler is wrong about constant indices above 255 (py/asmxtensa.c loads the base of a pointer on the stack
over itself) and about `~` (py/emitnative.c spoils a register); x64 and RISC-V are right, so nothing else would show it.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

FIRMWARE = Path(__file__).resolve().parents[2] / "firmware"
SOURCES = sorted(path for path in FIRMWARE.rglob("*.py") if "@micropython.viper" in path.read_text())
OPUS = sorted((FIRMWARE / "pressroom" / "opus").glob("*.py"))

_MAX_INDEX = 255
_MAX_INT = (1 << 30) - 1
_CASTS = {"int", "uint", "ptr8", "ptr16", "ptr32"}


def constants(tree: ast.Module) -> dict[str, int]:
    """Return what `_NAME = const(...)` folds to in a file."""
    found: dict[str, int] = {}
    for node in tree.body:
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Call)
            and isinstance(node.value.func, ast.Name)
            and node.value.func.id == "const"
            and isinstance(node.targets[0], ast.Name)
        ):
            value = folded(node.value.args[0], found)
            if value is not None:
                found[node.targets[0].id] = value
    return found


def folded(node: ast.expr, known: dict[str, int]) -> int | None:
    """Return the number an expression of constants is, as the compiler folds it; None if it is none."""
    names = {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
    if not names <= set(known) or any(isinstance(each, (ast.Call, ast.Subscript)) for each in ast.walk(node)):
        return None
    value = eval(compile(ast.Expression(node), "const", "eval"), {}, dict(known))
    return value if type(value) is int else None


def viper_functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and any("viper" in ast.unparse(each) for each in node.decorator_list):
            yield node


def faults(source: str) -> list[str]:
    """Return a line for each thing that must not be in the viper functions of a source."""
    tree = ast.parse(source)
    known = constants(tree)
    return [
        f"{function.name}:{line}: {what}"
        for function in viper_functions(tree)
        for line, what in _faults_of(function, known)
    ]


def _faults_of(function: ast.FunctionDef, known: dict[str, int]) -> Iterator[tuple[int, str]]:
    if function.args.defaults or function.args.kw_defaults:
        yield function.lineno, "a default argument"
    local = {each.arg for each in function.args.args}
    local |= {node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    annotations = {id(node) for each in function.args.args if each.annotation for node in ast.walk(each.annotation)}
    annotations |= {id(node) for node in ast.walk(function.returns)} if function.returns else set()
    decorators = {id(node) for each in function.decorator_list for node in ast.walk(each)}
    for node in ast.walk(function):
        if id(node) in annotations or id(node) in decorators:
            continue
        if isinstance(node, ast.Subscript):
            index = folded(node.slice, known)
            if index is not None and not 0 <= index <= _MAX_INDEX:
                yield node.lineno, f"the constant index {index}; above {_MAX_INDEX} move the pointer"
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Invert):
            yield node.lineno, "~, which Xtensa's compiler gets wrong; write -1 ^ x"
        elif isinstance(node, ast.Assign) and _is_address(node.value):
            yield node.lineno, "an address in a number; keep it a pointer"
        elif (
            isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id not in local | set(known) | _CASTS
        ):
            yield node.lineno, f"{node.id} is looked up at run time; make it an argument"
        if isinstance(node, ast.expr) and not isinstance(node, ast.Name):
            value = folded(node, known)
            if value is not None and not -_MAX_INT - 1 <= value <= _MAX_INT:
                yield node.lineno, f"the number {value}, which is an object on the chip"


def _is_address(node: ast.expr) -> bool:
    """Is it int(pointer), or a sum with one? What a pointer is, its name tells: viper code has no int() of numbers."""
    return (
        isinstance(node, ast.BinOp)
        and isinstance(node.left, ast.Call)
        and isinstance(node.left.func, ast.Name)
        and node.left.func.id == "int"
        and isinstance(node.left.args[0], ast.Name)
        and isinstance(node.op, ast.Add)
    )


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_viper_code_holds_nothing_that_the_chip_gets_wrong(path):
    assert faults(path.read_text()) == []


def test_there_is_viper_code_to_look_at():
    assert sum(1 for path in SOURCES for _ in viper_functions(ast.parse(path.read_text()))) > 50


def test_a_word_of_a_codecs_workspace_has_one_name_for_one_place():
    places: dict[str, dict[int, str]] = {}
    for path in OPUS:
        for name, value in constants(ast.parse(path.read_text())).items():
            places.setdefault(name, {})[value] = path.name
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


HEAD = "import micropython\nfrom micropython import const\n\n_FAR = const(300)\n\n\n@micropython.viper\n"


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("def f(p: ptr32):\n    p[256] = 1\n", "the constant index 256"),
        ("def f(p: ptr32) -> int:\n    return p[_FAR]\n", "the constant index 300"),
        ("def f(p: ptr32) -> int:\n    return p[200 + 56]\n", "the constant index 256"),
        ("def f(i: int) -> int:\n    return i & 0x40000000\n", "the number 1073741824"),
        ("def f(i: int) -> int:\n    return i + (1 << 31)\n", "the number 2147483648"),
        ("def f(i: int) -> int:\n    return ~i\n", "~, which Xtensa"),
        ("def f(i: int = 3) -> int:\n    return i\n", "a default argument"),
        ("def f(i: int) -> int:\n    return int(g(i))\n", "g is looked up"),
        ("def f(p: ptr32):\n    q = int(p) + 4\n", "an address in a number"),
    ],
)
def test_each_rule_catches_what_it_is_for(code, what):
    assert [what in fault for fault in faults(HEAD + code)] == [True]


@pytest.mark.parametrize(
    "code",
    [
        "def f(p: ptr32, i: int) -> int:\n    return p[255] + p[_FAR + i]\n",
        "def f(p: ptr32, q: ptr32):\n    p = ptr32(int(p) + 4 * _FAR)\n    while int(p) < int(q):\n        p[0] = 1\n",
        "def f(i: int) -> int:\n    one = 1\n    return (one << 31) ^ 0x3FFFFFFF\n",
        "def f(W, g, i: int) -> int:\n    return int(g(W, i))\n",
    ],
)
def test_what_is_right_is_let_through(code):
    assert faults(HEAD + code) == []
