"""The gateway, put together: state, identity, rooms, media and the door for devices."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path

import structlog

from pressroom_host.errors import UserError
from pressroom_host.room.server import RoomServer

from .device_server import DeviceServer
from .embedded_room import EmbeddedRoom
from .identity import Identity, load_or_make_identity
from .media import MediaPort, PortInUse
from .state import StateFolder, StateLock
from .tokens import ApiKey, TokenBook, TokenGate, load_or_make_api_key

log = structlog.get_logger(__name__)


class AddressUnusable(UserError):
    """An address the gateway was told to use is none, or not for that."""


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """Ports of 0 take a free one.

    advertise: HOST or HOST:PORT at which devices reach the media port; the address they reached the gateway at if None.
    is_plain: no TLS for devices; on loopback only.
    """

    state_dir: Path
    host: str = "127.0.0.1"
    port: int = 0
    udp_port: int = 0
    advertise: str | None = None
    room_port: int = 0
    is_plain: bool = False


class Gateway:
    """Devices come in at `device_url`, LiveKit clients at `room_url`."""

    def __init__(self, config: GatewayConfig, identity: Identity, api_key: ApiKey, lock: StateLock) -> None:
        self.config = config
        self.certificate_pin = identity.pin
        self.api_key = api_key.key
        self.api_secret = api_key.secret
        self._identity = identity
        self._lock = lock
        self._room: EmbeddedRoom | None = None
        self._media_port: MediaPort | None = None
        self._devices: DeviceServer | None = None
        state = StateFolder(config.state_dir)
        self._book = TokenBook(state, api_key)
        self._gate = TokenGate(state, api_key)

    @classmethod
    async def start(cls, config: GatewayConfig) -> "Gateway":
        """Open every port. Raises a UserError that says what is in the way."""
        if config.is_plain and not _is_loopback(config.host):
            raise AddressUnusable(f"plain ws is for loopback only, and {config.host} is not; leave TLS on")
        advertise = _host_and_port(config.advertise)
        state = StateFolder.open(config.state_dir)
        lock = state.lock("a gateway")
        try:
            gateway = cls(config, load_or_make_identity(state), load_or_make_api_key(state), lock)
        except UserError:
            lock.release()
            raise
        try:
            await gateway._open(advertise)
        except (UserError, OSError):
            await gateway.stop()
            raise
        return gateway

    async def stop(self) -> None:
        """Say goodbye to everybody and close. Safe to call twice."""
        if self._devices is not None:
            await self._devices.stop()
        if self._media_port is not None:
            self._media_port.close()
        if self._room is not None:
            await self._room.stop()
        self._lock.release()

    @property
    def device_url(self) -> str:
        """Where devices connect."""
        scheme = "ws" if self.config.is_plain else "wss"
        return f"{scheme}://{self.config.host}:{self.devices.port}/device"

    @property
    def devices(self) -> DeviceServer:
        """The door for devices."""
        assert self._devices is not None
        return self._devices

    @property
    def room_server(self) -> RoomServer:
        """The room in this process."""
        assert self._room is not None
        return self._room.server

    @property
    def media_port(self) -> MediaPort:
        """The UDP port for devices."""
        assert self._media_port is not None
        return self._media_port

    def create_device_token(self, identity: str, room: str, *, name: str = "") -> str:
        """Return a new token for a device."""
        return self._book.create(identity, room, name)[0]

    async def _open(self, advertise: tuple[str | None, int | None]) -> None:
        config = self.config
        try:
            server = await RoomServer.start(api_key=self.api_key, api_secret=self.api_secret, port=config.room_port)
        except OSError as error:
            raise PortInUse(
                f"port {config.room_port} for the room cannot be used ({error.strerror}); choose another"
            ) from None
        self._room = EmbeddedRoom(server)
        self._media_port = MediaPort.open(config.host, config.udp_port)
        self._devices = DeviceServer(self._gate, self._room, self._media_port, advertise)
        await self._devices.listen(config.host, config.port, None if config.is_plain else self._identity.ssl_context())
        log.info("gateway up", device_url=self.device_url, room_url=server.url, udp_port=self._media_port.port)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _host_and_port(text: str | None) -> tuple[str | None, int | None]:
    if text is None:
        return None, None
    host, colon, port = text.partition(":")
    if not host or (colon and not (port.isdecimal() and 0 < int(port) < 65_536)):
        raise AddressUnusable(f"--advertise {text!r}: HOST or HOST:PORT is needed, such as 192.0.2.7 or gw.local:7883")
    return host, int(port) if colon else None
