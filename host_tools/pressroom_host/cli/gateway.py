"""`pressroom gateway`: the gateway and its embedded room, for real devices."""

import asyncio
import signal
import sys
from pathlib import Path

import rich_click as click

from pressroom_host.cli.livekit import livekit_options
from pressroom_host.cli.output import json_option, print_json
from pressroom_host.gateway.log import write_logs_to
from pressroom_host.gateway.server import Gateway, GatewayConfig, LiveKitServer

_DEVICE_PORT = 7_443
_ROOM_PORT = 7_880  # LiveKit's own
_INTERRUPTED = 130  # 128 + SIGINT, as a shell counts it

_port = click.IntRange(0, 65_535)


@click.command()
@click.option(
    "--host",
    default="0.0.0.0",
    show_default=True,
    metavar="ADDRESS",
    help="Where devices connect: an IPv4 address of this machine. 0.0.0.0 is all of them.",
)
@click.option(
    "--port",
    type=_port,
    default=_DEVICE_PORT,
    show_default=True,
    help="TCP port for the messages of devices. 0 takes a free one, here and below.",
)
@click.option(
    "--udp-port", type=_port, default=_DEVICE_PORT, show_default=True, help="UDP port for the audio of devices."
)
@click.option(
    "--room-port", type=_port, default=_ROOM_PORT, show_default=True, help="TCP port for LiveKit clients (loopback)."
)
@click.option(
    "--advertise",
    metavar="HOST[:PORT]",
    help="Where devices send their audio, if not to the address at which they have found the gateway.",
)
@click.option(
    "--room", "rooms", multiple=True, metavar="NAME", help="Serve this room only. May be given again. Default: any."
)
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Where certificate, secret and tokens are kept. Default: where this system keeps such things.",
)
@click.option("--plain", "is_plain", is_flag=True, help="No TLS for devices. Works with --host 127.0.0.1 only.")
@click.option(
    "--agent",
    "agent_name",
    default="",
    metavar="NAME",
    help="Call this agent into the rooms of devices whose token names no other, and again when it is missing.",
)
@livekit_options
@json_option
def gateway(
    host: str,
    port: int,
    udp_port: int,
    room_port: int,
    advertise: str | None,
    rooms: tuple[str, ...],
    state_dir: Path | None,
    is_plain: bool,
    agent_name: str,
    livekit: LiveKitServer | None,
    is_json: bool,
) -> int:
    """Brings devices into LiveKit rooms, of its own or of a LiveKit server.

    Runs until Ctrl-C or SIGTERM; devices are then told to come back later. On first start a certificate and an API
    secret are made and kept. A device needs three things, and this command prints the first two: the gateway's
    address, the pin of its certificate, and a token (`pressroom token create`). Logs go to standard error, one line
    of key=value an event.

    \b
      pressroom gateway                          on every address of this machine
      pressroom gateway --advertise 192.0.2.7    behind a router that forwards its ports
      pressroom gateway --livekit wss://lk.local into the rooms of a LiveKit server
    """
    config = GatewayConfig(
        state_dir=state_dir,
        host=host,
        port=port,
        udp_port=udp_port,
        advertise=advertise,
        room_port=room_port,
        rooms=rooms,
        is_plain=is_plain,
        livekit=livekit,
        agent_name=agent_name,
    )
    write_logs_to(sys.stderr)
    return asyncio.run(_run(config, is_json))


async def _run(config: GatewayConfig, is_json: bool) -> int:
    stopped: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    for number, exit_code in ((signal.SIGTERM, 0), (signal.SIGINT, _INTERRUPTED)):
        asyncio.get_running_loop().add_signal_handler(number, _stop, stopped, exit_code)
    running = await Gateway.start(config)
    try:
        _print_where(running, is_json)
        return await stopped
    finally:
        await running.stop()


def _stop(stopped: "asyncio.Future[int]", exit_code: int) -> None:
    if not stopped.done():
        stopped.set_result(exit_code)


def _print_where(running: Gateway, is_json: bool) -> None:
    pin = running.certificate_pin.hex()
    where = "on this machine" if running.has_own_rooms else "a LiveKit server"
    if is_json:
        print_json(
            {
                "device_url": running.device_url,
                "certificate_pin": pin,
                "udp_port": running.media.port,
                "room_url": running.room.url,
                "state_dir": str(running.state_dir),
            }
        )
        return
    print(f"Devices connect to   {running.device_url}   (audio: UDP port {running.media.port})")
    print(f"and pin              {pin}")
    print(f"LiveKit clients join {running.room.url}   ({where})")
    print(f"State is kept in     {running.state_dir}", flush=True)
