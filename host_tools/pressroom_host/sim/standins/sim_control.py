"""The channel between the simulated chip and the host: JSON lines both ways over one end of a socket pair.

host -> chip   {"id": n, "do": name, ...}        answered by {"id": n, ...} or {"id": n, "error": sentence}
chip -> host   {"kind": name, "us": time, ...}   something happened on the board
"""

import asyncio
import json
import sys
import time

from micropython import const

_CHUNK_BYTES = const(1024)


class Control:
    """handlers: name -> function(command) -> dict of the answer."""

    def __init__(self, fd, clock):
        self.handlers = {}
        self._clock = clock
        self._channel = open(fd, "r+b")
        self._chunk = bytearray(_CHUNK_BYTES)
        self._line = b""
        self._is_pumping = False

    def report(self, kind, us=None, **fields):
        fields["kind"] = kind
        fields["us"] = self._clock.now_us() if us is None else us
        self._send(fields)

    async def serve(self):
        """Obey the host until it is gone; then end this process."""
        stream = asyncio.StreamReader(self._channel)
        while True:
            self._take(await stream.readinto(self._chunk))

    def pump(self):
        """Obey what has come, for firmware that does not run asyncio."""
        if not self._is_pumping:
            self._take(self._channel.readinto(self._chunk))

    def halt(self):
        """Wait to be ended by the host, or by its death."""
        while self._channel.readinto(self._chunk) != 0:
            time.sleep_ms(1)
        sys.exit(0)

    def _take(self, n_bytes):
        if n_bytes is None:
            return
        if n_bytes == 0:
            sys.exit(0)
        self._line += self._chunk[:n_bytes]
        self._is_pumping = True  # a handler may run an interrupt that reads a pin, which pumps
        while b"\n" in self._line:
            line, self._line = self._line.split(b"\n", 1)
            self._obey(json.loads(line))
        self._is_pumping = False

    def _obey(self, command):
        try:
            answer = self.handlers[command["do"]](command)
        except Exception as error:  # noqa: BLE001 whatever it was, the host must hear of it
            answer = {"error": "%s: %s" % (type(error).__name__, error)}
        answer["id"] = command["id"]
        self._send(answer)

    def _send(self, message):
        line = json.dumps(message).encode() + b"\n"
        n_sent = 0
        while n_sent < len(line):  # the host always reads; a full channel empties soon
            n_sent += self._channel.write(line[n_sent:]) or 0
