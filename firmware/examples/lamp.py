"""A lamp that an agent switches: "turn the light on, please". Copy it to a board as main.py."""

from machine import Pin

from pressroom.app import run
from pressroom.voice.tools import Tools
from pressroom.wire.tools import flag

LAMP_PIN = 21

lamp = Pin(LAMP_PIN, Pin.OUT)


def switch(on):
    lamp.value(on)
    return "the lamp is %s" % ("on" if on else "off")


tools = Tools()
tools.add("lamp", "Switch the lamp of this room on or off.", {"on": flag("true is lit")}, switch)
run(tools)
