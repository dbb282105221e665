"""The parrot: an official LiveKit client that says back what it heard, as soon as the other one mutes its track.

     state       enters when                           does
     LISTENING   it begins; the other one unmutes      keeps what it hears from the first voice on
     ANSWERING   the other one mutes                   says it, and keeps listening 500 ms, so that the end is not lost

It is a process of its own that knows nothing of Pressroom but the name of whom to answer:

    python -m pressroom_host.demo.parrot --url ws://127.0.0.1:7880 --answer kitchen

The first line of its standard input is its token (a command line could be read by others); it leaves when the input
ends. What happens it says on standard output, a JSON object a line: {"event": ..., "at_s": ...}, on the clock of
time.monotonic().

    joined | subscribed | unmuted | heard (first voice) | muted | said (first sample captured) | finished | failed
"""

import argparse
import asyncio
import json
import sys
import time
from collections import deque
from typing import Any

import numpy as np
from livekit import rtc
from livekit.rtc.participant import PublishTrackError

RATE_HZ = 48_000
FRAME_MS = 10
KEEP_LISTENING_S = 0.5

_MAX_HEARD_FRAMES = 60_000 // FRAME_MS
_BEFORE_VOICE_FRAMES = 1  # a voice begins softly
_VOICE_RMS = 33.0  # -60 dBFS
_QUEUE_MS = 1_000
_CONNECT_TIMEOUT_S = 10.0


class Parrot:
    """Listens to the microphone of one participant. `report(event, at_s, **fields)` is told what happens."""

    def __init__(self, answer: str, report: Any) -> None:
        self._answer = answer
        self._report = report
        self._room = rtc.Room()
        self._source = rtc.AudioSource(RATE_HZ, 1, queue_size_ms=_QUEUE_MS)
        self._heard: deque[rtc.AudioFrame] = deque()
        self._n_dropped = 0
        self._has_voice = False
        self._muted_s: float | None = None  # while it answers
        self._came = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None
        self._answering: asyncio.Task[None] | None = None
        self._room.on("track_subscribed", self._on_subscribed)
        self._room.on("track_muted", self._on_muted)
        self._room.on("track_unmuted", self._on_unmuted)

    async def join(self, url: str, token: str) -> None:
        """Enter the room and publish a microphone, which says nothing yet."""
        await asyncio.wait_for(self._room.connect(url, token), _CONNECT_TIMEOUT_S)
        track = rtc.LocalAudioTrack.create_audio_track("parrot", self._source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        await asyncio.wait_for(self._room.local_participant.publish_track(track, options), _CONNECT_TIMEOUT_S)
        self._report("joined", time.monotonic())

    async def leave(self) -> None:
        """Stop and leave the room. Safe to call twice."""
        tasks = [task for task in (self._listening, self._answering) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._room.disconnect()

    def _on_subscribed(self, track: rtc.Track, _: rtc.TrackPublication, participant: rtc.RemoteParticipant) -> None:
        if participant.identity != self._answer or track.kind != rtc.TrackKind.KIND_AUDIO:
            return
        self._report("subscribed", time.monotonic())
        if self._listening is not None:
            self._listening.cancel()
        self._listening = asyncio.create_task(self._listen(track))

    def _on_unmuted(self, participant: rtc.Participant, _: rtc.TrackPublication) -> None:
        if participant.identity != self._answer:
            return
        self._report("unmuted", time.monotonic())
        if self._answering is not None:
            self._answering.cancel()
            self._source.clear_queue()
        self._begin_turn()

    def _on_muted(self, participant: rtc.Participant, _: rtc.TrackPublication) -> None:
        if participant.identity != self._answer:
            return
        self._muted_s = time.monotonic()
        self._report("muted", self._muted_s)
        self._answering = asyncio.create_task(self._say_back(self._muted_s + KEEP_LISTENING_S))

    async def _listen(self, track: rtc.Track) -> None:
        stream = rtc.AudioStream(track, sample_rate=RATE_HZ, num_channels=1, frame_size_ms=FRAME_MS)
        try:
            async for event in stream:
                self._hear(event.frame)
        finally:
            await stream.aclose()

    def _hear(self, frame: rtc.AudioFrame) -> None:
        """Keep a frame, from shortly before the first voice of a turn on."""
        if self._muted_s is not None and time.monotonic() > self._muted_s + KEEP_LISTENING_S:
            return
        if len(self._heard) == _MAX_HEARD_FRAMES:
            self._n_dropped += 1
            return
        self._heard.append(frame)
        if self._has_voice:
            self._came.set()
        elif _rms(frame) >= _VOICE_RMS:
            self._has_voice = True
            self._report("heard", time.monotonic())
            self._came.set()
        elif len(self._heard) > _BEFORE_VOICE_FRAMES:
            self._heard.popleft()

    async def _say_back(self, until_s: float) -> None:
        """Say what was heard, while it still comes until that time."""
        n_frames = 0
        while True:
            if self._has_voice and self._heard:
                if n_frames == 0:
                    self._report("said", time.monotonic())
                n_frames += 1
                await self._source.capture_frame(self._heard.popleft())
                continue
            self._came.clear()
            try:
                async with asyncio.timeout(until_s - time.monotonic()):
                    await self._came.wait()
            except TimeoutError:
                break
        await self._source.wait_for_playout()
        self._report("finished", time.monotonic(), said_ms=n_frames * FRAME_MS, dropped_ms=self._n_dropped * FRAME_MS)
        self._begin_turn()

    def _begin_turn(self) -> None:
        self._heard.clear()
        self._has_voice = False
        self._muted_s = None
        self._n_dropped = 0


def _rms(frame: rtc.AudioFrame) -> float:
    return float(np.sqrt(np.mean(np.frombuffer(frame.data, dtype=np.int16).astype(np.float64) ** 2)))


def _print_event(event: str, at_s: float, **fields: Any) -> None:
    print(json.dumps({"event": event, "at_s": round(at_s, 6), **fields}), flush=True)


async def _run(url: str, answer: str) -> int:
    lines = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    parrot = Parrot(answer, _print_event)
    try:
        await parrot.join(url, (await lines.readline()).decode().strip())
        await lines.read()
    except (rtc.ConnectError, PublishTrackError, TimeoutError) as error:
        _print_event("failed", time.monotonic(), message=str(error) or "nobody answered within 10 s")
        return 1
    finally:
        await parrot.leave()
        transport.close()
    return 0


def main() -> int:
    """Run a parrot until its standard input ends."""
    parser = argparse.ArgumentParser(description="Says back what one participant of a LiveKit room says.")
    parser.add_argument("--url", required=True, help="of the LiveKit server, ws:// or wss://")
    parser.add_argument("--answer", required=True, help="identity of the participant to answer")
    arguments = parser.parse_args()
    return asyncio.run(_run(arguments.url, arguments.answer))


if __name__ == "__main__":
    sys.exit(main())
