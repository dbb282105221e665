"""Stand-in for MicroPython's esp32 module: NVS, in a file of the work folder.

Source: MicroPython ports/esp32/esp32_nvs.c; error numbers of ESP-IDF nvs.h.
"""

import binascii
import json
import os

import sim_chip
from micropython import const

_NOT_FOUND = const(-0x1102)
_KEY_TOO_LONG = const(-0x1109)
_INVALID_LENGTH = const(-0x110C)
_MAX_NAME_CHARS = const(15)


class NVS:
    """Numbers of 32 bits and blobs; what is not committed is gone after a reset."""

    def __init__(self, namespace):
        _check_name(namespace)
        self._namespace = namespace
        self._path = sim_chip.chip.work_folder + "/nvs.json"
        self._entries = self._read().get(namespace, {})

    def get_i32(self, key):
        return self._entry(key, "i32")

    def set_i32(self, key, value):
        _check_name(key)
        if not -0x80000000 <= value <= 0x7FFFFFFF:
            raise OverflowError("overflow converting long int to machine word")
        self._entries[key] = {"i32": value}

    def get_blob(self, key, buf):
        """Fill the beginning of buf; returns the length of the blob."""
        blob = binascii.unhexlify(self._entry(key, "blob"))
        if len(blob) > len(buf):
            raise OSError(_INVALID_LENGTH, "ESP_ERR_NVS_INVALID_LENGTH")
        buf[: len(blob)] = blob
        return len(blob)

    def set_blob(self, key, value):
        _check_name(key)
        self._entries[key] = {"blob": binascii.hexlify(value).decode()}

    def erase_key(self, key):
        if key not in self._entries:
            raise OSError(_NOT_FOUND, "ESP_ERR_NVS_NOT_FOUND")
        del self._entries[key]

    def commit(self):
        namespaces = self._read()
        namespaces[self._namespace] = self._entries
        with open(self._path + ".new", "w") as file:
            json.dump(namespaces, file)
        os.rename(self._path + ".new", self._path)

    def _entry(self, key, kind):
        entry = self._entries.get(key, {})
        if kind not in entry:
            raise OSError(_NOT_FOUND, "ESP_ERR_NVS_NOT_FOUND")
        return entry[kind]

    def _read(self):
        try:
            with open(self._path) as file:
                return json.load(file)
        except OSError:
            return {}


def _check_name(name):
    if len(name) > _MAX_NAME_CHARS:
        raise OSError(_KEY_TOO_LONG, "ESP_ERR_NVS_KEY_TOO_LONG")
