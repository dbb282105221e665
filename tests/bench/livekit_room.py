"""Our client and a gateway in a real LiveKit server on loopback: how soon, its cost, what is lost; an hour of it."""

import random
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from figures import Figure, percentile
from gateway_cpu import Process

from pressroom_host.demo import conversation
from pressroom_host.demo.house import House
from pressroom_host.demo.speech import Speech, script, trim
from pressroom_host.errors import UserError
from pressroom_host.gateway import server as gateway_server
from pressroom_host.sim.sound import RATE_HZ

sys.path.append(str(Path(__file__).resolve().parents[2]))

from tests.livekit_server.server import LiveKitServer, binary
from tests.room.clients import Door
from tests.room.own_clients import losing_in, losing_out, opus_tone, own_client, say, speaking

_N_JOINS = 30
_N_TURNS = 10
_SHORT_S = 0.8
_N_CLIENTS = 60
_SECONDS = 10.0
_LOSS = 0.05
_LOSS_FRAMES = 750
_N_HOUR_CLIENTS = 20
_HOUR_MINUTES = 60
_WARM_MINUTES = 5


class NoServer(UserError):
    """There is no LiveKit server to measure with."""


@asynccontextmanager
async def _server() -> AsyncIterator[tuple[LiveKitServer, Door]]:
    if binary() is None:
        raise NoServer("no LiveKit server to measure with: install Go and run `make livekit-server`")
    async with LiveKitServer.running() as server:
        yield server, Door(server.url, server.api_key, server.api_secret)


async def measure(folder: Path) -> list[Figure]:
    """Measure everything but the hour."""
    async with _server() as (server, door):
        return [
            await _join(door),
            await _press(server, folder),
            *await _many(server),
            *await _loss(door),
        ]


async def _join(door: Door) -> Figure:
    took_ms = []
    for number in range(_N_JOINS):
        began_s = time.monotonic()
        async with own_client(door, f"device-{number}"):
            took_ms.append(1e3 * (time.monotonic() - began_s))
    return Figure(
        *("nothing to data channels open, LiveKit server, p50", percentile(took_ms, 50), "ms", 60),
        note=f"{_N_JOINS} joins, p95 {percentile(took_ms, 95):.0f} ms",
    )


async def _press(server: LiveKitServer, folder: Path) -> Figure:
    short = [Speech("short", "", trim(speech.samples[: int(_SHORT_S * RATE_HZ)])) for speech in script()]
    known = gateway_server.LiveKitServer(server.url, server.api_key, server.api_secret)
    async with House(folder / "livekit", livekit=known) as house:
        talk = await conversation.hold(house, [short[n % len(short)] for n in range(_N_TURNS)], lambda *_: None)
    packets_ms = [value for turn in talk.turns[1:] if (value := turn.ms_between("press", "packet")) is not None]
    answers_ms = [value for turn in talk.turns if (value := turn.ms_between("release", "back")) is not None]
    return Figure(
        *(
            "press to first packet at a subscriber, LiveKit server, worst",
            max(packets_ms, default=None),
            "ms",
            100,
        ),
        note=f"{len(packets_ms)} presses; release to first sample back p50 {percentile(answers_ms, 50):.0f} ms",
    )


async def _many(server: LiveKitServer) -> list[Figure]:
    clients = await Process.start("livekit_clients.py", server.url, server.api_key, server.api_secret, str(_N_CLIENTS))
    joined_s = (await clients.answer())["joined_s"]
    idle_s = (await clients.ask(f"idle {_SECONDS}"))["cpu_s"]
    talk = await clients.ask(f"talk {_SECONDS}")
    await clients.stop()
    return [
        Figure("60 devices join at once, LiveKit server", joined_s, "s", 2),
        Figure(
            *(
                "CPU per packet sent and one received, 60 devices duplex",
                1e6 * talk["cpu_s"] / talk["n_sent"],
                "us",
                45,
            ),
            note=f"{talk['n_sent']:,} sent, {talk['n_heard']:,} heard, {talk['n_lost']} lost; one process",
        ),
        Figure("idle device, of a core", 100 * idle_s / _SECONDS / _N_CLIENTS, "%", 0.1),
    ]


async def _loss(door: Door) -> list[Figure]:
    async with own_client(door, "bob") as (bob, _), own_client(door, "carol") as (carol, ear):
        microphone = bob.publish_opus("microphone")
        await microphone.subscribed()
        sender, receiver = bob._connection._publisher, carol._connection._publisher
        async with speaking(microphone, 300):  # until the server has reported, and knows the round trip
            await ear.until(lambda: any(stream.has_report for stream in receiver.streams()), "a report")
        more = opus_tone(600, 5)  # without losses, so that the last ones are missed
        up = opus_tone(440, _LOSS_FRAMES)
        with losing_out(sender, random.Random(1), _LOSS):
            await say(microphone, up)
        await say(microphone, more)
        n_lost_up = len(set(up) - set(ear.payloads))
        down = opus_tone(500, _LOSS_FRAMES)
        with losing_in(receiver, random.Random(2), _LOSS) as lost:
            await say(microphone, down)
        await say(microphone, more)
        n_lost_down = len(set(down) - set(ear.payloads))
        n_resent = microphone.sender.n_resent if microphone.sender else 0
    return [
        Figure(
            *("lost at a subscriber, 5 % loss on the way up", n_lost_up, "packets", 0),
            note=f"of {len(up)}; {n_resent} sent again",
        ),
        Figure(
            *("lost for good, 5 % loss on the way down", 100 * n_lost_down / max(1, len(lost)), "% of them", 50),
            note=f"{n_lost_down} of {len(lost)} lost",
        ),
    ]


async def hour(folder: Path) -> list[Figure]:
    """Let 20 devices talk for an hour."""
    async with _server() as (server, _):
        arguments = server.url, server.api_key, server.api_secret, str(_N_HOUR_CLIENTS)
        clients = await Process.start("livekit_clients.py", *arguments)
        await clients.answer()
        minutes: list[dict[str, Any]] = []
        for minute in range(_HOUR_MINUTES):
            minutes.append(await clients.ask("talk 59"))
            n_lost = sum(each["n_lost"] for each in minutes)
            rss_mb = minutes[-1]["rss_bytes"] / 1e6
            print(f"  minute {minute + 1}: RSS {rss_mb:.1f} MB, {n_lost} lost", file=sys.stderr, flush=True)
        await clients.stop()
    warm, last = minutes[_WARM_MINUTES - 1]["rss_bytes"], minutes[-1]["rss_bytes"]
    n_sent = sum(each["n_sent"] for each in minutes)
    return [
        Figure(
            *("an hour of 20 devices: RSS grown after the first 5 minutes", 100 * (last / warm - 1), "%", 5),
            note=f"{warm / 1e6:.1f} to {last / 1e6:.1f} MB",
        ),
        Figure("an hour of 20 devices: lost", n_lost, "packets", 0, note=f"of {n_sent:,}"),
    ]
