"""Viper functions as a chip's machine code, in the machines of tests/opus."""

import re

from tests.opus.machines.host import Machine
from x64 import Call, Result

from pressroom_host.firmware import mpy_file
from pressroom_host.firmware.build import compile_source

_NUMBER_BITS = 31  # of an object that is a number


def run(source: str, calls: list[Call], machine: Machine) -> list[Result]:
    """Call functions of a module as programs.py makes them; return what each returned and left in memory."""
    names = re.findall(r"@micropython\.viper\ndef (\w+)", source)
    codes = mpy_file.parse(compile_source(source, "programs.py", machine.arch)).viper
    functions = {name: machine.function(name, code) for name, code in zip(names, codes, strict=True)}
    buffer, bytes_of_buffer = machine.buffer(len(calls[0][1]), is_writable=True)
    results = []
    for name, memory, *numbers in calls:
        bytes_of_buffer[:] = memory
        objects = [(number << 1 | 1) & 0xFFFF_FFFF for number in numbers]
        result = machine.call(functions[name], [buffer, buffer, buffer, *objects, functions["callee"]])
        half = 1 << _NUMBER_BITS - 1
        results.append((((result >> 1) ^ half) - half, bytes(bytes_of_buffer)))
    return results
