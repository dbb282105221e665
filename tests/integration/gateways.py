"""Gateways of the tests: in rooms of their own, or in those of a real LiveKit server."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from livekit import api
from livekit.protocol.room import MuteRoomTrackRequest
from tests.livekit_server.server import LiveKitServer
from tests.room.clients import DEADLINE_S, Door

from pressroom_host.gateway import server as gateway_server
from pressroom_host.gateway.livekit_room import LiveKitTrack
from pressroom_host.gateway.server import Gateway, GatewayConfig


def known(livekit: LiveKitServer) -> gateway_server.LiveKitServer:
    """What a gateway has to know of the server."""
    return gateway_server.LiveKitServer(livekit.url, livekit.api_key, livekit.api_secret)


@contextlib.asynccontextmanager
async def running_gateway(state_dir: Path, livekit: LiveKitServer | None = None) -> AsyncIterator[Gateway]:
    """A gateway on free ports, in the rooms of the server or in its own."""
    config = GatewayConfig(state_dir=state_dir, livekit=known(livekit) if livekit else None)
    running = await Gateway.start(config)
    try:
        yield running
    finally:
        await running.stop()


def door_of(gateway: Gateway, room: str = "hall") -> Door:
    """How LiveKit clients get into the gateway's rooms."""
    return Door(gateway.room.url, gateway.room.api_key, gateway.room.api_secret, room)


async def is_heard(gateway: Gateway, identity: str) -> None:
    """Return once somebody is subscribed to the track of a device: in a LiveKit server that takes a moment."""
    bridge = next(each for each in gateway.devices.bridges.values() if each.claims.identity == identity)
    track = bridge._first_words._track if bridge._first_words is not None else None
    if isinstance(track, LiveKitTrack):
        await asyncio.wait_for(track._publication.subscribed(), DEADLINE_S)


async def request_mute(gateway: Gateway, identity: str, track_sid: str, muted: bool) -> None:
    """What the room's admin does; a LiveKit server refuses to unmute by itself."""
    if gateway.has_own_rooms:
        gateway.room_server.request_mute("hall", track_sid, muted)
        return
    request = MuteRoomTrackRequest(room="hall", identity=identity, track_sid=track_sid, muted=muted)
    async with api.LiveKitAPI(gateway.room.url, gateway.room.api_key, gateway.room.api_secret) as admin:
        with contextlib.suppress(api.TwirpError):
            await admin.room.mute_published_track(request)
