"""The network between a board and its gateway is cut, in the middle of a sentence: what the room sees and hears of it.

Real firmware on a simulated board, the real gateway, and a network of ours between them.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from link_proxy import LinkProxy
from livekit.protocol import models

from pressroom_host.demo import speech
from pressroom_host.gateway.audio import OpusDecoder, peak
from pressroom_host.gateway.server import Gateway, GatewayConfig
from pressroom_host.gateway.stats import SessionStats
from pressroom_host.room.tokens import AccessClaims, Grants
from pressroom_host.sim.board import SimulatedBoard

ROOM = "kitchen"
BOARD = "board"
LOUD = 1_000  # of the speech below, at least every half second
SPEECH_PACKETS = 10  # loud ones: what an encoder has left over is one
HEARD_AGAIN_WITHIN_S = 2.0  # after the end of a cut
FRAMES_PER_S = 50
SLACK_FRAMES = 10  # the pre-roll with which a talk begins anew
BACK_WITHIN_S = 20.0  # after a gateway was restarted


@dataclass
class Ear:
    """A silent participant: when it heard something loud, and who it saw leave."""

    loud_s: list[float] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    mutes: list[bool] = field(default_factory=list)
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    decoder: OpusDecoder = field(default_factory=OpusDecoder)

    def on_rtp(self, track_sid: str, packet: bytes) -> None:
        if peak(self.decoder.decode(packet[12:])) > LOUD:
            self.loud_s.append(time.monotonic())
            self.heard.set()

    def on_participant_left(self, info: models.ParticipantInfo) -> None:
        self.left.append(info.identity)

    def on_track_muted(self, track_sid: str, muted: bool) -> None:
        self.mutes.append(muted)

    def on_participant(self, info: models.ParticipantInfo) -> None: ...
    def on_track(self, info: models.ParticipantInfo, track: models.TrackInfo) -> None: ...
    def on_track_gone(self, track_sid: str) -> None: ...
    def on_data(self, packet: models.DataPacket) -> None: ...
    def on_mute_requested(self, track_sid: str, muted: bool) -> None: ...
    def on_removed(self, reason: int) -> None: ...

    async def hears_after(self, begin_s: float, within_s: float) -> float:
        """Wait until speech comes later than begin_s; returns when it began to."""
        async with asyncio.timeout(within_s):
            while True:
                later_s = [loud_s for loud_s in self.loud_s if loud_s >= begin_s]
                if len(later_s) >= SPEECH_PACKETS:
                    return later_s[0]
                self.heard.clear()
                await self.heard.wait()

    async def hears(self, within_s: float) -> float:
        """Wait until speech comes from now on; returns when it began to."""
        return await self.hears_after(time.monotonic(), within_s)


@dataclass
class Scene:
    """Everybody in it."""

    gateway: Gateway
    proxy: LinkProxy
    board: SimulatedBoard = field(init=False)
    ear: Ear = field(init=False)

    async def begin_talk(self) -> None:
        """Hold the button, and say something that takes half a minute."""
        said = speech.script()[-1].samples
        await self.board.mic(np.tile(said, 1 + 30 * 16_000 // len(said)))
        await self.board.press()
        await self.ear.hears(within_s=3)

    def stats(self) -> SessionStats:
        """What the gateway counted of the board's Session."""
        return next(iter(self.gateway.devices.bridges.values())).stats


def join(gateway: Gateway) -> Ear:
    ear = Ear()
    grants = Grants(room_join=True, can_subscribe=True)
    gateway.room_server.join(AccessClaims(identity="ear", room=ROOM, grants=grants), ear)
    return ear


@contextlib.asynccontextmanager
async def scene(folder: Path, *, is_udp_blocked: bool = False) -> AsyncIterator[Scene]:
    """Gateway, network, board and ear; the board is in the room."""
    async with contextlib.AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(LinkProxy.running())
        proxy.is_udp_blocked = is_udp_blocked
        on = Scene(await start_gateway(folder, proxy), proxy)
        stack.push_async_callback(lambda: on.gateway.stop())
        config = {
            "gateway_url": f"wss://127.0.0.1:{proxy.tcp_port}/device",
            "token": on.gateway.create_device_token(BOARD, ROOM),
            "pin0": on.gateway.certificate_pin,
            "wifi_ssid": "simulated",
            "wifi_password": "",
        }
        on.ear = join(on.gateway)
        on.board = await stack.enter_async_context(SimulatedBoard(config, workdir=folder / "board"))
        await on.board.wait_led("ready", 10)
        yield on


async def start_gateway(folder: Path, proxy: LinkProxy) -> Gateway:
    config = GatewayConfig(state_dir=folder / "state", advertise=f"127.0.0.1:{proxy.udp_port}")
    gateway = await Gateway.start(config)
    proxy.aim(gateway.devices.port, gateway.media.port)
    return gateway


def number_in(line: str, key: str) -> int:
    return int(line.split(f"{key}=")[1].split()[0])


async def wait_until(is_so: Callable[[], bool], within_s: float) -> None:
    async with asyncio.timeout(within_s):
        while not is_so():  # noqa: ASYNC110 - a counter has no event
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("cut_s", [1, 10])
@pytest.mark.parametrize("how", ["reset", "black hole"])
async def test_a_cut_in_a_sentence_is_survived_unaided(how: str, cut_s: int, tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        await on.begin_talk()
        on.proxy.cut(how)
        await asyncio.sleep(cut_s)  # the length of the cut is the test
        on.proxy.mend()
        mended_s = time.monotonic()
        heard_s = await on.ear.hears(within_s=HEARD_AGAIN_WITHIN_S + 1)
        assert heard_s - mended_s <= HEARD_AGAIN_WITHIN_S
        assert on.ear.left == []
        assert True not in on.ear.mutes  # nor did the talk seem to end
        await on.board.release()
        await on.board.wait_led("ready", 5)
        line = await on.board.wait_log("talk=end")
        # Speech of the cut either came late, inside the WebSocket, or is counted where it was missed.
        n_missed = max(on.stats().n_up_lost + on.stats().n_up_cut, number_in(line, "n_lost"))
        n_in_cut = cut_s * FRAMES_PER_S
        assert n_missed >= n_in_cut - SLACK_FRAMES - on.stats().n_up_inside
        assert n_missed <= n_in_cut + HEARD_AGAIN_WITHIN_S * FRAMES_PER_S


async def test_udp_blocked_from_the_start_leaves_the_voice_to_the_websocket(tmp_path: Path) -> None:
    async with scene(tmp_path, is_udp_blocked=True) as on:
        await on.begin_talk()
        assert on.proxy.n_datagrams_up == 0
        assert on.ear.left == []


async def test_udp_blocked_in_a_sentence_leaves_the_voice_to_the_websocket_until_it_works(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        await on.begin_talk()
        assert on.proxy.n_datagrams_up > 0
        on.proxy.is_udp_blocked = True
        blocked_s = time.monotonic()
        await on.ear.hears_after(blocked_s + 0.5, within_s=4)  # 2 s of silence end UDP
        on.proxy.is_udp_blocked = False
        n_before = on.proxy.n_datagrams_down
        await on.board.release()
        await wait_until(lambda: on.proxy.n_datagrams_down > n_before, within_s=35)  # UDP is tried every 30 s
        assert on.ear.left == []


async def test_the_board_is_back_after_the_gateway_restarted(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        await on.gateway.stop()
        await on.board.wait_led("connecting", 5)
        on.gateway = await start_gateway(tmp_path, on.proxy)
        on.ear = join(on.gateway)
        await on.board.wait_led("ready", BACK_WITHIN_S)
        await on.begin_talk()
