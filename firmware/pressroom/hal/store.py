"""What a device is told once and keeps: numbers and blobs in NVS."""

import esp32
from micropython import const

_MAX_BLOB_BYTES = const(2048)


class SettingMissing(Exception):
    """A setting without which the device cannot start is not in NVS."""


class Store:
    """One namespace of NVS. Keys have at most 15 characters."""

    def __init__(self, namespace):
        self._namespace = namespace
        self._nvs = esp32.NVS(namespace)

    def blob(self, key, default=None):
        """Return the bytes of that key. Raises SettingMissing if it is absent and there is no default."""
        buf = bytearray(_MAX_BLOB_BYTES)
        try:
            return bytes(memoryview(buf)[: self._nvs.get_blob(key, buf)])
        except OSError:
            if default is None:
                raise SettingMissing(
                    "%s is not set in NVS namespace %s; give it to the board and start again" % (key, self._namespace)
                )
            return default

    def text(self, key, default=None):
        """Return the text of that key. Raises SettingMissing if it is absent and there is no default."""
        return self.blob(key, None if default is None else default.encode()).decode()

    def number(self, key, default):
        """Return the number of that key, or the default if it is absent."""
        try:
            return self._nvs.get_i32(key)
        except OSError:
            return default

    def set_blob(self, key, value):
        self._nvs.set_blob(key, value)
        self._nvs.commit()

    def set_text(self, key, value):
        self.set_blob(key, value.encode())

    def set_number(self, key, value):
        self._nvs.set_i32(key, value)
        self._nvs.commit()
