"""The gateway, put together: state, identity, rooms, media, and the door for devices."""

import ipaddress
import socket
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from pressroom_host.errors import UserError
from pressroom_host.room.server import RoomServer

from .device_server import DeviceServer
from .embedded_room import EmbeddedRoom
from .identity import Identity, load_or_make_identity
from .link import Link
from .livekit_room import LiveKitRooms
from .media import MediaPort
from .room_port import RoomPort
from .state import StateFolder, StateLock
from .tokens import ApiKey, TokenBook, TokenGate, load_or_make_api_key

log = structlog.get_logger(__name__)

_SOMEWHERE = ("192.0.2.1", 9)  # RFC 5737: an address of nobody; nothing is sent there


class AddressUnusable(UserError):
    """An address the gateway was told to use is none, or not for that."""


class PortInUse(UserError):
    """A port the gateway was told to use belongs to another program, or may not be used."""


@dataclass(frozen=True, slots=True)
class LiveKitServer:
    """A LiveKit server elsewhere, whose rooms the devices join. The secret is in no repr."""

    url: str
    api_key: str
    api_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """Ports of 0 take a free one. state_dir None: where the system keeps such things.

    advertise: "HOST" or "HOST:PORT" to which devices send their audio; None: the address at which each has found us.
    rooms: those that are served; empty = any. is_plain: no TLS for devices; on loopback only.
    livekit: None: rooms of this process. agent_name: called into the rooms of devices whose tokens name no other.
    """

    state_dir: Path | None
    host: str = "127.0.0.1"
    port: int = 0
    udp_port: int = 0
    advertise: str | None = None
    room_port: int = 0
    room_udp_port: int = 0
    rooms: tuple[str, ...] = ()
    is_plain: bool = False
    livekit: LiveKitServer | None = None
    agent_name: str = ""


class Gateway:
    """Devices come in at `device_url`, LiveKit clients at `room.url`. Made by `start`."""

    def __init__(self, config: GatewayConfig, state: StateFolder, lock: StateLock) -> None:
        self.state_dir = state.path
        self._config = config
        self._advertised = _host_and_port(config.advertise)
        self._lock = lock
        self._identity: Identity = load_or_make_identity(state)
        self._api_key: ApiKey = load_or_make_api_key(state)
        self._book = TokenBook(state, self._api_key)
        self._gate = TokenGate(state, self._api_key, config.rooms)
        self._room: RoomPort | None = None
        self._media: MediaPort | None = None
        self._devices: DeviceServer | None = None

    @classmethod
    async def start(cls, config: GatewayConfig) -> "Gateway":
        """Take the state folder and open every port. Raises a UserError that says what is in the way."""
        if config.is_plain and not _is_loopback(config.host):
            raise AddressUnusable(f"ws:// without TLS is for loopback, and {config.host} is not; leave TLS on")
        _require_ipv4(config.host)
        _host_and_port(config.advertise)
        state = StateFolder.open(config.state_dir)
        lock = state.lock("a pressroom gateway")
        try:
            gateway = cls(config, state, lock)
        except BaseException:
            lock.release()
            raise
        try:
            await gateway._open()
        except BaseException:
            await gateway.stop()
            raise
        return gateway

    async def stop(self) -> None:
        """Say goodbye to everybody and close. Safe to call twice."""
        if self._devices is not None:
            await self._devices.stop()
        if self._media is not None:
            self._media.close()
        if self._room is not None:
            await self._room.stop()
        self._lock.release()

    @property
    def device_url(self) -> str:
        """Where devices connect."""
        scheme = "ws" if self._config.is_plain else "wss"
        return f"{scheme}://{_reachable(self._config.host)}:{self.devices.port}/device"

    @property
    def certificate_pin(self) -> bytes:
        """What devices pin: 32 bytes, the SHA-256 of the certificate."""
        return self._identity.pin

    @property
    def api_key(self) -> str:
        """Names the secret."""
        return self._api_key.key

    @property
    def api_secret(self) -> str:
        """Signs tokens; for programs of this machine only."""
        return self._api_key.secret

    @property
    def devices(self) -> DeviceServer:
        """The door for devices."""
        assert self._devices is not None
        return self._devices

    @property
    def media(self) -> MediaPort:
        """The UDP port for devices."""
        assert self._media is not None
        return self._media

    @property
    def room(self) -> RoomPort:
        """The rooms that devices join."""
        assert self._room is not None
        return self._room

    @property
    def has_own_rooms(self) -> bool:
        """Return whether the rooms are of this process."""
        return isinstance(self._room, EmbeddedRoom)

    @property
    def room_server(self) -> RoomServer:
        """The rooms of this process, where there are some."""
        assert isinstance(self._room, EmbeddedRoom)
        return self._room.server

    def create_device_token(
        self, identity: str, room: str, *, name: str = "", can_subscribe: bool = True, agent_name: str = ""
    ) -> str:
        """Return a new token for a device."""
        return self._book.create(identity, room, name, can_subscribe=can_subscribe, agent_name=agent_name)[0]

    async def _open(self) -> None:
        config = self._config
        self._room = await self._open_rooms(config.livekit)
        try:
            self._media = MediaPort.open(config.host, config.udp_port)
        except OSError as error:
            raise _port_in_use(f"UDP {config.host}", config.udp_port, error, "--udp-port or --host") from None
        devices = DeviceServer(self._gate, self.room, self._media, self._advertise, config.agent_name)
        try:
            devices.open(config.host, config.port, None if config.is_plain else self._identity.ssl_context())
        except OSError as error:
            raise _port_in_use(f"TCP {config.host}", config.port, error, "--port or --host") from None
        self._devices = devices
        log.info("gateway up", device_url=self.device_url, room_url=self.room.url, udp_port=self._media.port)

    async def _open_rooms(self, livekit: LiveKitServer | None) -> RoomPort:
        if livekit is not None:
            return LiveKitRooms(livekit.url, livekit.api_key, livekit.api_secret)
        ports = self._config.room_port, self._config.room_udp_port
        try:
            server = await RoomServer.start(
                api_key=self.api_key, api_secret=self.api_secret, port=ports[0], udp_port=ports[1]
            )
        except OSError as error:
            raise _port_in_use("room", f"{ports[0]} or {ports[1]}", error, "--room-port") from None
        return EmbeddedRoom(server, self.api_key, self.api_secret)

    def _advertise(self, link: Link) -> tuple[str, int]:
        """Return where the device of this link sends its audio."""
        host, port = self._advertised
        return host or link.local_host, port or self.media.port


def _port_in_use(what: str, port: int | str, error: OSError, options: str) -> PortInUse:
    why = error.strerror or error
    return PortInUse(f"{what} port {port} cannot be used ({why}); stop what uses it, or choose another with {options}")


def _host_and_port(text: str | None) -> tuple[str | None, int | None]:
    if text is None:
        return None, None
    host, colon, port = text.partition(":")
    if not host or (colon and not (port.isascii() and port.isdecimal() and 0 < int(port) < 65_536)):
        raise AddressUnusable(f"--advertise {text!r}: HOST or HOST:PORT is needed, such as 192.0.2.7 or gw.local:7443")
    return host, int(port) if colon else None


def _require_ipv4(host: str) -> None:
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        raise AddressUnusable(
            f"--host {host!r}: an IPv4 address of this machine is needed, or 0.0.0.0 for all of them"
        ) from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _reachable(host: str) -> str:
    """Return an address of this machine that others may know, where it listens on all of them."""
    if host != "0.0.0.0":
        return host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_SOMEWHERE)
        except OSError:  # no network
            return "127.0.0.1"
        return str(probe.getsockname()[0])
