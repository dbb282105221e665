"""Official LiveKit clients for the tests: they join, speak tones, and remember every event until a test asks for it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import numpy as np
from livekit import api, rtc

DEADLINE_S = 10.0
RATE_HZ = 48_000
FRAME_SAMPLES = 480  # 10 ms
_WINDOW_SAMPLES = RATE_HZ // 4
_RESOLUTION_HZ = 2 * RATE_HZ / _WINDOW_SAMPLES
_AUDIBLE = 1_000  # of 32,767
ALL_GRANTS = {
    "can_publish": True,
    "can_subscribe": True,
    "can_publish_data": True,
    "can_update_own_metadata": True,
}
_EVENTS = [
    *("participant_connected", "participant_disconnected", "participant_attributes_changed"),
    *("participant_metadata_changed", "participant_name_changed", "track_published", "track_unpublished"),
    *("track_subscribed", "track_unsubscribed", "track_muted", "track_unmuted", "local_track_subscribed"),
    *("data_received", "disconnected", "reconnecting", "reconnected"),
]


@dataclass(frozen=True)
class Door:
    """How to get into a LiveKit server: all that these tests know of it. room: one for each test."""

    url: str
    api_key: str
    api_secret: str
    room: str = "hall"

    def token(self, identity: str, room: str = "", **changes: Any) -> str:
        """Return a token with all grants, changed as asked; one that is None is not in the token."""
        video = api.VideoGrants(room_join=True, room=room or self.room, **{**ALL_GRANTS, **changes})
        token = api.AccessToken(self.api_key, self.api_secret).with_identity(identity).with_name(identity.title())
        return token.with_grants(video).to_jwt()


class Client:
    """One official client. `heard` are its events, oldest first, as (name, arguments)."""

    def __init__(self) -> None:
        self.room = rtc.Room()
        self.heard: list[tuple[str, tuple[Any, ...]]] = []
        self._changed = asyncio.Event()
        for name in _EVENTS:
            self.room.on(name, self._listener(name))

    def _listener(self, name: str) -> Callable[..., None]:
        def listen(*arguments: Any) -> None:
            self.heard.append((name, arguments))
            self._changed.set()

        return listen

    @property
    def me(self) -> rtc.LocalParticipant:
        return self.room.local_participant

    async def until(self, condition: Callable[[], Any], what: str) -> Any:
        """Wait until condition holds; it is looked at after every event, and now and then."""
        deadline_s = time.monotonic() + DEADLINE_S
        while not (value := condition()):
            if time.monotonic() > deadline_s:
                raise AssertionError(f"{what} did not happen; heard {[name for name, _ in self.heard]}")
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), 0.02)
            except TimeoutError:
                continue
        return value

    async def event(self, name: str, matches: Callable[..., bool] = lambda *_: True) -> tuple[Any, ...]:
        """Take the next event of this name out of `heard`, waiting for it."""

        def find() -> tuple[Any, ...] | None:
            for entry in self.heard:
                if entry[0] == name and matches(*entry[1]):
                    self.heard.remove(entry)
                    return entry
            return None

        return (await self.until(find, name))[1]

    def names(self) -> list[str]:
        return [name for name, _ in self.heard]

    async def publish(self, name: str = "mic", **options: Any) -> "Voice":
        """Publish a microphone and return the voice behind it."""
        source = rtc.AudioSource(RATE_HZ, 1)
        track = rtc.LocalAudioTrack.create_audio_track(name, source)
        options = {"source": rtc.TrackSource.SOURCE_MICROPHONE, **options}
        # The client itself gives up after 10 s.
        publication = await asyncio.wait_for(
            self.me.publish_track(track, rtc.TrackPublishOptions(**options)), 2 * DEADLINE_S
        )
        return Voice(source, track, publication)


@dataclass
class Voice:
    """What a published microphone says."""

    source: rtc.AudioSource
    track: rtc.LocalAudioTrack
    publication: rtc.LocalTrackPublication

    @asynccontextmanager
    async def tone(self, frequency_hz: float) -> AsyncIterator[None]:
        """Speak a tone for as long as the block lasts."""
        task = asyncio.create_task(self._speak(frequency_hz))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _speak(self, frequency_hz: float) -> None:
        n = 0
        while True:
            phase = 2 * np.pi * frequency_hz * np.arange(n, n + FRAME_SAMPLES) / RATE_HZ
            frame = (12_000 * np.sin(phase)).astype(np.int16)
            await self.source.capture_frame(rtc.AudioFrame(frame.tobytes(), RATE_HZ, 1, FRAME_SAMPLES))
            n += FRAME_SAMPLES


async def hears(track: rtc.Track, frequency_hz: float) -> None:
    """Listen to the track until a quarter of a second of it is this tone; older sound may come first."""
    stream = rtc.AudioStream(track, sample_rate=RATE_HZ, num_channels=1)
    window = np.zeros(0)
    strongest_hz = 0.0
    try:
        async with asyncio.timeout(DEADLINE_S):
            async for event in stream:
                window = np.concatenate((window, np.frombuffer(event.frame.data, dtype=np.int16)))
                if len(window) >= _WINDOW_SAMPLES:
                    strongest_hz = _strongest_frequency_hz(window)
                    if abs(strongest_hz - frequency_hz) <= _RESOLUTION_HZ:
                        return
                    window = np.zeros(0)
    except TimeoutError:
        raise AssertionError(f"{frequency_hz} Hz was not heard; last was {strongest_hz:.0f} Hz") from None
    finally:
        await stream.aclose()


def _strongest_frequency_hz(window: np.ndarray) -> float:
    if np.abs(window).max() < _AUDIBLE:
        return 0.0
    spectrum = np.abs(np.fft.rfft(window * np.hanning(len(window))))
    return float(np.argmax(spectrum) * RATE_HZ / len(window))


def http(door: Door) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(door.url.replace("ws", "http", 1), timeout=aiohttp.ClientTimeout(DEADLINE_S))


async def status(door: Door, path: str, token: str = "") -> int:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with http(door) as session, session.get(path, headers=headers) as response:
        return response.status
