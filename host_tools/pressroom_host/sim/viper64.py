"""Viper code written for 32-bit chips, rewritten to compute the same where MicroPython has 64 bits. No I/O.

On the chip viper's integers wrap at 32 bits and a `ptr32` loads a signed word; on x64 they have 64 bits and the word
has no sign. widen() changes the text of viper functions, and leaves every line where it was, such that:

 1. A local, an argument, a result and whatever is compared, divided, shifted right or tested hold 32 bits, extended to
    64: `x << 32 >> 32` does it for int, and for uint, whose `>>` is logical. `+ - * << & | ^` need only the low 32
    bits of what they are given, and may leave anything above.
 2. That cut is left out where the bounds of a value prove that it changes nothing.
 3. Stores through a pointer cut by themselves; words loaded through a ptr32 have no sign yet.
 4. A shift counts modulo 32.
 5. int() and uint() between integers change the type only: how the bits above are to be extended.
 6. A pointer moves as `ptr8(int(p) + offset)`; `int(p) < int(q)` compares. Addresses do anything else nowhere.

What viper would do with the rest of Python is not known here, so it is refused. The types are those of py/emitnative.c:
the first store in the text gives a local its type, an operation has that of its left side.
"""

import ast
import contextlib
import operator
from dataclasses import dataclass
from typing import Any, TypeVar

from pressroom_host.errors import UserError

_INT, _UINT, _BOOL, _OBJECT, _ADDRESS = "int", "uint", "bool", "object", "address"
_INTEGERS = (_INT, _UINT)
_Bounds = tuple[int, int]
_RANGE: dict[str, _Bounds] = {_INT: (-(1 << 31), (1 << 31) - 1), _UINT: (0, (1 << 32) - 1), _BOOL: (0, 1)}
_LOADED: dict[str, _Bounds] = {"ptr8": (0, 0xFF), "ptr16": (0, 0xFFFF), "ptr32": (0, 0xFFFF_FFFF)}
_SHIFT_COUNTS: _Bounds = (0, 31)
_REGISTER: _Bounds = (-(1 << 63), (1 << 63) - 1)
_SMALL_INTS: _Bounds = (-(1 << 30), (1 << 30) - 1)

_CORNERS: dict[type[ast.operator], Any] = {  # operations whose extremes lie at the extremes of their operands
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.FloorDiv: operator.floordiv,
}
_BITWISE: dict[type[ast.operator], Any] = {
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
}

_INSTEAD = {
    ast.For: "a while loop",
    ast.BoolOp: "if and else; `and` and `or` stand in conditions only",
    ast.Attribute: "an argument, or a word of the workspace",
    ast.Tuple: "one value at a time",
    ast.AnnAssign: "a store without a type: the first one gives it",
    ast.Raise: "a result that the caller looks at",
    ast.Assert: "a check in the caller",
}


_Node = TypeVar("_Node", bound=ast.AST)


class NotWidenable(UserError):
    """Viper code holds what cannot be made to compute the same on 64 bits."""


@dataclass(frozen=True)
class _Value:
    """An expression, its type, and the bounds of what the 64-bit register holds; None: anything."""

    node: ast.expr
    type: str
    bounds: _Bounds | None = None


def widen(source: str, name: str = "viper code") -> str:
    """Return the source with its viper functions rewritten for 64 bits, every line where it was.

    name: of the file, for errors. Raises NotWidenable with file, line and what to write instead.
    """
    tree = ast.parse(source, name)
    constants = _constants(tree)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and _is_viper(node)]
    return _edited(source, [edit for node in functions for edit in _Function(node, constants, name).edits()])


