"""A device of the tests: it speaks the link in the words of pressroom.wire, and encrypts by libsrtp."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import numpy as np
from pylibsrtp import Error as SrtpError
from pylibsrtp import Policy, Session

from pressroom.wire import rtp
from pressroom.wire.messages import key_bytes, ssrc_bytes
from pressroom.wire.session import LINK_DEAD, MESSAGE, REFUSED, WELCOMED, DeviceSession
from pressroom_host.gateway.audio import FRAME_SAMPLES, OpusDecoder, OpusEncoder
from pressroom_host.gateway.server import Gateway

DEADLINE_S = 10.0
RATE_HZ = 16_000
FRAME_S = 0.02
_KEEPALIVE_S = 0.05


def now_ms() -> int:
    return time.monotonic_ns() // 1_000_000 & 0x3FFFFFFF


class LinkDevice(asyncio.DatagramProtocol):
    """`heard`: (packet in plain, way) of audio; `messages`: what the Session did not keep to itself."""

    def __init__(self, gateway: Gateway, token: str, *, codec: str = "l16", is_udp: bool = True, **caps: Any) -> None:
        full = {"up": [codec], "dn": [codec], "max_message_bytes": 2_048, **caps}
        self.session = DeviceSession({"fw": "test", "board": "test", "caps": full}, now_ms())
        self.codec = codec
        self.heard: list[tuple[bytes, str]] = []
        self.messages: list[dict[str, Any]] = []
        self.welcome: dict[str, Any] = {}
        self.refusal: dict[str, Any] = {}
        self.has_udp = False
        self.n_refused_datagrams = 0
        self.udp: asyncio.DatagramTransport | None = None
        self._gateway = gateway
        self._token = token
        self._is_udp = is_udp
        self._encoder = OpusEncoder(32_000)
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._sends: set[asyncio.Future[None]] = set()

    async def connect(self) -> None:
        """Dial, greet and be welcomed, over UDP if there is any. Raises aiohttp's errors."""
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(DEADLINE_S))
        try:
            self.socket = await self._http.ws_connect(
                self._gateway.device_url,
                headers={"Authorization": f"Bearer {self._token}"},
                ssl=aiohttp.Fingerprint(self._gateway.certificate_pin),
            )
        except BaseException:
            await self._http.close()
            raise
        self.has_udp = False
        self.welcome = {}
        self.session.link_opened(now_ms())
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._keep())]
        self._settle()
        await self.until(lambda: self.welcome or self.refusal, "a welcome")
        if self._is_udp and self.welcome:
            await self.until(lambda: self.has_udp, "UDP")

    async def lose_link(self) -> None:
        """Let go of both sockets without a word."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.udp is not None:
            self.udp.close()
        await self._http.close()
        self.session.link_lost(now_ms())

    async def close(self) -> None:
        """Say goodbye. Safe to call twice."""
        if not self._http.closed:
            self.session.leave("CLIENT_INITIATED", now_ms())
            self._settle()
            await asyncio.gather(*self._sends, return_exceptions=True)
            await self.lose_link()

    async def until(self, is_so: Callable[[], Any], what: str) -> Any:
        """Wait until something is so; it is looked at whenever something has come."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                while not (value := is_so()):
                    self._changed.clear()
                    await self._changed.wait()
                return value
        except TimeoutError:
            told = [message["t"] for message in self.messages]
            raise AssertionError(f"waited in vain for {what}; was told {told}, refused: {self.refusal}") from None

    async def message(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Wait for a message of this kind with these fields, and take it."""

        def find() -> dict[str, Any] | None:
            for message in self.messages:
                if message["t"] == kind and all(message.get(name) == value for name, value in fields.items()):
                    return message
            return None

        message: dict[str, Any] = await self.until(find, f"{kind} {fields}")
        self.messages.remove(message)
        return message

    def say(self, message: dict[str, Any]) -> None:
        """Send a message."""
        assert self.session.send(message)
        self._settle()

    # Audio.

    def press(self) -> None:
        self.session.set_muted(False, self.out.timestamp, now_ms())
        self._settle()

    def release(self) -> None:
        self.session.set_muted(True, self.out.timestamp, now_ms())
        self._settle()

    def send_frame(self, samples: np.ndarray, is_marked: bool = False) -> bytes:
        """Send 320 samples, the way that is taken, and return the payload that they became."""
        if self.codec == "l16":
            payload = samples.astype(">i2").tobytes()
        else:
            payload = self._encoder.encode(samples.astype(np.int16).tobytes())
        header = bytearray(12)
        self.out.write_header_into(header, is_marked)
        self.send_packet(bytes(header) + payload)
        return payload

    def send_packet(self, packet: bytes) -> None:
        """Send a plain packet, the way that is taken."""
        if self.has_udp:
            assert self.udp is not None
            self.udp.sendto(self.srtp_out.protect(packet))
        else:
            self._sending(self.socket.send_bytes(b"\1" + packet))

    async def speak(self, samples: np.ndarray) -> list[bytes]:
        """Press, say it in real time, release; return the payloads that were sent."""
        payloads = []
        self.press()
        begun_s = time.monotonic()
        for n, start in enumerate(range(0, len(samples) - FRAME_SAMPLES + 1, FRAME_SAMPLES)):
            await asyncio.sleep(max(0.0, begun_s + n * FRAME_S - time.monotonic()))
            payloads.append(self.send_frame(samples[start : start + FRAME_SAMPLES], is_marked=n == 0))
        self.release()
        return payloads

    def payloads_heard(self, since: int = 0) -> list[bytes]:
        """Return what the packets that came hold, without their padding."""
        return [packet[12 : rtp.payload_end(packet, len(packet))] for packet, _ in self.heard[since:]]

    def samples_heard(self, since: int = 0) -> np.ndarray:
        """Return what came, in the order in which it came."""
        payloads = self.payloads_heard(since)
        if self.codec == "l16":
            return np.frombuffer(b"".join(payloads), ">i2").astype(np.int16)
        decoder = OpusDecoder()
        return np.frombuffer(b"".join(decoder.decode(payload) for payload in payloads), np.int16)

    # The shell of the Session.

    async def _read(self) -> None:
        async for frame in self.socket:
            if frame.type == aiohttp.WSMsgType.TEXT:
                self.session.receive(frame.data, now_ms())
                self._settle()
            elif frame.type == aiohttp.WSMsgType.BINARY:
                assert frame.data[0] == 1
                self._packet_came(frame.data[1:], "websocket")
        self.session.link_lost(now_ms())
        self._settle()

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(_KEEPALIVE_S)
            self.session.poll(now_ms())
            self._settle()
            if self.udp is not None and not self.has_udp:
                self._send_keepalive()

    def _settle(self) -> None:
        for event in self.session.events():
            if event.kind == WELCOMED:
                self._begin_media(event.value)
            elif event.kind == MESSAGE:
                self.messages.append(event.value)
            elif event.kind in (REFUSED, LINK_DEAD):
                self.refusal = event.value or {"reason": "LINK_DEAD"}
        for text in self.session.messages_to_send():
            self._sending(self.socket.send_str(text))
        self._changed.set()

    def _sending(self, sending: Any) -> None:
        """In order: each is written by the time the next begins, as the socket waits for nothing but a full buffer."""
        task = asyncio.ensure_future(sending)
        self._sends.add(task)
        task.add_done_callback(self._sends.discard)

    def _begin_media(self, welcome: dict[str, Any]) -> None:
        media = welcome["media"]
        is_l16 = media["codec_up"] == "l16"
        self.welcome = welcome
        self.srtp_out = Session(Policy(key=key_bytes(media["key_up"]), ssrc_type=Policy.SSRC_ANY_OUTBOUND))
        self._srtp_in = Session(Policy(key=key_bytes(media["key_dn"]), ssrc_type=Policy.SSRC_ANY_INBOUND))
        self.out = rtp.RtpOut(
            ssrc_bytes(media["ssrc_up"]),
            rtp.PT_L16 if is_l16 else rtp.PT_OPUS,
            100,
            b"\xff\xff\xff\0",
            FRAME_SAMPLES if is_l16 else 960,
        )
        if self._is_udp:
            self._tasks.append(asyncio.create_task(self._open_udp(media["host"], media["port"])))

    async def _open_udp(self, host: str, port: int) -> None:
        self.udp, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, remote_addr=(host, port))
        self._send_keepalive()

    def _send_keepalive(self) -> None:
        assert self.udp is not None
        packet = bytearray(13)
        self.out.write_keepalive_into(packet)
        packet[12] = self.has_udp
        self.udp.sendto(self.srtp_out.protect(bytes(packet)))

    def datagram_received(self, data: bytes, addr: Any) -> None:
        assert len(data) == self.welcome["media"]["dn_len"]
        try:
            packet = self._srtp_in.unprotect(data)
        except SrtpError:
            self.n_refused_datagrams += 1
            return
        if not self.has_udp:
            self.has_udp = True
            self._send_keepalive()
        if rtp.payload_type(packet) != rtp.PT_KEEPALIVE:
            self._packet_came(packet, "udp")
        self._changed.set()

    def _packet_came(self, packet: bytes, way: str) -> None:
        self.heard.append((packet, way))
        self._changed.set()


@asynccontextmanager
async def link_device(
    gateway: Gateway, identity: str = "attic", room: str = "hall", **options: Any
) -> AsyncIterator[LinkDevice]:
    """A device in a room, which leaves at the end."""
    device = LinkDevice(gateway, gateway.create_device_token(identity, room), **options)
    await device.connect()
    try:
        yield device
    finally:
        await device.close()
