"""How often a second button was pressed, for an agent that is asked. Copy it to a board as main.py."""

from machine import Pin

from pressroom.app import run
from pressroom.voice.tools import Tools

COUNTER_PIN = 14

button = Pin(COUNTER_PIN, Pin.IN, Pin.PULL_UP)
counted = [0]


def count(pin):
    counted[0] += 1


button.irq(count, Pin.IRQ_FALLING)
tools = Tools()
tools.add("presses", "How often the counter's button was pressed since the board has started.", {}, lambda: counted[0])
run(tools)