class _Function:
    """One viper function on its way to 64 bits."""

    def __init__(self, function: ast.FunctionDef, constants: dict[str, int], name: str) -> None:
        self._function = function
        self._constants = constants
        self._name = name
        self._types: dict[str, str] = {}
        self._line = function.lineno
        self._edits: list[tuple[ast.AST, str]] = []

    def edits(self) -> list[tuple[int, int, int, int, str]]:
        """Return (line, column, end line, end column, text): what to write where."""
        cuts = self.parameters()
        self.block(self._function.body)
        edits = [(*_span(node), text) for node, text in self._edits]
        if cuts:
            first = self._function.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                line, column = _span(first)[2:]
                edits.append((line, column, line, column, "; " + "; ".join(cuts)))
            elif isinstance(first, (ast.If, ast.While)):
                raise self.refusal(first, "an integer argument before a loop or condition", "a docstring above it")
            else:
                line, column = _span(first)[:2]
                edits.append((line, column, line, column, "; ".join(cuts) + "; "))
        return edits

    def parameters(self) -> list[str]:
        """Type the parameters; return the statements that cut them to 32 bits."""
        arguments = self._function.args
        if arguments.vararg or arguments.kwarg or arguments.kwonlyargs or arguments.defaults:
            raise self.refusal(self._function, "an argument with * or a default", "plain arguments")
        for argument in arguments.args:
            self._types[argument.arg] = ast.unparse(argument.annotation) if argument.annotation else _OBJECT
        return [
            f"{name} = {ast.unparse(self.argument(name))}"
            for name, of_type in self._types.items()
            if of_type in _INTEGERS
        ]

    # Statements.

    def block(self, body: list[ast.stmt]) -> None:
        for statement in body:
            self.statement(statement)

    def statement(self, node: ast.stmt) -> None:
        self._line = node.lineno
        match node:
            case ast.Pass() | ast.Break() | ast.Continue() | ast.Expr(value=ast.Constant()) | ast.Return(value=None):
                pass
            case ast.If() | ast.While():
                self.edit(node.test, self.condition(node.test))
                self.block(node.body)
                self.block(node.orelse)
            case ast.Return(value=ast.expr() as value):
                self.edit(node, _with(node, value=self.seen(value).node))
            case ast.Expr(value=ast.Call() as call):
                self.edit(node, _with(node, value=self.value(call).node))
            case ast.Assign():
                stored = self.value(node.value)
                if any(isinstance(target, ast.Name) for target in node.targets):
                    stored = self.cut(self.not_address(stored))
                targets = [self.target(target, stored) for target in node.targets]
                self.edit(node, _with(node, targets=targets, value=stored.node))
            case ast.AugAssign():
                self.augmented(node)
            case _:
                raise self.refusal(node, type(node).__name__)

    def augmented(self, node: ast.AugAssign) -> None:
        match node.target:
            case ast.Name() as target:
                result = self.binary(ast.BinOp(ast.Name(target.id, ast.Load()), node.op, node.value))
                whole = self.cut(result)
                if whole is result and isinstance(result.node, ast.BinOp):
                    self.edit(node, _with(node, value=result.node.right))
                else:
                    self.edit(node, ast.Assign([target], whole.node, lineno=node.lineno))
            case ast.Subscript() as target:
                if isinstance(node.op, (ast.RShift, ast.FloorDiv, ast.Mod)):  # these would want the load cut
                    raise self.refusal(node, ast.unparse(node), "load and store apart, as in p[i] = p[i] >> n")
                right = self.count(node.value) if isinstance(node.op, ast.LShift) else self.number(node.value)
                self.edit(node, _with(node, target=self.element(target), value=right.node))
            case target:
                raise self.refusal(target, type(target).__name__)

    def target(self, node: ast.expr, value: _Value) -> ast.expr:
        match node:
            case ast.Name():
                self._types.setdefault(node.id, value.type)
                return node
            case ast.Subscript():
                if value.type not in _RANGE:
                    raise self.refusal(node, f"a store of type {value.type} into memory", "int(...) of it")
                return self.element(node)
        raise self.refusal(node, f"a store into {type(node).__name__}")

    def edit(self, old: ast.AST, new: ast.AST) -> None:
        if new is not old:
            self._edits.append((old, ast.unparse(new)))

    # Expressions.

    def condition(self, node: ast.expr) -> ast.expr:
        match node:
            case ast.BoolOp():
                return _with(node, values=[self.condition(value) for value in node.values])
            case ast.UnaryOp(op=ast.Not()):
                return _with(node, operand=self.condition(node.operand))
        return self.seen(node).node

    def value(self, node: ast.expr) -> _Value:
        """Return what an expression becomes; its bits above 31 may be anything."""
        self._line = getattr(node, "lineno", self._line)
        if (folded := _folded(node, self._constants)) is not None:
            if not _within((folded, folded), _SMALL_INTS):
                raise self.refusal(
                    node, f"the literal {folded}, which is an object on the chip,", "uint(high) << 16 | low"
                )
            return _Value(node, _INT, (folded, folded))
        match node:
            case ast.Constant():
                return _Value(node, _BOOL, _RANGE[_BOOL]) if isinstance(node.value, bool) else _Value(node, _OBJECT)
            case ast.Name():
                if (of_type := self._types.get(node.id)) is None:
                    raise self.refusal(node, f"the global name {node.id}", "an argument")
                return _Value(node, of_type, _RANGE.get(of_type))
            case ast.UnaryOp(op=ast.USub()):
                operand = self.number(node.operand)
                bounds = _bounds(ast.Sub(), (0, 0), operand.bounds)
                return _Value(_with(node, operand=operand.node), operand.type, bounds)
            case ast.UnaryOp(op=ast.Invert()):  # emit_native_unary_op loads -1 into a register that may be in use
                raise self.refusal(
                    node, f"{ast.unparse(node)}, of which the Xtensa compiler makes wrong code,", "-1 ^ x"
                )
            case ast.BinOp():
                return self.binary(node)
            case ast.Compare(ops=[ast.Lt() | ast.LtE() | ast.Gt() | ast.GtE() | ast.Eq() | ast.NotEq()]):
                left, right = self.value(node.left), self.value(node.comparators[0])
                if not left.type == right.type == _ADDRESS:
                    left, right = self.cut(self.is_number(left)), self.cut(self.is_number(right))
                return _Value(_with(node, left=left.node, comparators=[right.node]), _BOOL, _RANGE[_BOOL])
            case ast.IfExp():
                test, body, other = self.condition(node.test), self.seen(node.body), self.seen(node.orelse)
                if body.type != other.type:
                    raise self.refusal(node, f"a choice of {body.type} and {other.type}", "one type")
                choice = _with(node, test=test, body=body.node, orelse=other.node)
                return _Value(choice, body.type, _RANGE.get(body.type))
            case ast.Subscript():
                element = self.element(node)
                return _Value(element, _INT, _LOADED[self.value(node.value).type])
            case ast.Call(func=ast.Name(id=called), keywords=[]):
                if called in self._types:
                    return self.call(node)
                if len(node.args) == 1 and called in (*_INTEGERS, *_LOADED):
                    return self.cast(node, called)
        raise self.refusal(node, type(node).__name__)

    def binary(self, node: ast.BinOp) -> _Value:
        left = self.value(node.left)
        if left.type == _ADDRESS and isinstance(node.op, (ast.Add, ast.Sub)):
            return _Value(_with(node, left=left.node, right=self.signed(node.right).node), _ADDRESS)
        left = self.is_number(left)
        match node.op:
            case ast.LShift():
                right = self.count(node.right)
            case ast.RShift():
                left, right = self.cut(left), self.count(node.right)
            case ast.FloorDiv() | ast.Mod():
                left, right = self.cut(left), self.signed(node.right)
            case ast.Add() | ast.Sub() | ast.Mult() | ast.BitAnd() | ast.BitOr() | ast.BitXor():
                right = self.number(node.right)
            case _:
                raise self.refusal(node, f"the operator {type(node.op).__name__}")
        result = _with(node, left=left.node, right=right.node)
        return _Value(result, left.type, _bounds(node.op, left.bounds, right.bounds))

    def element(self, node: ast.Subscript) -> ast.Subscript:
        pointer = self.value(node.value)
        if pointer.type not in _LOADED:
            raise self.refusal(node, f"an index into type {pointer.type}", "a pointer: w = ptr32(words)")
        return _with(node, value=pointer.node, slice=self.index(node.slice))

    def index(self, node: ast.expr) -> ast.expr:
        """Cut the terms of a sum and not the sum: one that leaves 32 bits leaves every buffer too."""
        if (
            isinstance(node, ast.BinOp)
            and isinstance(node.op, (ast.Add, ast.Sub))
            and _folded(node, self._constants) is None
        ):
            return _with(node, left=self.index(node.left), right=self.index(node.right))
        return self.signed(node).node

    def call(self, node: ast.Call) -> _Value:
        assert isinstance(node.func, ast.Name)
        if self._types[node.func.id] != _OBJECT:
            raise self.refusal(node, f"a call of a {self._types[node.func.id]}")
        arguments = [self.seen(argument) for argument in node.args]
        for argument in arguments:
            if argument.type in _LOADED:
                raise self.refusal(node, "a pointer as an argument", "the buffer itself")
        return _Value(_with(node, args=[argument.node for argument in arguments]), _OBJECT)

    def cast(self, node: ast.Call, to: str) -> _Value:
        value = self.value(node.args[0])
        new = _with(node, args=[value.node])
        is_integer = value.type in _RANGE
        if to in _LOADED and not is_integer:
            return _Value(new, to)
        if to == _INT and value.type in _LOADED:
            return _Value(new, _ADDRESS)
        if to in _RANGE and (is_integer or value.type == _OBJECT):
            return _Value(new, to, value.bounds)
        raise self.refusal(
            node, f"{to}() of type {value.type}", "ptr8(int(p) + offset), the only way an address may go"
        )

    # The rules.

    def cut(self, value: _Value) -> _Value:
        """Rules 1 and 2: extend an integer from 32 bits, unless it is so already."""
        if value.type not in _INTEGERS or _within(value.bounds, _RANGE[value.type]):
            return value
        high = ast.BinOp(value.node, ast.LShift(), ast.Constant(32))
        return _Value(ast.BinOp(high, ast.RShift(), ast.Constant(32)), value.type, _RANGE[value.type])

    def argument(self, name: str) -> ast.expr:
        """Rule 1 for what comes in."""
        return self.cut(_Value(ast.Name(name, ast.Load()), self._types[name])).node

    def count(self, node: ast.expr) -> _Value:
        """Rule 4."""
        value = self.number(node)
        if _within(value.bounds, _SHIFT_COUNTS):
            return value
        return _Value(ast.BinOp(value.node, ast.BitAnd(), ast.Constant(31)), value.type, _SHIFT_COUNTS)

    def signed(self, node: ast.expr) -> _Value:
        """Rules 1 and 5 where viper takes even a uint for signed: an index, an offset, a divisor."""
        value = self.number(node)
        if value.type == _UINT:
            value = _Value(ast.Call(ast.Name(_INT, ast.Load()), [value.node], []), _INT, value.bounds)
        return self.cut(value)

    # Checks.

    def seen(self, node: ast.expr) -> _Value:
        """Return a value that somebody looks at."""
        return self.cut(self.not_address(self.value(node)))

    def number(self, node: ast.expr) -> _Value:
        return self.is_number(self.value(node))

    def is_number(self, value: _Value) -> _Value:
        if value.type not in _INTEGERS:
            raise self.refusal(value.node, f"arithmetic with type {value.type}", "int(...) of it")
        return value

    def not_address(self, value: _Value) -> _Value:
        if value.type == _ADDRESS:
            raise self.refusal(value.node, "an address in an integer", "ptr8(int(p) + offset) or int(p) < int(q)")
        return value

    def refusal(self, node: ast.AST, what: str, instead: str = "") -> NotWidenable:
        instead = instead or _INSTEAD.get(type(node), "it in bytecode, outside of viper")
        where = f"{self._name}:{self._line}: {self._function.name}"
        return NotWidenable(f"{where}: {what} cannot be made to compute the same on 64 bits; write {instead}")


