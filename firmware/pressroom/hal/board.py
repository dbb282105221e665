"""The board file: which chip, which pins. One JSON file a board; on the device it lies at /board.json."""

import binascii
import json

import machine

_PINS = {"mic": ("id", "sck", "ws", "sd"), "speaker": ("id", "sck", "ws", "sd"), "button": ("pin",), "led": ("pin",)}
_KINDS = {"mic": ("i2s",), "speaker": ("i2s",), "led": ("ws2812", "gpio")}


class BoardError(Exception):
    """The board file cannot be used; the text names the entry and what belongs there."""


class Board:
    """A checked board file; from `mic`, `speaker`, `button` and `led` (dicts) the classes of hal are made."""

    def __init__(self, entries):
        self.name = entries["name"]
        self.chip = entries["chip"]
        self.cpu_hz = entries["cpu_hz"]
        self.mic = entries["mic"]
        self.speaker = entries["speaker"]
        self.button = entries["button"]
        self.led = entries["led"]

    def set_full_speed(self):
        """Stock firmware starts most chips below the clock they can run at."""
        machine.freq(self.cpu_hz)

    def __repr__(self):
        return "Board(%r, chip=%r)" % (self.name, self.chip)


def load_board(path="/board.json"):
    """Return the Board of that file. Raises BoardError."""
    try:
        with open(path) as file:
            entries = json.load(file)
    except OSError:
        raise BoardError("%s is missing; copy a file of boards/ to the device under that name" % path)
    except ValueError:
        raise BoardError("%s is not JSON; copy it to the device again" % path)
    for key in ("name", "chip", "cpu_hz", "mic", "speaker", "button", "led"):
        if key not in entries:
            raise BoardError("%s: %s is missing; compare the files of boards/" % (path, key))
    for part, keys in _PINS.items():
        for key in keys:
            if not isinstance(entries[part].get(key), int):
                raise BoardError("%s: %s.%s must be a number; compare the files of boards/" % (path, part, key))
    for part, kinds in _KINDS.items():
        if entries[part].get("kind") not in kinds:
            raise BoardError("%s: %s.kind must be one of: %s" % (path, part, ", ".join(kinds)))
    return Board(entries)


def device_id():
    """Return what tells this chip from every other, as hex digits."""
    return binascii.hexlify(machine.unique_id()).decode()


def restart():
    """Begin again from power on; does not return."""
    machine.reset()
