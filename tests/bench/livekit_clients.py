"""Our LiveKit clients in a process of their own, two in each room, whose cost is asked for by line.

    python tests/bench/livekit_clients.py URL KEY SECRET N < lines

It prints {"joined_s"}, how long N clients took to join at once, and then answers each line by a JSON line:
    idle SECONDS              {"cpu_s"}: user and system time of this process while nobody speaks
    talk SECONDS              {"cpu_s", "n_sent", "n_heard", "n_lost", "rss_bytes"}: while each says and hears a packet
                              every 20 ms
All of them send on one tick of 20 ms, as a gateway does whose devices' packets come in bursts.
"""

import asyncio
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import structlog
from livekit import api

from pressroom_host.livekit_client.publication import Publication
from pressroom_host.livekit_client.room import LiveKitRoom
from pressroom_host.room_listener import RoomListener

_FRAME_S = 0.02
_OPUS_BYTES = 80
_TOC = b"\xb8"
_PAGE_BYTES = resource.getpagesize()


class Listener(RoomListener):
    """Counts what it hears, and what is missing between."""

    def __init__(self) -> None:
        self.n_heard = 0
        self.numbers: set[int] = set()

    def on_rtp(self, track_sid: str, packet: bytes) -> None:
        self.n_heard += 1
        self.numbers.add(int.from_bytes(packet[13:17], "big"))  # what `talk` wrote there


class Pairs:
    """N clients, two in each room."""

    def __init__(self, url: str, key: str, secret: str, n_clients: int) -> None:
        self.ears = [Listener() for _ in range(n_clients)]
        self.rooms = [LiveKitRoom(url, _token(key, secret, n), ear) for n, ear in enumerate(self.ears)]
        self.microphones: list[Publication] = []
        self._n_said = 0

    async def join(self) -> float:
        """Have all join at once; return how long it took until the last was there."""
        self.microphones = [room.publish_opus("microphone") for room in self.rooms]
        began_s = time.monotonic()
        await asyncio.gather(*(room.connect() for room in self.rooms))
        took_s = time.monotonic() - began_s
        await asyncio.gather(*(microphone.subscribed() for microphone in self.microphones))
        return took_s

    async def talk(self, seconds: float) -> dict[str, Any]:
        """Have each say a packet every 20 ms."""
        for ear in self.ears:
            ear.n_heard = 0
            ear.numbers.clear()
        n_frames = round(seconds / _FRAME_S)
        filler = bytes(_OPUS_BYTES - 5)
        began_s, used_s = time.monotonic(), _used_s()
        first = self._n_said
        for n in range(n_frames):
            await asyncio.sleep(max(0.0, began_s + n * _FRAME_S - time.monotonic()))
            opus = _TOC + self._n_said.to_bytes(4, "big") + filler
            self._n_said += 1
            for microphone in self.microphones:
                microphone.send_opus(opus)
        used_s = _used_s() - used_s
        await asyncio.sleep(0.3)
        said = set(range(first, self._n_said))
        return {
            "cpu_s": used_s,
            "n_sent": n_frames * len(self.microphones),
            "n_heard": sum(ear.n_heard for ear in self.ears),
            "n_lost": sum(len(said - ear.numbers) for ear in self.ears),
            "n_rejoins": sum(room.n_rejoins + room.n_resumes for room in self.rooms),
            "rss_bytes": _rss_bytes(),
        }

    async def idle(self, seconds: float) -> dict[str, Any]:
        """Let nobody say anything."""
        used_s = _used_s()
        await asyncio.sleep(seconds)
        return {"cpu_s": _used_s() - used_s}

    async def leave(self) -> None:
        await asyncio.gather(*(room.disconnect() for room in self.rooms))


def _token(key: str, secret: str, number: int) -> str:
    grants = api.VideoGrants(room_join=True, room=f"pair-{number // 2}")
    return api.AccessToken(key, secret).with_identity(f"device-{number}").with_grants(grants).to_jwt()


def _rss_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES


def _used_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def main() -> None:
    """Run until the input ends."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    url, key, secret, n_clients = sys.argv[1:]
    pairs = Pairs(url, key, secret, int(n_clients))
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    print(json.dumps({"joined_s": await pairs.join()}), flush=True)
    while line := await lines.readline():
        word, _, seconds = line.decode().strip().partition(" ")
        answer = pairs.talk if word == "talk" else pairs.idle
        print(json.dumps(await answer(float(seconds))), flush=True)
    await pairs.leave()


if __name__ == "__main__":
    asyncio.run(main())
