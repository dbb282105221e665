"""Random viper functions, from a seed: every type, operator and form of store that viper64.py lets through.

Each takes the same arguments: three windows on one buffer, three integers, and a function to call. They end, they write
only into the first 96 bytes, they divide by no zero, and no number of more than 31 bits crosses a call: it would be an
object of the runtime there. Otherwise anything may overflow.
"""

import random
from collections.abc import Callable

MEMORY_BYTES = 128
SIGNATURE = "(w: ptr32, h: ptr16, b: ptr8, x: int, y: uint, z: int, g)"
CALLEE = '''@micropython.viper
def callee(x: int, y: uint) -> int:
    """Called by the others."""
    return (x << 3) - int(y >> 1) >> 2
'''

_EXTREMES = (0, 1, -1, 2, 3, 5, 7, 8, 31, 100, 255, 256, 32767, -32768, 65535, (1 << 30) - 1, -(1 << 30))
_INTS = ("x", "z", "i", "j", "k")
_UINTS = ("y", "u", "v")
_FIRST = (
    "i = x",
    "j = w[3] - 3",
    "k = w[2]",
    "u = y",
    "v = uint(w[1])",
    "f = x < z",
    "p = ptr32(int(w) + 32)",
    "q = w",
)
_MODULAR = ("+", "-", "*", "&", "|", "^")


def module(seed: int, n_functions: int) -> str:
    """Return a file with CALLEE and functions f0, f1, ..."""
    generator = random.Random(seed)
    functions = [_Program(generator, f"f{i}").source() for i in range(n_functions)]
    return "\n\n".join(["import micropython\n", CALLEE, *functions])


def arguments(seed: int, n_calls: int) -> list[tuple[bytes, int, int, int]]:
    """Return memory, x, y and z of so many calls."""
    generator = random.Random(seed)

    def number() -> int:
        return generator.choice((generator.choice(_EXTREMES), generator.getrandbits(31) - (1 << 30)))

    return [(generator.randbytes(MEMORY_BYTES), number(), number(), number()) for _ in range(n_calls)]


