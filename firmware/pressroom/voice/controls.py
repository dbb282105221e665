"""What a hand finds and an eye sees: a button that is held to talk, and a status LED."""

import asyncio

from ..wire.port import const
from .led_states import LED_STATES

_DEAF_MS = const(30)  # contacts bounce for a few milliseconds; no hand presses twice within this


class PushButton:
    """A button without its bounces: the first edge counts at once, then 30 ms are deaf, then the level is read again.

    button: `is_pressed()`, `async wait_edge()` (returns at once if an edge came since it was last awaited).
    """

    def __init__(self, button):
        self.is_held = False
        self._button = button
        self._is_deaf = False

    async def wait_change(self):
        """Return is_held once it has changed."""
        if self._is_deaf:
            await asyncio.sleep_ms(_DEAF_MS)
            self._is_deaf = False
        while self._button.is_pressed() == self.is_held:
            await self._button.wait_edge()
        self.is_held = not self.is_held
        self._is_deaf = True
        return self.is_held


class StatusLed:
    """Shows one of the LED states. led: `set_rgb(red, green, blue)`."""

    def __init__(self, led):
        self.state = None  # nothing was shown yet
        self._led = led

    def show(self, state):
        """Show a state of led_states.py; free of cost while it stays the same."""
        if state != self.state:
            self.state = state
            self._led.set_rgb(*LED_STATES[state])
