"""A simulated chip on a virtual clock, for tests that run under MicroPython."""

import struct

import machine
import sim_chip
from sim_clock import VirtualClock


class Reports:
    """Takes the place of the control channel and keeps what the stand-ins report."""

    def __init__(self):
        self.kept = []

    def report(self, kind, us=None, **fields):
        self.kept.append((kind, us, fields))

    def pump(self):
        pass

    def halt(self):
        raise SystemExit


reports = Reports()


def power_on(clock_ppm=0, wifi_delay_ms=0, now_us=5_000_000):
    """Return the chip; its work folder is the current one."""
    chip = sim_chip.power_on(VirtualClock(now_us), reports, ".", clock_ppm, wifi_delay_ms)
    machine.I2S.chip = chip
    return chip


def write_clip(name, words):
    """Write a clip as the host does, with a block of silence behind it."""
    with open(name, "wb") as file:
        for word in words:
            file.write(struct.pack("<i", word))
        file.write(bytes(4 * 256))


def played(speaker):
    """Return what the loudspeaker has played until now, as a list of samples."""
    speaker.run_dma()
    with open("speaker.raw", "rb") as file:
        data = file.read()
    return list(struct.unpack("<%dh" % (len(data) // 2), data))
