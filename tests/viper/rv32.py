"""Viper functions as the machine code of an RV32IMC chip: compiled by mpy-cross, run by unicorn.

What the code wants of MicroPython (py/nativeglue.h) is a table of addresses at which a hook waits; it does here what
the runtime would. Objects are small integers, or handles of what the test holds.
"""

import re
import struct

from unicorn import UC_ARCH_RISCV, UC_HOOK_CODE, UC_MODE_RISCV32, Uc
from unicorn.riscv_const import (
    UC_RISCV_REG_A0,
    UC_RISCV_REG_A1,
    UC_RISCV_REG_A2,
    UC_RISCV_REG_A3,
    UC_RISCV_REG_PC,
    UC_RISCV_REG_RA,
    UC_RISCV_REG_SP,
)
from x64 import Call, Result

from pressroom_host.firmware import mpy_file
from pressroom_host.firmware.build import compile_source

_FROM_OBJECT, _TO_OBJECT, _CALL, _DIVIDE, _MODULO = 3, 4, 27, 46, 47  # places in the table of the runtime
_N_ENTRIES = 50
_BOOL, _INT, _UINT = 1, 2, 3  # types of a native value; below 8 all others are pointers
_RETURN = 0x8082  # the instruction `c.jr ra`

_STUBS, _STOP, _TABLE = 0x1000, 0x1FF0, 0x2000
_CODE, _CODE_BYTES = 0x10_0000, 0x40_0000
_STACK_TOP, _ARGUMENTS, _MEMORY, _OBJECTS, _RAM_BYTES = 0x80_8000, 0x80_9000, 0x80_A000, 0x80_B000, 0x1_0000
_MAX_INSTRUCTIONS = 1_000_000


def run(source: str, calls: list[Call]) -> list[Result]:
    """Call functions of a module as programs.py makes them; return what each returned and left in memory."""
    names = re.findall(r"@micropython\.viper\ndef (\w+)", source)
    codes = mpy_file.parse(compile_source(source, "programs.py", "rv32imc")).viper
    chip = _Chip(dict(zip(names, codes, strict=True)))
    return [chip.call(*call) for call in calls]


class _Chip:
    """A core with the code of some functions, and as much of a runtime as they use."""

    def __init__(self, functions: dict[str, bytes]) -> None:
        self._cpu = Uc(UC_ARCH_RISCV, UC_MODE_RISCV32)
        for start, n_bytes in ((_STUBS, 0x2000), (_CODE, _CODE_BYTES), (_STACK_TOP - 0x8000, _RAM_BYTES)):
            self._cpu.mem_map(start, n_bytes)
        self._cpu.mem_write(_STUBS, struct.pack("<H", _RETURN) * _N_ENTRIES)
        self._cpu.mem_write(_TABLE, struct.pack(f"<{_N_ENTRIES}I", *range(_STUBS, _STUBS + 2 * _N_ENTRIES, 2)))
        self._cpu.hook_add(UC_HOOK_CODE, self._on_runtime, begin=_STUBS, end=_STUBS + 2 * _N_ENTRIES - 1)
        self._free = _OBJECTS
        constants = self._new(_TABLE, _TABLE)  # a module with other constants has the table elsewhere in it
        context = self._new(0, 0, 0, constants)
        self._start: dict[int, int] = {}
        self._object: dict[str, int] = {}
        at = _CODE
        for name, code in functions.items():
            self._object[name] = self._new(0, context)
            self._start[self._object[name]] = at
            self._cpu.mem_write(at, code)
            at += (len(code) + 15) & ~15
        self._buffer = self._new(0)
        self._numbers: dict[int, int] = {}

    def call(self, name: str, memory: bytes, x: int, y: int, z: int) -> Result:
        self._numbers.clear()
        self._cpu.mem_write(_MEMORY, memory)
        numbers = [self._from_number(n) for n in (x, y, z)]
        arguments = [self._buffer] * 3 + numbers + [self._object["callee"]]
        self._cpu.mem_write(_ARGUMENTS, struct.pack(f"<{len(arguments)}I", *arguments))
        function = self._object[name]
        for register, value in zip(_A, (function, len(arguments), 0, _ARGUMENTS), strict=True):
            self._cpu.reg_write(register, value)
        self._cpu.reg_write(UC_RISCV_REG_SP, _STACK_TOP)
        self._cpu.reg_write(UC_RISCV_REG_RA, _STOP)
        self._cpu.emu_start(self._start[function], _STOP, count=_MAX_INSTRUCTIONS)
        assert self._cpu.reg_read(UC_RISCV_REG_PC) == _STOP, f"{name} does not end"
        return self._to_number(self._cpu.reg_read(UC_RISCV_REG_A0)), bytes(self._cpu.mem_read(_MEMORY, len(memory)))

    def _on_runtime(self, cpu: Uc, address: int, n_bytes: int, data: object) -> None:
        entry = (address - _STUBS) // 2
        first, second = cpu.reg_read(UC_RISCV_REG_A0), cpu.reg_read(UC_RISCV_REG_A1)
        if entry == _CALL:  # the function has room for its arguments, and a caller's return address in ra
            cpu.reg_write(UC_RISCV_REG_A3, cpu.reg_read(UC_RISCV_REG_A2))
            cpu.reg_write(UC_RISCV_REG_A2, 0)
            cpu.reg_write(UC_RISCV_REG_PC, self._start[first])
            return
        if entry == _FROM_OBJECT:
            result = first if second == 0 else self._to_number(first) if second <= _UINT else _MEMORY
        elif entry == _TO_OBJECT:
            result = self._from_number(_signed(first) if second == _INT else first)
        elif entry in (_DIVIDE, _MODULO):
            result = divmod(_signed(first), _signed(second))[entry == _MODULO]
        else:
            raise AssertionError(f"the code calls entry {entry} of the runtime, which is not here")
        cpu.reg_write(UC_RISCV_REG_A0, result & 0xFFFF_FFFF)

    def _new(self, *words: int) -> int:
        address = self._free
        self._cpu.mem_write(address, struct.pack(f"<{len(words)}I", *words))
        self._free += 4 * len(words)
        return address

    def _from_number(self, n: int) -> int:
        """Return the object for a number: itself, shifted, while 31 bits hold it."""
        if -(1 << 30) <= n < 1 << 30:
            return (n << 1 | 1) & 0xFFFF_FFFF
        handle = 2 + 4 * len(self._numbers)
        self._numbers[handle] = n
        return handle

    def _to_number(self, handle: int) -> int:
        return _signed(handle) >> 1 if handle & 1 else self._numbers[handle]


_A = (UC_RISCV_REG_A0, UC_RISCV_REG_A1, UC_RISCV_REG_A2, UC_RISCV_REG_A3)


def _signed(word: int) -> int:
    return (word ^ 1 << 31) - (1 << 31)
