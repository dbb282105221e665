"""Five real minutes of listening on boards whose crystals are off: nothing is heard of it."""

import asyncio
import time
from pathlib import Path

import numpy as np
import pytest
from livekit.protocol import models

from pressroom_host.gateway.audio import FRAME_SAMPLES, OpusEncoder
from pressroom_host.gateway.server import Gateway, GatewayConfig
from pressroom_host.room.member import MemberTrack
from pressroom_host.room.tokens import AccessClaims, Grants
from pressroom_host.sim.board import SimulatedBoard
from pressroom_host.sim.sound import Recording

ROOM = "kitchen"
TALK_S = 300
FRAME_S = 0.02
HOLE_MS = 20
QUIET = 300  # the noise below has 4,000 RMS
CLOCKS_PPM = (-100, 100)


class Talker:
    """A RoomListener with nothing to listen to."""

    def on_rtp(self, track_sid: str, packet: bytes) -> None: ...
    def on_participant_left(self, info: models.ParticipantInfo) -> None: ...
    def on_track_muted(self, track_sid: str, muted: bool) -> None: ...
    def on_participant(self, info: models.ParticipantInfo) -> None: ...
    def on_track(self, info: models.ParticipantInfo, track: models.TrackInfo) -> None: ...
    def on_track_gone(self, track_sid: str) -> None: ...
    def on_data(self, packet: models.DataPacket) -> None: ...
    def on_mute_requested(self, track_sid: str, muted: bool) -> None: ...
    def on_removed(self, reason: int) -> None: ...


async def say_noise(track: MemberTrack) -> None:
    """Send TALK_S of noise, a frame every 20 ms of this machine's clock."""
    chance = np.random.default_rng(5)
    encoder = OpusEncoder(64_000)
    begin_s = time.monotonic()
    for n in range(int(TALK_S / FRAME_S)):
        await asyncio.sleep(max(0, begin_s + n * FRAME_S - time.monotonic()))
        pcm = (4_000 * chance.standard_normal(FRAME_SAMPLES)).astype(np.int16).tobytes()
        header = bytes((0x80, 111)) + (n & 0xFFFF).to_bytes(2, "big") + (n * 960).to_bytes(4, "big") + bytes(4)
        track.send_rtp(header + encoder.encode(pcm))


def longest_hole_ms(heard: Recording) -> float:
    """The longest run of quiet milliseconds between the first loud one and the last."""
    n_ms = len(heard.samples) // 16
    level = np.abs(heard.samples[: n_ms * 16].astype(np.int32)).reshape(n_ms, 16).max(axis=1)
    loud = np.flatnonzero(level > QUIET)
    assert len(loud) * 1e-3 > TALK_S * 0.95
    return float(np.diff(loud).max() - 1)


@pytest.mark.long
@pytest.mark.timeout(TALK_S + 120)
async def test_five_minutes_on_two_crystals_have_no_hole(tmp_path: Path) -> None:
    gateway = await Gateway.start(GatewayConfig(state_dir=tmp_path / "state"))
    boards = []
    try:
        for ppm in CLOCKS_PPM:
            config = {
                "gateway_url": gateway.device_url,
                "token": gateway.create_device_token(f"board{ppm}", ROOM),
                "pin0": gateway.certificate_pin,
                "wifi_ssid": "simulated",
                "wifi_password": "",
            }
            boards.append(await SimulatedBoard.start(config, workdir=tmp_path / f"board{ppm}", clock_ppm=ppm))
            await boards[-1].wait_led("ready", 10)
        claims = AccessClaims(identity="talker", room=ROOM, grants=Grants(room_join=True, can_publish=True))
        await say_noise(gateway.room_server.join(claims, Talker()).publish_audio("noise", muted=False))
        for board in boards:
            await board.wait_led("ready", 5)  # it is quiet again
            assert longest_hole_ms(board.speaker()) <= HOLE_MS
    finally:
        for board in boards:
            await board.stop()
        await gateway.stop()