class _Program:
    def __init__(self, generator: random.Random, name: str) -> None:
        self._random = generator
        self._name = name
        self._n_loops = 0

    def source(self) -> str:
        body = [*_FIRST, *self._block(self._random.randint(3, 9), depth=2)]
        result, returned = self._random.choice(
            (("int", f"{self._int(3)} >> 2"), ("uint", f"{self._uint(3)} >> 2"), ("bool", "f"))
        )
        lines = "\n".join("    " + line for line in [f'"""{self._name}."""', *body, f"return {returned}"])
        return f"@micropython.viper\ndef {self._name}{SIGNATURE} -> {result}:\n{lines}\n"

    def _block(self, n_statements: int, depth: int) -> list[str]:
        lines: list[str] = []
        for _ in range(n_statements):
            lines += self._statement(depth)
        return lines

    def _statement(self, depth: int) -> list[str]:
        kinds: list[Callable[[int], list[str]]] = [
            self._set_int, self._set_uint, self._change_int, self._change_uint, self._store, self._change_memory,
            self._set_flag, self._move_pointer, self._set_both, self._call,
        ]  # fmt: skip
        if depth:
            kinds += [self._if, self._loop]
        return self._random.choice(kinds)(depth)

    def _set_int(self, _: int) -> list[str]:
        return [f"{self._random.choice(_INTS)} = {self._int(3)}"]

    def _set_uint(self, _: int) -> list[str]:
        return [f"{self._random.choice(_UINTS)} = {self._uint(3)}"]

    def _set_flag(self, _: int) -> list[str]:
        return [f"f = {self._comparison(2)}"]

    def _set_both(self, _: int) -> list[str]:
        return [f"{self._random.choice(_INTS)} = {self._element()} = {self._int(2)}"]

    def _change_int(self, _: int) -> list[str]:
        operation, right = self._operation(2, (*_MODULAR, "<<", ">>", "//", "%"))
        return [f"{self._random.choice(_INTS)} {operation}= {right}"]

    def _change_uint(self, _: int) -> list[str]:
        operation, right = self._operation(2, (*_MODULAR, "<<", ">>"))
        return [f"{self._random.choice(_UINTS)} {operation}= {right}"]

    def _store(self, _: int) -> list[str]:
        return [f"{self._element()} = {self._random.choice((self._int, self._uint))(3)}"]

    def _change_memory(self, _: int) -> list[str]:
        operation, right = self._operation(2, (*_MODULAR, "<<"))
        return [f"{self._element()} {operation}= {right}"]

    def _move_pointer(self, _: int) -> list[str]:
        pointer = self._random.choice("pq")
        sign = self._random.choice(("int(w) + ", "int(w) + 28 - "))
        return [f"{pointer} = ptr32({sign}4 * ({self._int(2)} & 7))"]

    def _call(self, _: int) -> list[str]:
        name, cast = self._random.choice((("i", "int"), ("v", "uint")))
        return [f"{name} = {cast}(g({self._number(2)} >> 2, {self._number(2)} >> 2))"]

    def _if(self, depth: int) -> list[str]:
        lines = [f"if {self._condition(2)}:", *self._indented(depth)]
        if self._random.random() < 0.5:
            lines += ["else:", *self._indented(depth)]
        return lines

    def _loop(self, depth: int) -> list[str]:
        self._n_loops += 1
        counter = f"n{self._n_loops}"
        condition = self._random.choice((counter, f"{counter} > 0", f"{counter} > 0 and ({self._condition(1)})"))
        lines = [f"{counter} = {self._int(1)} & 7", f"while {condition}:", *self._indented(depth)]
        return [*lines, f"    {counter} -= 1"]

    def _indented(self, depth: int) -> list[str]:
        return ["    " + line for line in self._block(self._random.randint(1, 3), depth - 1)]

    def _condition(self, depth: int) -> str:
        choice = self._random.randrange(8 if depth else 5)
        if choice < 3:
            return self._comparison(depth)
        if choice == 3:  # true or not by what is above bit 31
            return f"{self._number(depth)}{self._random.choice(('', ' << 30', ' * (1 << 29)'))}"
        if choice == 4:
            return self._random.choice(("f", "int(p) < int(q)", "int(p) == int(w) + 8", "int(q) >= int(p)"))
        if choice == 5:
            return f"not ({self._condition(depth - 1)})"
        joined = self._random.choice(("and", "or"))
        return f"({self._condition(depth - 1)}) {joined} ({self._condition(depth - 1)})"

    def _comparison(self, depth: int) -> str:
        of_type = self._random.choice((self._int, self._uint))
        return f"{of_type(depth)} {self._random.choice(('<', '<=', '>', '>=', '==', '!='))} {of_type(depth)}"

    def _number(self, depth: int) -> str:
        return self._random.choice((self._int, self._uint))(depth)

    def _element(self) -> str:
        pointer, mask = self._random.choice((("w", 15), ("p", 7), ("q", 7), ("h", 31), ("b", 63)))
        index = f"{self._number(1)} & {mask}"
        return f"{pointer}[{self._random.choice((index, f'({index}) + 1', f'8 - (7 & {self._number(1)})', '3'))}]"

    def _operation(self, depth: int, operations: tuple[str, ...]) -> tuple[str, str]:
        """Return an operator and its right side."""
        operation = self._random.choice(operations)
        if operation in ("<<", ">>"):
            counts = (str(self._random.randrange(32)), f"({self._int(depth - 1)} & 31)", f"({self._number(depth - 1)})")
            return operation, self._random.choice(counts)
        right = self._random.choice((str(self._random.choice(_EXTREMES)), f"({self._number(depth - 1)})"))
        if operation in ("//", "%"):
            return operation, f"({right} | 1)"
        return operation, right

    def _int(self, depth: int) -> str:
        """Return an expression of type int. It begins with no literal: the compiler would compute with it."""
        choice = self._random.randrange(9 if depth > 0 else 2)
        if choice == 0:
            return self._random.choice(_INTS)
        if choice == 1:
            return self._element() if depth > 0 else self._random.choice(("w[0]", "h[1]", "b[2]"))
        if choice == 2:
            inner = self._random.choice((self._uint(depth - 1), "f", self._comparison(depth - 1)))
            return f"int({inner})"
        if choice == 3:
            return f"-({self._int(depth - 1)})"
        if choice == 4:
            return f"({self._int(depth - 1)} if {self._condition(depth - 1)} else {self._int(depth - 1)})"
        operation, right = self._operation(depth, (*_MODULAR, "<<", ">>", "//", "%"))
        whole = f"({self._int(depth - 1)} {operation} {right})"
        return f"({whole} * {whole})" if operation in ("//", "%") and depth == 1 else whole

    def _uint(self, depth: int) -> str:
        choice = self._random.randrange(8 if depth > 0 else 1)
        if choice == 0:
            return self._random.choice(_UINTS)
        if choice in (1, 2):
            return f"uint({self._int(depth - 1)})"
        if choice == 3:
            return f"-({self._uint(depth - 1)})"
        if choice == 4:
            return f"({self._uint(depth - 1)} if {self._condition(depth - 1)} else {self._uint(depth - 1)})"
        operation, right = self._operation(depth, (*_MODULAR, "<<", ">>"))
        return f"({self._uint(depth - 1)} {operation} {right})"
