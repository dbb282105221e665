"""The codec's own Python, run here, with its viper functions as a chip's machine code in a machine.

The sources of firmware/pressroom/opus are executed as they are: `@micropython.viper` puts the function's machine code
in the place of its text, and `array` lays its words into the machine's memory, where both sides see them. So the order
of calls is the shipped one. Frames are copied in for a call and out after it.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Protocol

from pressroom_host import assets
from pressroom_host.firmware import mpy_file
from pressroom_host.firmware.build import compile_source

from .frames import PCM_BYTES, Decoded, Encoded, cut

_PACKAGE = "pressroom.opus"
_MAX_PACKET_BYTES = 1_280


class MachineFailed(AssertionError):
    """The code did what it must not; the text says what, and where."""


class Machine(Protocol):
    """A core with memory. Objects are what MicroPython passes around: small integers, and handles of what is here."""

    arch: str

    def function(self, name: str, code: bytes) -> int:
        """Take a function's machine code; return its object."""

    def buffer(self, n_bytes: int, is_writable: bool) -> tuple[int, memoryview]:
        """Return the object of a new buffer, and its bytes."""

    def call(self, function: int, objects: list[int]) -> int:
        """Call it and return the object it returns. Raises MachineFailed."""

    def borrowed(self) -> Any:
        """Context in which buffers are made that are given back at its end."""


class Words:
    """An array("i") in the memory of a machine."""

    def __init__(self, machine: Machine, data: bytes) -> None:
        self.object, view = machine.buffer(len(data), is_writable=True)
        view[:] = data
        self._words = view.cast("i")

    def __len__(self) -> int:
        return len(self._words)

    def __getitem__(self, index: int) -> int:
        return self._words[index]

    def __setitem__(self, index: int, word: int) -> None:
        self._words[index] = word


class Viper:
    """A viper function: called like the text it stands for."""

    def __init__(self, machine: Machine, name: str, code: bytes) -> None:
        self.object = machine.function(name, code)
        self._machine = machine
        self._constants: dict[int, tuple[bytes, int]] = {}

    def __call__(self, *arguments: Any) -> int:
        with self._machine.borrowed():
            copied_in = [(each, *self._lent(each)) for each in arguments]
            result = self._machine.call(self.object, [handle for _, handle, _ in copied_in])
            for each, _, view in copied_in:
                if view is not None and not memoryview(each).readonly:
                    memoryview(each).cast("B")[:] = view
        return result >> 1  # an object that is no number is not looked at by anybody

    def _lent(self, argument: Any) -> tuple[int, memoryview | None]:
        if isinstance(argument, (Words, Viper)):
            return argument.object, None
        if isinstance(argument, int):
            return (int(argument) << 1 | 1) & 0xFFFFFFFF, None
        view = memoryview(argument).cast("B")
        handle, lent = self._machine.buffer(len(view), is_writable=not view.readonly)
        lent[:] = view
        return handle, lent


class Codec:
    """pressroom.opus in a machine. `modules` are its modules, as Python would import them."""

    def __init__(self, machine: Machine, firmware: Path | None = None) -> None:
        self.machine = machine
        self._folder = (firmware or assets.firmware_folder()) / "pressroom" / "opus"
        self._modules: dict[str, ModuleType] = {}

    def module(self, name: str) -> ModuleType:
        """Return a module of the package, executed once."""
        if name not in self._modules:
            path = self._folder / f"{name}.py"
            module = self._modules[name] = execute(path.read_text(), f"{_PACKAGE}.{name}", self.machine, self._import)
            module.__file__ = str(path)
        return self._modules[name]

    def encoder(self, bitrate_bps: int) -> Any:
        """Return a new Encoder."""
        return self.module("encoder").Encoder(bitrate_bps)

    def decoder(self) -> Any:
        """Return a new Decoder."""
        return self.module("decoder").Decoder()

    def encode(self, pcm: bytes, bitrate_bps: int) -> list[Encoded]:
        """Encode consecutive frames with one Encoder."""
        encoder = self.encoder(bitrate_bps)
        opus = bytearray(encoder.n_frame_bytes)
        packets = []
        for frame in cut(pcm):
            n_bytes = encoder.encode_into(frame, opus)
            packets.append(Encoded(bytes(opus[:n_bytes]), encoder.final_range()))
        return packets

    def decode(self, packets: Iterable[bytes | None]) -> list[Decoded]:
        """Decode packets with one Decoder; None is one that was lost."""
        decoder = self.decoder()
        pcm = bytearray(PCM_BYTES)
        frames = []
        for packet in packets:
            error = ""
            try:
                if packet is None:
                    decoder.conceal_into(pcm)
                else:
                    decoder.decode_into(packet.ljust(_MAX_PACKET_BYTES, b"\xa5"), len(packet), pcm)
            except self.module("errors").OpusError as refusal:
                error = type(refusal).__name__
            frames.append(Decoded(bytes(pcm), decoder.final_range(), error))
        return frames

    def _import(self, name: str, globals_: Any = None, locals_: Any = None, names: Any = (), level: int = 0) -> Any:
        if level and name:
            return self.module(name)
        return SimpleNamespace(**{each: self.module(each) for each in names})


def execute(source: str, name: str, machine: Machine, import_own: Callable[..., Any] | None = None) -> ModuleType:
    """Execute a module of the firmware, with its viper functions in a machine."""
    codes = iter(mpy_file.parse(compile_source(source, name, machine.arch)).viper)

    def import_(module: str, globals_: Any = None, locals_: Any = None, names: Any = (), level: int = 0) -> Any:
        if module == "micropython":
            return SimpleNamespace(
                const=lambda number: number,
                viper=lambda text: Viper(machine, f"{name}.{text.__name__}", next(codes)),
            )
        if module == "array":
            return SimpleNamespace(array=lambda kind, data: Words(machine, bytes(data)))
        assert import_own is not None and level, f"{name} imports {module}"
        return import_own(module, globals_, locals_, names, level)

    module = ModuleType(name)
    builtins = {**vars(__import__("builtins")), "__import__": import_}
    vars(module).update(__builtins__=builtins, ptr8=None, ptr16=None, ptr32=None, uint=None)
    exec(compile(source, name, "exec"), vars(module))
    assert next(codes, None) is None, f"{name}: more machine code than viper functions"
    return module
