"""A push button on one pin."""

import asyncio

from machine import Pin


class Button:
    """Says when it moves, and whether it is down; does not debounce. A part of the board file: {"pin", "active"}."""

    def __init__(self, part):
        is_active_high = part.get("active") == "high"
        self._pressed_level = 1 if is_active_high else 0
        self._pin = Pin(part["pin"], Pin.IN, Pin.PULL_DOWN if is_active_high else Pin.PULL_UP)
        self._edge = asyncio.ThreadSafeFlag()
        self._pin.irq(self._on_edge, Pin.IRQ_FALLING | Pin.IRQ_RISING)

    def is_pressed(self):
        return self._pin.value() == self._pressed_level

    async def wait_edge(self):
        """Return after the next edge, or at once if one came since the last call."""
        await self._edge.wait()

    def _on_edge(self, pin):
        self._edge.set()
