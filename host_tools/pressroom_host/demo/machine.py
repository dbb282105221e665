"""What the demo needs of the machine it runs on; what is missing is one sentence."""

import fcntl
import importlib.util
import socket
import struct

from pressroom_host.errors import UserError
from pressroom_host.sim.process import micropython_program

_SIOCGIFFLAGS, _SIOCGIFADDR = 0x8913, 0x8915  # linux/sockios.h
_IFF_UP, _IFF_LOOPBACK, _IFF_RUNNING = 0x1, 0x8, 0x40  # linux/if.h


class ClientMissing(UserError):
    """The official LiveKit client is not installed."""


class NoInterface(UserError):
    """The machine has no network interface besides lo."""


def require_all() -> None:
    """Raise PlatformUnsupported, MicroPythonMissing, ClientMissing or NoInterface unless the demo can run."""
    micropython_program()
    if importlib.util.find_spec("livekit.rtc") is None:
        raise ClientMissing(
            "the demo is answered by the official LiveKit client, which is not installed: pip install 'pressroom[demo]'"
        )
    if not _has_interface():
        raise NoInterface(
            "this machine has no network interface besides lo, and without one the official LiveKit client cannot "
            "connect; bring one up (it needs no way to the internet)"
        )


def _has_interface() -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        return any(_is_usable(probe, name) for _, name in socket.if_nameindex())


def _is_usable(probe: socket.socket, name: str) -> bool:
    """Is it up, not the loopback, and does it have an address?"""
    request = struct.pack("16s256x", name.encode())
    try:
        answer = fcntl.ioctl(probe, _SIOCGIFFLAGS, request)
        fcntl.ioctl(probe, _SIOCGIFADDR, request)
    except OSError:  # no such address, or the interface went away
        return False
    flags: int = struct.unpack_from("=H", answer, 16)[0]
    return flags & (_IFF_UP | _IFF_LOOPBACK | _IFF_RUNNING) == _IFF_UP | _IFF_RUNNING
