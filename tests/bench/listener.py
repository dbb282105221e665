"""An official client that subscribes to everything in a room and throws it away; it tells how many tracks it hears.

python tests/bench/listener.py URL < lines      the first line is its token; it leaves when the input ends
"""

import asyncio
import json
import sys

from livekit import rtc


async def main() -> None:
    """Run until the input ends."""
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    token = (await lines.readline()).decode().strip()
    room = rtc.Room()
    n_tracks = 0

    def count(*_: object) -> None:
        nonlocal n_tracks
        n_tracks += 1
        print(json.dumps({"n_tracks": n_tracks}), flush=True)

    room.on("track_subscribed", count)
    await room.connect(sys.argv[1], token)
    await lines.read()
    await room.disconnect()


if __name__ == "__main__":
    asyncio.run(main())
