"""MicroPython's unix port on this computer, 64 bits, with the codec's sources widened as on the simulated board."""

import struct
import subprocess
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from pressroom_host import assets
from pressroom_host.sim.flash import lay_out
from pressroom_host.sim.process import micropython_program

from .frames import PCM_BYTES, Decoded, Encoded, cut

_RUNNER = Path(__file__).with_name("unix_runner.py")
_TIMEOUT_S = 900  # pytest has a shorter one, but for the long run


@cache
def _firmware() -> tuple[tempfile.TemporaryDirectory[str], Path]:
    folder = tempfile.TemporaryDirectory(prefix="pressroom-opus-")
    lay_out(assets.firmware_folder(), Path(folder.name))
    return folder, Path(folder.name)


def _run(commands: bytes) -> tuple[bytes, int, float]:
    """Return what the runner answers, the bytes it allocated, and microseconds a frame."""
    with tempfile.TemporaryDirectory(prefix="pressroom-opus-") as folder:
        asked, answered = Path(folder) / "asked", Path(folder) / "answered"
        asked.write_bytes(commands)
        command = [micropython_program(), "-X", "heapsize=4M", _RUNNER, _firmware()[1], asked, answered]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S)
        assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-2_000:]
        n_allocated, us = done.stdout.split()
        return answered.read_bytes(), int(n_allocated), float(us)


class Unix:
    """encode and decode as the other machines have them. n_allocated_bytes, frame_us: of the last call."""

    def __init__(self) -> None:
        self.n_allocated_bytes = 0
        self.frame_us = 0.0

    def encode(self, pcm: bytes, bitrate_bps: int) -> list[Encoded]:
        """Encode consecutive frames with one Encoder."""
        return self.encode_changing([(frame, bitrate_bps) for frame in cut(pcm)])

    def encode_changing(self, frames: Iterable[tuple[bytes, int]]) -> list[Encoded]:
        """Encode frames each at a bitrate of its own; one below 1,000 is a number of bytes, in or out of its range."""
        asked = b"".join(struct.pack("<BI", ord("e"), bitrate_bps) + pcm for pcm, bitrate_bps in frames)
        return [Encoded(data, final_range) for data, final_range, _ in self._ask(asked)]

    def decode(self, packets: Iterable[bytes | None]) -> list[Decoded]:
        """Decode packets with one Decoder; None is one that was lost."""
        asked = b"".join(
            b"l" if packet is None else struct.pack("<BH", ord("d"), len(packet)) + packet for packet in packets
        )
        return [Decoded(data, final_range, error) for data, final_range, error in self._ask(asked)]

    def _ask(self, asked: bytes) -> list[tuple[bytes, int, str]]:
        answered, self.n_allocated_bytes, self.frame_us = _run(asked)
        answers = []
        at = 0
        while at < len(answered):
            n_bytes, n_error, final_range = struct.unpack_from("<HBI", answered, at)
            data, error = answered[at + 7 : at + 7 + n_bytes], answered[at + 7 + n_bytes : at + 7 + n_bytes + n_error]
            answers.append((data, final_range, error.decode()))
            at += 7 + n_bytes + n_error
        return answers


assert PCM_BYTES == 640  # as the runner has it
