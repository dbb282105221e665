"""Stand-in for MicroPython's machine module on esp32: what the firmware uses of it, and no more."""

import sim_chip
from sim_i2s import I2S

__all__ = ("I2S", "Pin", "freq", "reset", "soft_reset", "unique_id")

_UNIQUE_ID = b"\x02SIMUL"  # locally administered


class Pin:
    IN = 1
    OUT = 3
    PULL_DOWN = 1
    PULL_UP = 2
    IRQ_RISING = 1
    IRQ_FALLING = 2

    def __init__(self, id, mode=-1, pull=-1, *, value=None):
        self._id = id
        self._mode = mode
        self._gpio = sim_chip.chip.pin(id, 0 if pull == Pin.PULL_DOWN else 1)
        if value is not None:
            self.value(value)

    def value(self, level=None):
        if level is None:
            sim_chip.chip.pump()
            return self._gpio.level
        self._gpio.level = 1 if level else 0
        sim_chip.chip.report("pin", pin=self._id, level=self._gpio.level)
        return None

    def irq(self, handler=None, trigger=IRQ_RISING | IRQ_FALLING):
        self._gpio.handler = handler
        self._gpio.trigger = trigger
        self._gpio.owner = self


def freq(hz=None):
    """240 MHz, as the firmware asks for; the simulated chip is as fast as its host."""
    if hz is None:
        return 240_000_000
    if hz not in (80_000_000, 160_000_000, 240_000_000):
        raise ValueError("frequency must be 80MHz, 160MHz or 240MHz")
    return None


def unique_id():
    return _UNIQUE_ID


def reset():
    _restart("hard")


def soft_reset():
    _restart("soft")


def _restart(how):
    sim_chip.chip.report("reset", how=how)
    sim_chip.chip.halt()
