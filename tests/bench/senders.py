"""Devices that only send, many in this one process, so that the gateway's cost can be told from theirs.

    python tests/bench/senders.py < lines

The first line is {"url", "tokens", "codec"}; each later one is a number of seconds to talk. Answers are JSON lines:
{"n_devices"} once all are welcome and on UDP, then {"n_sent"} after each talk.
"""

import asyncio
import json
import socket
import ssl
import struct
import sys
import time
from binascii import a2b_base64
from collections.abc import Iterator
from itertools import cycle

import aiohttp
import numpy as np
import opuslib_next as opuslib
from pylibsrtp import Policy, Session

from pressroom.wire import rtp
from pressroom.wire.session import WELCOMED, DeviceSession
from pressroom_host.demo.speech import script

_FRAME_SAMPLES = 320
_FRAME_S = 0.02
_DEADLINE_S = 15.0
_TAKEN_UDP = b"\x01"
_TICKS = {"opus": 960, "l16": _FRAME_SAMPLES}
_PAYLOAD_TYPES = {"opus": rtp.PT_OPUS, "l16": rtp.PT_L16}


def now_ms() -> int:
    """Return the time as the core wants it."""
    return int(time.monotonic() * 1_000) & 0x3FFFFFFF


def payloads(codec: str) -> list[bytes]:
    """Return a human's speech as payloads of 20 ms."""
    samples = script()[2].samples
    frames = samples[: len(samples) // _FRAME_SAMPLES * _FRAME_SAMPLES].reshape(-1, _FRAME_SAMPLES)
    if codec == "l16":
        return [frame.astype(">i2").tobytes() for frame in frames]
    encoder = opuslib.Encoder(16_000, 1, opuslib.APPLICATION_RESTRICTED_LOWDELAY)
    encoder.bitrate = 32_000
    return [encoder.encode(frame.astype(np.int16).tobytes(), _FRAME_SAMPLES) for frame in frames]


class Sender:
    """One device: its Session over a WebSocket, its media over UDP."""

    def __init__(self, codec: str, frames: Iterator[bytes]) -> None:
        caps = {"up": [codec], "dn": ["l16"], "max_message_bytes": 2048, "full_duplex": False}
        self._session = DeviceSession({"fw": "bench", "board": "bench", "caps": caps}, now_ms())
        self._codec = codec
        self._frames = frames
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.setblocking(False)
        self._out: rtp.RtpOut | None = None
        self._srtp: Session | None = None
        self._wake = asyncio.Event()
        self._is_welcome = asyncio.Event()
        self.n_sent = 0

    async def open(self, http: aiohttp.ClientSession, url: str, token: str, tls: ssl.SSLContext) -> None:
        """Say hello, be welcome, and take UDP."""
        self._socket = await http.ws_connect(url, headers={"Authorization": f"Bearer {token}"}, ssl=tls)
        self._session.link_opened(now_ms())
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._keep())]
        async with asyncio.timeout(_DEADLINE_S):
            await self._is_welcome.wait()
            while True:  # until a keepalive is answered
                self._send(self._keepalive())
                await asyncio.sleep(0.05)
                try:
                    if self._udp.recv(2048):
                        return
                except BlockingIOError:
                    continue

    def set_muted(self, is_muted: bool) -> None:
        assert self._out is not None
        self._session.set_muted(is_muted, self._out.timestamp, now_ms())
        self._wake.set()

    def send_frame(self, is_marked: bool) -> None:
        assert self._out is not None
        packet = bytearray(rtp.HEADER_BYTES)
        self._out.write_header_into(packet, is_marked)
        self._send(bytes(packet) + next(self._frames))
        self.n_sent += 1

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await self._socket.close()
        self._udp.close()

    def _keepalive(self) -> bytes:
        assert self._out is not None
        packet = bytearray(rtp.HEADER_BYTES)
        self._out.write_keepalive_into(packet)
        return bytes(packet) + _TAKEN_UDP

    def _send(self, packet: bytes) -> None:
        assert self._srtp is not None
        self._udp.send(self._srtp.protect(packet))

    async def _read(self) -> None:
        async for message in self._socket:
            if message.type == aiohttp.WSMsgType.TEXT:
                self._session.receive(message.data, now_ms())
                self._wake.set()

    async def _keep(self) -> None:
        while True:
            self._session.poll(now_ms())
            for event in self._session.events():
                if event.kind == WELCOMED:
                    self._begin(event.value["media"])
            for text in self._session.messages_to_send():
                await self._socket.send_str(text)
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), self._session.next_timeout_ms(now_ms()) / 1_000)
            except TimeoutError:
                continue

    def _begin(self, media: dict) -> None:
        if media["codec_up"] != self._codec:
            raise SystemExit(f"the gateway wants {media['codec_up']}, not {self._codec}")
        self._udp.connect((media["host"], media["port"]))
        key = a2b_base64(media["key_up"])
        self._srtp = Session(Policy(key=key, ssrc_type=Policy.SSRC_ANY_OUTBOUND))
        ssrc = struct.pack(">I", int(media["ssrc_up"], 16))
        self._out = rtp.RtpOut(ssrc, _PAYLOAD_TYPES[self._codec], 1, bytes(4), _TICKS[self._codec])
        self._is_welcome.set()


async def talk(senders: list[Sender], seconds: float) -> int:
    """Let all talk at once, evenly spread over each 20 ms; return how many packets were sent."""
    n_before = sum(sender.n_sent for sender in senders)
    for sender in senders:
        sender.set_muted(False)
    begun_s = time.monotonic()
    for n_frame in range(int(seconds / _FRAME_S)):
        for n, sender in enumerate(senders):
            due_s = begun_s + (n_frame + n / len(senders)) * _FRAME_S
            if due_s > time.monotonic() + 0.001:
                await asyncio.sleep(due_s - time.monotonic())
            sender.send_frame(is_marked=n_frame == 0)
    for sender in senders:
        sender.set_muted(True)
    await asyncio.sleep(0)
    return sum(sender.n_sent for sender in senders) - n_before


async def main() -> None:
    """Obey standard input."""
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    wanted = json.loads(await lines.readline())
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE  # loopback, and not what is measured
    spoken = payloads(wanted["codec"])
    async with aiohttp.ClientSession() as http:
        senders = [Sender(wanted["codec"], cycle(spoken[n:] + spoken[:n])) for n in range(len(wanted["tokens"]))]
        for sender, token in zip(senders, wanted["tokens"], strict=True):
            await sender.open(http, wanted["url"], token, tls)
        print(json.dumps({"n_devices": len(senders)}), flush=True)
        while line := await lines.readline():
            n_sent = await talk(senders, float(line))
            print(json.dumps({"n_sent": n_sent}), flush=True)
        for sender in senders:
            await sender.close()


if __name__ == "__main__":
    asyncio.run(main())