def _bounds(op: ast.operator, left: _Bounds | None, right: _Bounds | None) -> _Bounds | None:
    """Return the bounds of `left op right` in a register of 64 bits; None: anything."""
    if isinstance(op, ast.BitAnd):
        masks = [mask[1] for mask in (left, right) if mask is not None and mask[0] >= 0]
        if masks:
            return 0, min(masks)
    if isinstance(op, ast.Mod) and right is not None:
        return (0, right[1] - 1) if right[0] > 0 else _RANGE[_INT]
    if left is None or right is None or (isinstance(op, ast.FloorDiv) and right[0] <= 0):
        return None
    if type(op) in _BITWISE:
        power = 1 << max((bound if bound >= 0 else ~bound).bit_length() for bound in left + right)
        low, high = (0 if left[0] >= 0 and right[0] >= 0 else -power), power - 1
    else:
        corners = [_CORNERS[type(op)](a, b) for a in left for b in right]
        low, high = min(corners), max(corners)
    return (low, high) if _within((low, high), _REGISTER) else None


def _within(bounds: _Bounds | None, allowed: _Bounds) -> bool:
    return bounds is not None and allowed[0] <= bounds[0] and bounds[1] <= allowed[1]


def _folded(node: ast.expr, constants: dict[str, int]) -> int | None:
    """Return what MicroPython's compiler makes of an expression without variables."""
    match node:
        case ast.Constant(value=value) if type(value) is int:
            return value
        case ast.Name(id=name):
            return constants.get(name)
        case ast.UnaryOp(op=ast.USub() | ast.Invert(), operand=operand):
            value = _folded(operand, constants)
            return None if value is None else -value if isinstance(node.op, ast.USub) else ~value
        case ast.BinOp():
            left, right = _folded(node.left, constants), _folded(node.right, constants)
            operation = {**_CORNERS, **_BITWISE}.get(type(node.op))
            if left is not None and right is not None and operation is not None:
                with contextlib.suppress(ArithmeticError, ValueError):  # 1 // 0, 1 << -1: MicroPython complains
                    return int(operation(left, right))
    return None


