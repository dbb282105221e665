"""The smallest firmware that uses every part of a board, for tests of the simulated board alone."""

from pathlib import Path

MAIN = '''
import asyncio
import machine
from pressroom.hal.board import load_board
from pressroom.hal.button import Button
from pressroom.hal.led import Led
from pressroom.hal.mic import Mic
from pressroom.hal.speaker import Speaker
from pressroom.hal.store import Store


async def echo(mic, speaker):
    """Play what the microphone hears, 24 dB louder: the top 16 bits of a word are 12 bits of speech."""
    words = bytearray(256)
    pcm = bytearray(128)
    while True:
        while mic.read_into(words):
            for i in range(64):
                sample = words[4 * i + 1] >> 4 | words[4 * i + 2] << 4 | words[4 * i + 3] << 12
                pcm[2 * i] = sample & 255
                pcm[2 * i + 1] = sample >> 8 & 255
            n_taken = speaker.write(pcm)
            while n_taken < 128:
                await asyncio.sleep_ms(1)
                n_taken += speaker.write(pcm, n_taken)
        await asyncio.sleep_ms(2)


async def main():
    board = load_board()
    store = Store("pressroom")
    n_boots = store.number("n_boots", 0) + 1
    store.set_number("n_boots", n_boots)
    print("name=%s n_boots=%d" % (board.name, n_boots))
    button = Button(board.button)
    led = Led(board.led)
    task = asyncio.create_task(echo(Mic(board.mic), Speaker(board.speaker)))
    led.set_rgb(0, 0, 16)
    while True:
        await button.wait_edge()
        led.set_rgb(*((0, 40, 0) if button.is_pressed() else (0, 0, 16)))
        if store.number("restart", 0) and button.is_pressed():
            store.set_number("restart", 0)
            machine.soft_reset()


asyncio.run(main())
'''

BLOCKING = """
from machine import Pin
pin = Pin(0, Pin.IN, Pin.PULL_UP)
while pin.value():
    pass
print("pressed")
while True:
    pass
"""


def make(folder: Path, pressroom: Path, main: str = MAIN) -> Path:
    """Return a folder with main.py and the package pressroom beside it."""
    folder.mkdir()
    (folder / "main.py").write_text(main)
    (folder / "pressroom").symlink_to(pressroom)
    return folder
