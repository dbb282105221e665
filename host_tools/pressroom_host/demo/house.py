"""Gateway, room and simulated board under one roof: what `pressroom demo` and `pressroom up` begin with."""

import asyncio
import datetime
import time
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from livekit import api
from livekit.protocol.models import DisconnectReason

from pressroom_host.errors import UserError
from pressroom_host.gateway.bridge import Bridge
from pressroom_host.gateway.room_port import RoomParticipant
from pressroom_host.gateway.server import Gateway, GatewayConfig, LiveKitServer
from pressroom_host.room.tokens import AccessClaims, Grants
from pressroom_host.room_listener import RoomListener
from pressroom_host.sim.board import LedTimeout, SimulatedBoard
from pressroom_host.sim.process import BoardStopped

_TOKEN_LIFE = datetime.timedelta(minutes=10)
_READY_TIMEOUT_S = 15.0
_POLL_S = 0.1

BoardConfig = dict[str, str | bytes | int]


class NotReady(UserError):
    """The board did not come into the room."""

    exit_code = 1


class House:
    """`async with House(...) as house`: a gateway on free ports, and a board that knows it.

    state_dir: of the gateway; a board's flash lies in a folder below it. board_config: added to the board's NVS.
    livekit: whose rooms to use; None: the gateway's own.
    """

    room = "demo"
    identity = "board"

    def __init__(
        self, state_dir: Path, *, board_config: BoardConfig | None = None, livekit: LiveKitServer | None = None
    ) -> None:
        self.gateway: Gateway
        self.board: SimulatedBoard
        self._state_dir = state_dir
        self._board_config = board_config or {}
        self._livekit = livekit
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:  # what has begun is ended if the rest cannot begin
            self.gateway = await Gateway.start(GatewayConfig(state_dir=self._state_dir, livekit=self._livekit))
            stack.push_async_callback(self.gateway.stop)
            self.board = await stack.enter_async_context(self.make_board(self.identity, self._board_config))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def wait_ready(self, board: SimulatedBoard) -> float:
        """Wait until a board is in the room; returns when. Raises NotReady."""
        try:
            return await board.wait_led("ready", _READY_TIMEOUT_S)
        except (LedTimeout, BoardStopped) as error:
            raise NotReady(f"the board did not come into the room: {error}") from None

    @property
    def room_url(self) -> str:
        """Where LiveKit clients connect."""
        return self.gateway.room.url

    def room_token(self, identity: str) -> str:
        """Return a token for a client, good for ten minutes."""
        grants = api.VideoGrants(
            room_join=True, room=self.room, can_publish=True, can_subscribe=True, can_update_own_metadata=True
        )
        access = api.AccessToken(self.gateway.room.api_key, self.gateway.room.api_secret)
        return access.with_identity(identity).with_ttl(_TOKEN_LIFE).with_grants(grants).to_jwt()

    def make_board(self, identity: str, config: BoardConfig, firmware: Path | None = None) -> SimulatedBoard:
        """Return a board that knows the gateway, not switched on yet. firmware: see SimulatedBoard."""
        known: BoardConfig = {
            "gateway_url": self.gateway.device_url,
            "token": self.gateway.create_device_token(identity, self.room),
            "pin0": self.gateway.certificate_pin,
            "wifi_ssid": "simulated",
            "wifi_password": "",
        }
        folder = self._state_dir / identity
        folder.mkdir(parents=True, exist_ok=True)
        return SimulatedBoard({**known, **config}, workdir=folder, firmware=firmware)

    async def join(self, identity: str, listener: RoomListener) -> RoomParticipant:
        """Bring a silent listener into the room; it leaves with the house."""
        grants = Grants(room_join=True, can_subscribe=True)
        claims = AccessClaims(identity=identity, room=self.room, grants=grants)
        participant = await self.gateway.room.join(claims, listener)
        self._stack.push_async_callback(participant.leave, DisconnectReason.CLIENT_INITIATED)
        return participant

    @property
    def bridge(self) -> Bridge:
        """What joins the board to the room."""
        return next(each for each in self.gateway.devices.bridges.values() if each.claims.identity == self.identity)

    async def next_counters(self, timeout_s: float) -> dict[str, int]:
        """Wait for the next counters the board tells, and return them; the last ones if none come."""
        bridge = self.bridge
        known = bridge.device_stats
        deadline_s = time.monotonic() + timeout_s
        while bridge.device_stats is known and time.monotonic() < deadline_s:  # noqa: ASYNC110 - the bridge has no event
            await asyncio.sleep(_POLL_S)
        return dict(bridge.device_stats)
