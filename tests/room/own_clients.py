"""Our own LiveKit clients for the tests: they remember what they are told, and speak and hear Opus."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import numpy as np
from tests.room.clients import DEADLINE_S, Door

from pressroom_host.gateway.audio import FRAME_SAMPLES, RATE_HZ, OpusDecoder, OpusEncoder
from pressroom_host.livekit_client.publication import Publication
from pressroom_host.livekit_client.room import LiveKitRoom
from pressroom_host.room_listener import RoomListener
from pressroom_host.webrtc.client_peer import ClientPeer

FRAME_S = 0.02
_NOTED = (
    *("on_participant", "on_participant_left", "on_track", "on_track_gone", "on_track_muted", "on_user_data"),
    *("on_text", "on_mute_requested", "on_speakers", "on_connection_quality", "on_reconnecting", "on_reconnected"),
    "on_removed",
)


class Ear(RoomListener):
    """`told` are its events, oldest first, as (name, arguments); `packets` are the RTP packets of each track."""

    def __init__(self) -> None:
        self.told: list[tuple[str, tuple[Any, ...]]] = []
        self.packets: dict[str, list[bytes]] = {}
        for name in _NOTED:
            setattr(self, name, self._note(name))

    def _note(self, name: str) -> Callable[..., None]:
        return lambda *arguments: self.told.append((name.removeprefix("on_"), arguments))

    def on_rtp(self, track_sid: str, packet: bytes) -> None:
        self.packets.setdefault(track_sid, []).append(packet)

    @property
    def payloads(self) -> list[bytes]:
        """What all tracks have said."""
        return [packet[12:] for packets in self.packets.values() for packet in packets]

    def names(self) -> list[str]:
        return [name for name, _ in self.told]

    async def until(self, is_so: Callable[[], Any], what: str) -> Any:
        """Wait until something is so."""
        deadline_s = time.monotonic() + DEADLINE_S
        while not (value := is_so()):
            assert time.monotonic() < deadline_s, f"{what} did not happen; was told {self.names()}"
            await asyncio.sleep(0.005)
        return value

    async def event(self, name: str, matches: Callable[..., bool] = lambda *_: True) -> tuple[Any, ...]:
        """Take the next event of this name out of `told`, waiting for it."""

        def find() -> tuple[Any, ...] | None:
            for entry in self.told:
                if entry[0] == name and matches(*entry[1]):
                    self.told.remove(entry)
                    return entry
            return None

        return (await self.until(find, name))[1]

    async def hears(self, frequency_hz: float) -> None:
        """Wait for half a second of a tone, decoded from the start of what came; older sound may come first."""

        def is_heard() -> bool:
            for packets in self.packets.values():
                decoder = OpusDecoder()
                pcm = b"".join(decoder.decode(packet[12:]) for packet in packets)
                samples = np.frombuffer(pcm, np.int16)[-RATE_HZ // 2 :]
                if len(samples) == RATE_HZ // 2 and abs(_strongest_hz(samples) - frequency_hz) < 5:
                    return True
            return False

        await self.until(is_heard, f"a tone of {frequency_hz} Hz")


def _strongest_hz(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * RATE_HZ / len(samples)) if np.abs(samples).max() > 1_000 else 0.0


def opus_tone(frequency_hz: float, n_frames: int, bitrate_bps: int = 32_000) -> list[bytes]:
    """Return packets of 20 ms, all of them different from each other as sound is."""
    encoder = OpusEncoder(bitrate_bps)
    t = np.arange(n_frames * FRAME_SAMPLES) / RATE_HZ
    pcm = (12_000 * np.sin(2 * np.pi * frequency_hz * t)).astype(np.int16).tobytes()
    n_bytes = 2 * FRAME_SAMPLES
    return [encoder.encode(pcm[start : start + n_bytes]) for start in range(0, len(pcm), n_bytes)]


async def say(publication: Publication, packets: list[bytes]) -> None:
    """Send packets in real time."""
    begun_s = time.monotonic()
    for number, packet in enumerate(packets):
        await asyncio.sleep(max(0.0, begun_s + number * FRAME_S - time.monotonic()))
        publication.send_opus(packet)


@contextlib.asynccontextmanager
async def speaking(publication: Publication, frequency_hz: float) -> AsyncIterator[None]:
    """Speak a tone for as long as the block lasts."""

    async def speak() -> None:
        while True:
            await say(publication, opus_tone(frequency_hz, 100))

    task = asyncio.create_task(speak())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


@contextlib.asynccontextmanager
async def own_client(door: Door, identity: str, *, grants: dict[str, Any] | None = None, **options: Any):
    """One of our own clients in the room, and its ear; it leaves at the end."""
    ear = Ear()
    room = LiveKitRoom(door.url, door.token(identity, **(grants or {})), ear, **options)
    await room.connect()
    try:
        yield room, ear
    finally:
        await room.disconnect()


@contextlib.contextmanager
def losing_out(peer: ClientPeer, random_numbers: random.Random, share: float) -> Iterator[None]:
    """Lose a share of the SRTP packets, of no RTCP, on their way out of the peer."""
    send = peer._send_datagram

    def send_some(datagram: bytes) -> None:
        is_media = 127 < datagram[0] < 192 and not 191 < datagram[1] < 224
        if not is_media or random_numbers.random() >= share:
            send(datagram)

    peer._send_datagram = send_some  # type: ignore[method-assign]
    try:
        yield
    finally:
        del peer._send_datagram


@contextlib.contextmanager
def losing_in(peer: ClientPeer, random_numbers: random.Random, share: float) -> Iterator[set[bytes]]:
    """Lose a share of the SRTP packets on their way in, once each; yields their sequence numbers."""
    lost: set[bytes] = set()

    def take_some(packet: bytes) -> None:
        is_media = not 191 < packet[1] < 224
        if is_media and packet[2:4] not in lost and random_numbers.random() < share:
            lost.add(packet[2:4])  # before it is decrypted: the replay window must not have seen it
        else:
            peer.on_srtp(packet)

    def listen(on_srtp: Callable[[bytes], None]) -> None:
        peer.ice._on_srtp = on_srtp
        for protocol in peer.ice._aioice._protocols:
            del protocol.datagram_received
            peer.ice._listen(protocol)

    listen(take_some)
    try:
        yield lost
    finally:
        listen(peer.on_srtp)
