"""RV32IMC (ESP32-C3, -C6, -H2, -P4): the emulator `unicorn`, and what viper code uses of MicroPython's runtime."""

import contextlib
import ctypes
import struct
from collections.abc import Iterator

from unicorn import UC_ARCH_RISCV, UC_HOOK_CODE, UC_MODE_RISCV32, UC_PROT_ALL, Uc, UcError
from unicorn.riscv_const import (
    UC_RISCV_REG_A0,
    UC_RISCV_REG_A1,
    UC_RISCV_REG_A2,
    UC_RISCV_REG_A3,
    UC_RISCV_REG_PC,
    UC_RISCV_REG_RA,
    UC_RISCV_REG_SP,
)

from .host import MachineFailed

_A = (UC_RISCV_REG_A0, UC_RISCV_REG_A1, UC_RISCV_REG_A2, UC_RISCV_REG_A3)
_FROM_OBJECT, _TO_OBJECT, _CALL, _DIVIDE, _MODULO = 3, 4, 27, 46, 47  # py/nativeglue.h
_N_ENTRIES = 128
_RETURN = 0x8082  # the instruction `c.jr ra`
_MAX_INSTRUCTIONS = 50_000_000
_STUBS, _STOP, _SYSTEM_BYTES = 0x1000, 0x1800, 0x1000
_MEMORY, _MEMORY_BYTES, _STACK_BYTES = 0x100000, 1 << 21, 1 << 14
_GUARD_BYTES = 64


class Rv32:
    """A Machine."""

    arch = "rv32imc"

    def __init__(self) -> None:
        self._cpu = Uc(UC_ARCH_RISCV, UC_MODE_RISCV32)
        self._bytes = (ctypes.c_uint8 * _MEMORY_BYTES)()
        self._view = memoryview(self._bytes).cast("B")
        self._cpu.mem_map(_STUBS, _SYSTEM_BYTES)
        self._cpu.mem_map_ptr(_MEMORY, _MEMORY_BYTES, UC_PROT_ALL, ctypes.addressof(self._bytes))
        self._cpu.mem_write(_STUBS, struct.pack("<H", _RETURN) * _N_ENTRIES)
        self._cpu.hook_add(UC_HOOK_CODE, self._on_runtime, begin=_STUBS, end=_STUBS + 2 * _N_ENTRIES - 1)
        self._free = _MEMORY
        table = self._take(struct.pack(f"<{_N_ENTRIES}I", *range(_STUBS, _STUBS + 2 * _N_ENTRIES, 2)))
        constants = self._take(struct.pack("<64I", *[table] * 64))  # the runtime's table stands among them
        context = self._take(struct.pack("<4I", 0, 0, self._take(bytes(256)), constants))
        self._context = context
        self._stack_top = self._take(bytes(_STACK_BYTES)) + _STACK_BYTES - 1024
        self._start: dict[int, int] = {}
        self._buffers: dict[int, int] = {}

    def function(self, name: str, code: bytes) -> int:
        """Take a function's machine code; return its object."""
        handle = self._take(struct.pack("<2I", 0, self._context))
        self._start[handle] = self._take(code)
        return handle

    def buffer(self, n_bytes: int, is_writable: bool) -> tuple[int, memoryview]:
        """Return the object of a new buffer, and its bytes."""
        handle = self._take(bytes(4))
        at = self._take(bytes(n_bytes))
        self._buffers[handle] = at
        return handle, self._view[at - _MEMORY : at - _MEMORY + n_bytes]

    @contextlib.contextmanager
    def borrowed(self) -> Iterator[None]:
        """Buffers made inside are given back at the end."""
        free = self._free
        yield
        self._buffers = {handle: at for handle, at in self._buffers.items() if at < free}
        self._free = free

    def call(self, function: int, objects: list[int]) -> int:
        """Call it and return the object it returns. Raises MachineFailed."""
        arguments = self._stack_top + 256
        self._cpu.mem_write(arguments, struct.pack(f"<{len(objects)}I", *objects))
        for register, value in zip(_A, (function, len(objects), 0, arguments), strict=True):
            self._cpu.reg_write(register, value)
        self._cpu.reg_write(UC_RISCV_REG_SP, self._stack_top)
        self._cpu.reg_write(UC_RISCV_REG_RA, _STOP)
        try:
            self._cpu.emu_start(self._start[function], _STOP, count=_MAX_INSTRUCTIONS)
        except UcError as error:
            raise MachineFailed(f"at 0x{self._cpu.reg_read(UC_RISCV_REG_PC):x}: {error}") from None
        if self._cpu.reg_read(UC_RISCV_REG_PC) != _STOP:
            raise MachineFailed("does not end")
        return int(self._cpu.reg_read(UC_RISCV_REG_A0))

    def _on_runtime(self, cpu: Uc, address: int, n_bytes: int, data: object) -> None:
        entry = (address - _STUBS) // 2
        first, second = cpu.reg_read(UC_RISCV_REG_A0), cpu.reg_read(UC_RISCV_REG_A1)
        if entry == _CALL:
            cpu.reg_write(UC_RISCV_REG_A1, second & 0xFF)
            cpu.reg_write(UC_RISCV_REG_A3, cpu.reg_read(UC_RISCV_REG_A2))
            cpu.reg_write(UC_RISCV_REG_A2, 0)
            cpu.reg_write(UC_RISCV_REG_PC, self._start[first])
            return
        if entry == _FROM_OBJECT:
            result = first if second == 0 else _signed(first) >> 1 if second <= 3 else self._buffers[first]
        elif entry == _TO_OBJECT:
            result = _signed(first) << 1 | 1
        elif entry in (_DIVIDE, _MODULO):
            result = divmod(_signed(first), _signed(second))[entry == _MODULO]
        else:
            raise MachineFailed(f"calls entry {entry} of the runtime, which is not here")
        cpu.reg_write(UC_RISCV_REG_A0, result & 0xFFFFFFFF)

    def _take(self, data: bytes) -> int:
        at = self._free
        self._free = (at + len(data) + 15 + _GUARD_BYTES) & ~15
        assert self._free < _MEMORY + _MEMORY_BYTES, "no room in the machine"
        self._view[at - _MEMORY : at - _MEMORY + len(data)] = data
        return at


def _signed(word: int) -> int:
    return (word ^ 1 << 31) - (1 << 31)
