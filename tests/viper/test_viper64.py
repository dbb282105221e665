"""sim/viper64.py: a test for each rule, run under the x64 port; what 32 bits would give is worked out by hand."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pressroom_host.sim.viper64 import NotWidenable, widen

MICROPYTHON = Path(sys.executable).with_name("micropython")
TOP = 1 << 31

ALL_ARGUMENTS = "(w: ptr32, h: ptr16, b: ptr8, x: int, y: uint, z: int) -> "


def viper(body: str, returns: str = "int") -> str:
    lines = "".join(f"    {line}\n" for line in ['"""Rule."""', *body.splitlines()])
    return f"import micropython\n\n\n@micropython.viper\ndef rule{ALL_ARGUMENTS}{returns}:\n{lines}"


def changes(body: str) -> list[str]:
    """Return the lines of a body that are not as they were."""
    before, after = viper(body).splitlines(), widen(viper(body)).splitlines()
    return [new.strip() for old, new in zip(before[6:], after[6:], strict=True) if old != new]


@pytest.fixture
def result(tmp_path: Path):
    """Run a widened body with x, y, z and words in memory; return its result and the words."""
    if not MICROPYTHON.exists():
        pytest.skip("MicroPython's unix port is not installed; it exists for Linux x86-64: run `make test` there")

    def run(body: str, x: int = 0, y: int = 0, z: int = 0, words: tuple[int, ...] = (0, 0, 0, 0), returns: str = "int"):
        call = f"import array, json\nw = array.array('i', {words})\nr = rule(w, w, w, {x}, {y}, {z})\n"
        call += "print(json.dumps([r, list(w)]))\n"
        (tmp_path / "rule.py").write_text(widen(viper(body, returns)) + call)
        done = subprocess.run([MICROPYTHON, tmp_path / "rule.py"], capture_output=True, text=True, timeout=10)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    return run


# Rule 1: what is looked at has 32 bits.


@pytest.mark.parametrize(
    ("body", "x", "z", "expected"),
    [
        ("i = x + z\nreturn i", TOP - 1, 1, -TOP),
        ("i = x - z\nreturn i", -TOP, 1, TOP - 1),
        ("i = x * z\nreturn i", 0x10001, 0x10001, 0x20001),
        ("i = x << z\nreturn i", 3, 31, -TOP),
        ("i = -x\nreturn i", -TOP, 0, -TOP),
        ("x += z\nreturn x", TOP - 1, TOP - 1, -2),
        ("return x + z", TOP - 1, 1, -TOP),
        ("return (x + z) >> 1", TOP - 1, 1, -TOP // 2),
        ("return (x + z) // 3", TOP - 1, 1, -TOP // 3),
        ("return 7 // (x + z)", TOP - 1, 1, -1),
        ("return (x + z) % 1000", TOP - 1, 1, -TOP % 1000),
        ("return 1 if x + z < 0 else 0", TOP - 1, 1, 1),
        ("return 1 if x * z else 0", 1 << 16, 1 << 16, 0),
        ("while not x * z:\n    return 5\nreturn 6", 1 << 16, 1 << 16, 5),
        ("i = h[x * z]\nreturn i", (1 << 31) + 1, 2, 7),
    ],
)
def test_what_is_looked_at_has_32_bits(result, body, x, z, expected):
    assert result(body, x=x, z=z, words=(0, 7, 0, 0))[0] == expected


def test_unsigned_values_wrap_without_a_sign(result):
    assert result("return y + 3", y=0xFFFF_FFFE, returns="uint")[0] == 1
    assert result("return -y", y=1, returns="uint")[0] == 0xFFFF_FFFF
    assert result("return (y ^ -1) >> 28", y=0, returns="uint")[0] == 15
    assert result("return y - 1 > y", y=0, returns="bool")[0] is True


def test_an_argument_arrives_in_32_bits(result):
    assert result("return x", x=TOP)[0] == -TOP
    assert result("return x", x=(1 << 32) + 5)[0] == 5
    assert result("return y", y=-1, returns="uint")[0] == 0xFFFF_FFFF


def test_what_goes_through_a_call_has_32_bits():
    assert changes("g = None\ni = int(g(x + z))\nreturn i") == ["i = int(g(x + z << 32 >> 32)) << 32 >> 32"]


# Rule 2: nothing is cut that fits.


@pytest.mark.parametrize(
    "body",
    [
        "i = b[0] + b[1] >> 1",
        "i = h[0] * 255",
        "i = (h[0] ^ 0x8000) - 0x8000",
        "i = w[0] & 255",
        "i = w[0] * x & 0x7FFF",
        "i = x >> 3",
        "i = x % 320",
        "u = y & y + 1",
        "i = b[x]",
        "i = h[x + z - 1]",
        "f = b[0] < b[1]",
        "i = 1 if x < z else 2",
        "i = x // 3",
        "x |= z & 7",
    ],
)
def test_nothing_is_cut_that_fits(body):
    assert changes(body + "\nreturn 0") == []


# Rule 3: memory.


def test_a_store_cuts_by_itself(result):
    body = "w[0] = x * z\nh[2] = x * z\nb[8] = x * z\nw[3] += y\nreturn 0"
    assert changes(body) == []
    _, words = result(body, x=0x1234_5678, z=0x9ABC, y=0xFFFF_FFFF, words=(0, 0, 0, 5))
    product = 0x1234_5678 * 0x9ABC
    assert words == [(product + TOP) % (1 << 32) - TOP, product & 0xFFFF, product & 0xFF, 4]


def test_a_loaded_word_has_a_sign(result):
    assert result("return w[0] >> 4", words=(-32, 0))[0] == -2
    assert result("return 1 if w[0] < w[1] else 0", words=(-1, 0))[0] == 1
    assert result("return h[0] + b[0]", words=(-1, 0))[0] == 0xFFFF + 0xFF


# Rule 4: shift counts.


def test_a_shift_counts_modulo_32(result):
    assert result("return x << z", x=3, z=33)[0] == 6
    assert result("return x >> z", x=-8, z=-31)[0] == -4
    assert result("return y >> x", x=32 + 4, y=0xF000_0000, returns="uint")[0] == 0x0F00_0000
    assert result("w[0] <<= z\nreturn 0", z=34, words=(1, 0))[1][0] == 4


# Rule 5: int() and uint().


def test_int_and_uint_change_the_type_only(result):
    assert result("return int(y)", y=0xFFFF_FFFF)[0] == -1
    assert result("return uint(x)", x=-1, returns="uint")[0] == 0xFFFF_FFFF
    assert result("return int(uint(x) >> 28)", x=-1)[0] == 15
    assert result("return uint(w[0]) > uint(w[1])", words=(-1, 1), returns="bool")[0] is True


def test_an_unsigned_index_or_divisor_is_taken_for_signed(result):
    assert result("p = ptr32(int(w) + 4)\nreturn p[y]", y=0xFFFF_FFFF, words=(9, 8))[0] == 9
    assert result("return x // y", x=7, y=0xFFFF_FFFF)[0] == -7


# Rule 6: pointers.


def test_a_pointer_moves_and_is_compared(result):
    assert result("p = ptr32(int(w) + 4 * z)\nreturn p[0]", z=2, words=(5, 6, 7, 8))[0] == 7
    assert result("p = ptr8(int(w) + 12 - y)\nreturn p[0]", y=4, words=(5, 6, 7, 8))[0] == 7
    assert result("p = ptr32(int(w) + y)\nreturn p[3]", y=0xFFFF_FFFC, words=(5, 6, 7, 8))[0] == 7
    assert result("p = ptr32(int(w) + 4)\nreturn int(w) < int(p)", returns="bool")[0] is True


# Form.


SEVERAL_LINES = '''"""ä"""
from micropython import const

_N = const(2)


@micropython.viper
def several(w: ptr32, n: int) -> int:
    i = _N; n += i  # two on a line
    while (
        n > 0
        and w[n] > 0  # of several lines
    ):
        w[n] = (
            w[n]
            >> n
        )
        n -= 1
    return n


def plain(n):
    n += 1
    return n
'''


def test_every_line_stays_where_it_was():
    after = widen(SEVERAL_LINES).splitlines()
    assert len(after) == len(SEVERAL_LINES.splitlines())
    assert after[8] == "    n = n << 32 >> 32; i = _N; n = n + i << 32 >> 32  # two on a line"
    assert after[10] == "        n > 0 and w[n] << 32 >> 32 > 0  # of several lines"
    assert after[13] == "        w[n] = w[n] << 32 >> 32 >> (n & 31)"
    assert after[17:19] == ["        n = n - 1 << 32 >> 32", "    return n"]


def test_only_viper_functions_are_touched():
    assert widen(SEVERAL_LINES).splitlines()[20:] == SEVERAL_LINES.splitlines()[20:]
    assert widen("def plain(a, b):\n    return a << b\n") == "def plain(a, b):\n    return a << b\n"


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("i = int(w)", "an address in an integer"),
        ("w[0] = int(b)", "a store of type address"),
        ("i = int(w) - int(b)", "type address"),
        ("p = ptr32(x)", "ptr32() of type int"),
        ("i = 0x40000000", "the literal 1073741824"),
        ("i = 1 << 30", "the literal 1073741824"),
        ("i = x and z", "`and` and `or` stand in conditions only"),
        ("i = x < z < 3", "Compare"),
        ("i, z = z, x", "one value at a time"),
        ("for i in range(3):\n    pass", "a while loop"),
        ("w[0] >>= 1", "p[i] = p[i] >> n"),
        ("i = N", "the global name N"),
        ("i = x.n", "a word of the workspace"),
        ("i = x / z", "the operator Div"),
        ("i = (x if z else y)", "a choice of int and uint"),
        ("i = x[0]", "an index into type int"),
        ("i = (x < z) + 1", "arithmetic with type bool"),
        ("w[0] = None", "a store of type object"),
        ("i = [x]", "List"),
        ("i = ~x", "the Xtensa compiler makes wrong code"),
    ],
)
def test_the_rest_is_refused_with_file_and_line(line, what):
    with pytest.raises(NotWidenable, match=re.escape(what)) as raised:
        widen(viper(line + "\nreturn 0"), "opus/bands.py")
    assert re.fullmatch("opus/bands.py:7: rule: .* cannot .* 64 bits; write .*", str(raised.value))


def test_a_pointer_as_an_argument_is_refused():
    source = "@micropython.viper\ndef f(w: ptr32, g):\n    g(w)\n"
    with pytest.raises(NotWidenable, match=r"bands.py:3: f: a pointer as an argument .* write the buffer itself"):
        widen(source, "bands.py")


def test_an_integer_argument_needs_a_line_that_cuts_it():
    source = "@micropython.viper\ndef f(n: int):\n    while n:\n        n -= 1\n"
    with pytest.raises(NotWidenable, match="write a docstring above it"):
        widen(source)
