"""The board file: which chip, which pins. One JSON file a board; on the device it lies at /board.json."""

import binascii
import json

import machine

_NUMBERS = {"mic": ("id", "sck", "ws", "sd"), "speaker": ("id", "sck", "ws", "sd"), "button": ("pin",), "led": ("pin",)}
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
    fault = _fault_of(entries)
    if fault:
        raise BoardError("%s: %s; compare the files of boards/" % (path, fault))
    return Board(entries)


def device_id():
    """Return what tells this chip from every other, as hex digits."""
    return binascii.hexlify(machine.unique_id()).decode()


def restart():
    """Begin again from power on; does not return."""
    machine.reset()


def _fault_of(entries):
    """Return what is wrong with a board file's content, or None."""
    if not isinstance(entries, dict):
        return "it is not an object"
    for key in ("name", "chip", "cpu_hz", "mic", "speaker", "button", "led"):
        if key not in entries:
            return "%s is missing" % key
    if not isinstance(entries["cpu_hz"], int):
        return "cpu_hz must be a number"
    for part, keys in _NUMBERS.items():
        if not isinstance(entries[part], dict):
            return "%s must be an object" % part
        for key in keys:
            if not isinstance(entries[part].get(key), int):
                return "%s.%s must be a number" % (part, key)
    for part, kinds in _KINDS.items():
        if entries[part].get("kind") not in kinds:
            return "%s.kind must be one of: %s" % (part, ", ".join(kinds))
    return None
