"""A status LED: one addressable pixel, or a plain LED that is on for every colour but black."""

import neopixel
from machine import Pin


class Led:
    """A part of the board file: {"kind": "ws2812", "pin"} or {"kind": "gpio", "pin", "active"}."""

    def __init__(self, part):
        pin = Pin(part["pin"], Pin.OUT)
        self._pin = None
        self._pixel = None
        if part["kind"] == "ws2812":
            self._pixel = neopixel.NeoPixel(pin, 1)
        else:
            self._pin = pin
            self._on_level = 0 if part.get("active") == "low" else 1

    def set_rgb(self, red, green, blue):
        """Show a colour, 0..255 each."""
        if self._pixel is not None:
            self._pixel[0] = (red, green, blue)
            self._pixel.write()
        elif red or green or blue:
            self._pin.value(self._on_level)
        else:
            self._pin.value(1 - self._on_level)
