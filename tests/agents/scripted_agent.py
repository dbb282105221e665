"""An agent without models, on unmodified livekit-agents: the button is its turn, and it drives the board.

    LIVEKIT_URL=... LIVEKIT_API_KEY=... LIVEKIT_API_SECRET=... AGENT_NAME=... python scripted_agent.py start

At the end of a turn it thinks, calls the caller's tool `move`, tells what it has heard in a transcription, and answers
with a tone. It runs in an environment of its own, and knows nothing of Pressroom.
"""

import asyncio
import contextlib
import json
import math
import os
from array import array

from livekit import rtc
from livekit.agents import AgentServer, JobContext, JobExecutorType, cli

RATE_HZ = 48_000
FRAME_SAMPLES = 480
TONE_HZ = 700
ANSWER_FRAMES = 60  # 0.6 s

server = AgentServer(
    num_idle_processes=0,
    host="127.0.0.1",
    port=0,
    drain_timeout=1,
    load_fnc=lambda: 0.0,
    job_executor_type=JobExecutorType.THREAD,
)


class Turns:
    """What the methods of push to talk do."""

    def __init__(self, room: rtc.Room, source: rtc.AudioSource) -> None:
        self._room = room
        self._source = source
        self._tasks: set[asyncio.Task[None]] = set()

    async def start_turn(self, data: rtc.RpcInvocationData) -> str:
        self._source.clear_queue()
        return "listening"

    async def cancel_turn(self, data: rtc.RpcInvocationData) -> str:
        return "cancelled"

    async def end_turn(self, data: rtc.RpcInvocationData) -> str:
        task = asyncio.create_task(self._answer(data.caller_identity))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return "go forward ten meters"

    async def _answer(self, caller: str) -> None:
        await self._show("thinking")
        writer = await self._room.local_participant.stream_text(
            topic="lk.transcription",
            sender_identity=caller,
            attributes={"lk.transcription_final": "true", "lk.segment_id": "SG_1"},
        )
        await writer.write("go forward ten meters")
        await writer.aclose()
        arguments = json.dumps({"direction": "forward", "amount": 10})
        with contextlib.suppress(rtc.RpcError):  # a device without that tool
            await self._room.local_participant.perform_rpc(
                destination_identity=caller, method="move", payload=arguments
            )
        await self._show("speaking")
        for frame in range(ANSWER_FRAMES):
            first = frame * FRAME_SAMPLES
            angles = (2 * math.pi * TONE_HZ * n / RATE_HZ for n in range(first, first + FRAME_SAMPLES))
            samples = array("h", (int(9_000 * math.sin(angle)) for angle in angles))
            await self._source.capture_frame(rtc.AudioFrame(samples.tobytes(), RATE_HZ, 1, FRAME_SAMPLES))
        await self._source.wait_for_playout()
        await self._show("listening")

    async def _show(self, state: str) -> None:
        await self._room.local_participant.set_attributes({"lk.agent.state": state})


@server.rtc_session(agent_name=os.environ.get("AGENT_NAME", ""))
async def entrypoint(ctx: JobContext) -> None:
    await ctx.connect()
    me = ctx.room.local_participant
    await me.set_attributes({"lk.agent.state": "listening", "told": ctx.job.metadata})
    source = rtc.AudioSource(RATE_HZ, 1)
    track = rtc.LocalAudioTrack.create_audio_track("voice", source)
    await me.publish_track(track, rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE))
    turns = Turns(ctx.room, source)
    for method in ("start_turn", "end_turn", "cancel_turn"):
        me.register_rpc_method(method, getattr(turns, method))


if __name__ == "__main__":
    cli.run_app(server)
