"""A gateway and its room in a process of their own, whose CPU time is asked for by line.

    python tests/bench/gateway_process.py STATE_FOLDER < lines

It prints {"device_url", "room_url"} and then answers each line of its input by a JSON line:
    usage                     {"cpu_s"}: user and system time of this process, by getrusage
    devices N                 {"tokens"}: of N devices that publish and hear nobody
    client IDENTITY           {"token"}: of an official client that hears everybody
"""

import asyncio
import json
import resource
import sys
from pathlib import Path

import structlog
from livekit import api

from pressroom_host.gateway.server import Gateway, GatewayConfig

ROOM = "bench"


def answer(gateway: Gateway, line: str) -> dict[str, object]:
    """Return what a line asks for."""
    word, _, rest = line.strip().partition(" ")
    if word == "usage":
        used = resource.getrusage(resource.RUSAGE_SELF)
        return {"cpu_s": used.ru_utime + used.ru_stime}
    if word == "devices":
        create = gateway.create_device_token
        return {"tokens": [create(f"device-{n}", ROOM, can_subscribe=False) for n in range(int(rest))]}
    access = api.AccessToken(gateway.api_key, gateway.api_secret).with_identity(rest)
    return {"token": access.with_grants(api.VideoGrants(room_join=True, room=ROOM, can_subscribe=True)).to_jwt()}


async def main() -> None:
    """Run until the input ends."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    gateway = await Gateway.start(GatewayConfig(state_dir=Path(sys.argv[1])))
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    print(json.dumps({"device_url": gateway.device_url, "room_url": gateway.room_server.url}), flush=True)
    while line := await lines.readline():
        print(json.dumps(answer(gateway, line.decode())), flush=True)
    await gateway.stop()


if __name__ == "__main__":
    asyncio.run(main())
