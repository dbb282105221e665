"""A gateway without a room, for tests of the device: it answers as the link says, hears, and speaks when told to."""

import asyncio
import datetime
import hashlib
import os
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from aiohttp import WSMsgType, web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pylibsrtp import Error as SrtpError
from pylibsrtp import Policy, Session

from pressroom.wire import rtp
from pressroom.wire.messages import key_text, parse, ssrc_text
from pressroom.wire.seq import timestamp_after
from pressroom.wire.session import LINK_DEAD, MESSAGE, GatewaySession

TOKEN = "the-token-of-the-test"
FRAME_SAMPLES = 320
DN_LEN = 12 + 640 + 10


@dataclass
class Heard:
    """One audio packet of the device."""

    at_s: float
    way: str
    seq: int
    timestamp: int
    is_marked: bool
    payload: bytes


@dataclass
class Refusal:
    """What the upgrade is answered with instead."""

    status: int
    reason: str
    message: str


@dataclass
class Leg:
    """The media of one welcome."""

    srtp_in: Session
    srtp_out: Session
    rtp_out: rtp.RtpOut
    way: str = "websocket"
    address: tuple[str, int] | None = None
    n_keepalives: int = 0


@dataclass
class FakeGateway:
    """`heard`, `events` and `messages` grow as things happen; every test waits on them with `until`."""

    heard: list[Heard] = field(default_factory=list)
    events: list[tuple[float, str, Any]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    hellos: list[dict[str, Any]] = field(default_factory=list)
    refusal: Refusal | None = None
    is_udp_blocked: bool = False
    n_forged: int = 0
    n_upgrades: int = 0

    @classmethod
    async def start(cls, folder: Path, port: int = 0) -> "FakeGateway":
        """Listen on loopback, with the certificate of that folder."""
        gateway = cls()
        context, gateway.pin = _tls(folder)
        app = web.Application()
        app.router.add_get("/device", gateway._serve)
        gateway._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await gateway._runner.setup()
        site = web.TCPSite(gateway._runner, "127.0.0.1", port, ssl_context=context)
        await site.start()
        gateway.port = site._server.sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        gateway._udp, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(gateway._datagram_came), local_addr=("127.0.0.1", 0)
        )
        gateway.media_port = gateway._udp.get_extra_info("sockname")[1]
        gateway._changed = asyncio.Event()
        gateway._session = None
        gateway._leg = None
        gateway._socket = None
        return gateway

    @property
    def url(self) -> str:
        return f"wss://127.0.0.1:{self.port}/device"

    def config(self, **more: Any) -> dict[str, Any]:
        """The NVS of a board that belongs to this gateway."""
        return {
            "gateway_url": self.url,
            "token": TOKEN,
            "pin0": self.pin,
            "wifi_ssid": "simulated",
            "wifi_password": "",
            **more,
        }

    async def stop(self) -> None:
        """Close everything. Safe to call twice."""
        self._udp.close()
        await self._runner.cleanup()

    async def until(self, is_so: Callable[[], bool], what: str, timeout_s: float = 10.0) -> None:
        """Wait until something is so; looked at whenever anything happens here."""
        async with asyncio.timeout(timeout_s):
            while not is_so():
                self._changed.clear()
                try:
                    await self._changed.wait()
                except asyncio.CancelledError:
                    raise AssertionError(
                        f"waited {timeout_s} s in vain for {what}; events: {self.events[-8:]}"
                    ) from None

    async def until_event(self, kind: str, since: int = 0, timeout_s: float = 10.0) -> float:
        """Wait for an event at index `since` or later; returns when it was."""
        await self.until(lambda: any(k == kind for _, k, _ in self.events[since:]), f"the event {kind}", timeout_s)
        return next(at_s for at_s, k, _ in self.events[since:] if k == kind)

    async def until_udp(self) -> None:
        """Wait until the device sends and takes media over UDP."""
        await self.until(lambda: self._leg is not None and self._leg.way == "udp", "media over UDP")

    def say(self, message: dict[str, Any]) -> None:
        """Send a message to the device."""
        assert self._session is not None
        self._session.send(message)
        self._flush_session()

    def leave(self, action: str, reason: str, message: str) -> None:
        """End the Session."""
        self._session.leave(action, reason, message, _now_ms())
        self._flush_session()

    async def cut(self) -> None:
        """Close the WebSocket under the Session."""
        await self._socket.close()

    async def speak(self, samples: np.ndarray, lost: tuple[int, ...] = ()) -> float:
        """Send a recording frame by frame in real time; `lost` frames are not sent. Returns when the first one was."""
        started_s = time.monotonic()
        frames = np.pad(samples, (0, -len(samples) % FRAME_SAMPLES)).astype(">i2").reshape(-1, FRAME_SAMPLES)
        for i, frame in enumerate(frames):
            await asyncio.sleep(max(0.0, started_s + 0.02 * i - time.monotonic()))
            if self._leg is None:
                return started_s
            packet = bytearray(12) + frame.tobytes()
            self._leg.rtp_out.write_header_into(packet, i == 0)
            if i not in lost:
                self._send_down(self._leg, bytes(packet))
        return started_s

    def audio(self, since: int = 0) -> np.ndarray:
        """What was heard, as samples, in the order in which it came."""
        return np.frombuffer(b"".join(packet.payload for packet in self.heard[since:]), ">i2").astype(np.int16)

    # The link.

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.n_upgrades += 1
        self._note("upgrade", request.remote)
        if self.refusal is not None:
            body = {"reason": self.refusal.reason, "message": self.refusal.message}
            return web.json_response(body, status=self.refusal.status)
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        hello = parse(await socket.receive_str())
        self.hellos.append(hello)
        is_resumed = self._session is not None and hello.get("resume") == self._session.session_id
        if not is_resumed:
            self._session = GatewaySession(os.urandom(2).hex(), _now_ms())
        self._socket = socket
        self._outgoing: asyncio.Queue[str | bytes] = asyncio.Queue()
        sender = asyncio.create_task(self._send_all(socket, self._outgoing))
        self._welcome(hello, is_resumed)
        try:
            async for frame in socket:
                self._frame_came(frame)
        finally:
            sender.cancel()
            self._session.link_lost(_now_ms())
            self._note("link_down", None)
        return socket

    def _welcome(self, hello: dict[str, Any], is_resumed: bool) -> None:
        key_up, key_dn, ssrc_up, ssrc_dn = os.urandom(30), os.urandom(30), os.urandom(4), os.urandom(4)
        self._leg = Leg(
            Session(Policy(key=key_up, ssrc_type=Policy.SSRC_ANY_INBOUND)),
            Session(Policy(key=key_dn, ssrc_type=Policy.SSRC_ANY_OUTBOUND)),
            rtp.RtpOut(
                ssrc_dn, rtp.PT_L16, int.from_bytes(os.urandom(2), "big") & 0x7FFF, os.urandom(4), FRAME_SAMPLES
            ),
        )
        welcome = {
            "t": "welcome",
            "proto": 1,
            "session": self._session.session_id,
            "resumed": is_resumed,
            "room": "kitchen",
            "identity": "attic",
            "media": {
                "host": "127.0.0.1",
                "port": self.media_port,
                "ssrc_up": ssrc_text(ssrc_up),
                "ssrc_dn": ssrc_text(ssrc_dn),
                "key_up": key_text(key_up),
                "key_dn": key_text(key_dn),
                "codec_up": "l16",
                "codec_dn": "l16",
                "dn_len": DN_LEN,
            },
        }
        self._session.welcome(welcome, hello.get("muted", True), _now_ms())
        self._note("welcome", is_resumed)
        self._flush_session()

    def _frame_came(self, frame: Any) -> None:
        if frame.type == WSMsgType.TEXT:
            self._session.receive(frame.data, _now_ms())
            self._flush_session()
        elif frame.type == WSMsgType.BINARY:
            assert frame.data[0] == 1
            self._leg.way = "websocket"
            self._packet_came(self._leg, frame.data[1:], "websocket")

    def _flush_session(self) -> None:
        for text in self._session.messages_to_send():
            self._outgoing.put_nowait(text)
        for event in self._session.events():
            if event.kind == MESSAGE:
                self.messages.append(event.value)
            elif event.kind == LINK_DEAD:
                self._outgoing.put_nowait(b"")
            self._note(event.kind, event.value)
        self._changed.set()

    async def _send_all(self, socket: web.WebSocketResponse, outgoing: "asyncio.Queue[str | bytes]") -> None:
        while True:
            item = await outgoing.get()
            if item == b"":
                await socket.close()
            elif isinstance(item, str):
                await socket.send_str(item)
            else:
                await socket.send_bytes(item)

    # The media.

    def _datagram_came(self, data: bytes, address: tuple[str, int]) -> None:
        if self.is_udp_blocked or self._leg is None:
            return
        leg = self._leg
        try:
            packet = leg.srtp_in.unprotect(data)
        except SrtpError:
            self.n_forged += 1
            return
        leg.address = address
        if rtp.payload_type(packet) == rtp.PT_KEEPALIVE:
            leg.n_keepalives += 1
            if packet[12]:
                leg.way = "udp"
            answer = bytearray(DN_LEN - 10)
            leg.rtp_out.write_keepalive_into(answer)
            self._udp.sendto(leg.srtp_out.protect(bytes(answer)), address)
            self._changed.set()
            return
        leg.way = "udp"
        self._packet_came(leg, packet, "udp")

    def _packet_came(self, leg: Leg, packet: bytes, way: str) -> None:
        assert rtp.payload_type(packet) == rtp.PT_L16
        timestamp = rtp.timestamp(packet)
        self.heard.append(Heard(time.monotonic(), way, rtp.seq(packet), timestamp, rtp.is_marked(packet), packet[12:]))
        self._session.audio_heard(timestamp_after(timestamp, FRAME_SAMPLES), _now_ms())
        self._flush_session()

    def _send_down(self, leg: Leg, packet: bytes) -> None:
        if leg.way == "udp" and not self.is_udp_blocked:
            self._udp.sendto(leg.srtp_out.protect(packet), leg.address)
        elif leg.way == "websocket":
            self._outgoing.put_nowait(b"\x01" + packet)

    def _note(self, kind: str, value: Any) -> None:
        self.events.append((time.monotonic(), kind, value))
        self._changed.set()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, on_datagram: Callable[[bytes, tuple[str, int]], None]) -> None:
        self.datagram_received = on_datagram  # type: ignore[method-assign]


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000 & 0x3FFFFFFF


def _tls(folder: Path) -> tuple[ssl.SSLContext, bytes]:
    """Return a server context with the P-256 certificate of that folder, and the SHA-256 of it that a device pins."""
    path = folder / "fake-gateway.pem"
    if not path.exists():
        path.write_bytes(_new_identity())
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context, hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).digest()


def _new_identity() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "fake gateway")])
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(start)
    certificate = builder.not_valid_after(start + datetime.timedelta(days=7300)).sign(key, hashes.SHA256())
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return private + certificate.public_bytes(encoding)
