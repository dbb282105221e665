"""A cart that an agent drives: "go forward ten meters". Copy it to a board as main.py; motors go where it prints."""

import asyncio

from pressroom.app import run
from pressroom.voice.tools import Tools
from pressroom.wire.tools import choice, number

MS_PER_METER = 20  # of this cart without wheels


async def move(direction, amount):
    print("move direction=%s amount=%d" % (direction, amount))
    await asyncio.sleep_ms(MS_PER_METER * amount)
    return {"direction": direction, "amount": amount, "is_there": True}


tools = Tools()
tools.add(
    "move",
    "Drive the cart in a direction.",
    {"direction": choice("forward", "back", "left", "right"), "amount": number("meters", 1, 100)},
    move,
)
run(tools)