def _constants(tree: ast.Module) -> dict[str, int]:
    """Return what the module calls `_NAME = const(...)`."""
    constants: dict[str, int] = {}
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=ast.Name(id="const"), args=[value])):
                if (n := _folded(value, constants)) is not None:
                    constants[name] = n
    return constants


def _is_viper(function: ast.FunctionDef) -> bool:
    return any(ast.unparse(decorator) == "micropython.viper" for decorator in function.decorator_list)


def _with(node: _Node, **fields: Any) -> _Node:
    """Return the node with these fields: itself if they are the ones it has."""
    old = {name: getattr(node, name) for name in fields}
    same = [a is b for name in fields for a, b in zip(_listed(old[name]), _listed(fields[name]), strict=True)]
    return node if all(same) else type(node)(**{**vars(node), **fields})


def _listed(field: Any) -> list[Any]:
    return field if isinstance(field, list) else [field]


def _span(node: ast.AST) -> tuple[int, int, int, int]:
    assert isinstance(node, (ast.stmt, ast.expr)) and node.end_lineno is not None and node.end_col_offset is not None
    return node.lineno, node.col_offset, node.end_lineno, node.end_col_offset


def _edited(source: str, edits: list[tuple[int, int, int, int, str]]) -> str:
    """Write every edit in its place; lines it no longer needs stay empty, so that the others keep their numbers."""
    lines = [line.encode() for line in source.split("\n")]  # columns count bytes
    for line, column, end_line, end_column, text in sorted(edits, reverse=True):
        lines[line - 1] = lines[line - 1][:column] + text.encode() + lines[end_line - 1][end_column:]
        lines[line:end_line] = [b""] * (end_line - line)
    return b"\n".join(lines).decode()
