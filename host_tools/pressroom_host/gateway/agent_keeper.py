"""Sees to it that the agent a device wants is in its room: calls it, notices that it is missing, and calls it again.

     a room                                       what is done
     no agent for a second                        a dispatch, by LiveKit's server API
     an agent came                                nothing, until it leaves
     no worker took the job for 2 s, or the       the dispatch is deleted; another one after 1, 2, 3, 3 ... s
     agent that should come did not for 20 s
     its last device has left                     nothing any more: the agent leaves by itself

A LiveKit server tries a dispatch once; where no worker was there then, or it died, nobody comes by itself.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

import aiohttp
import structlog
from livekit import api
from livekit.protocol import agent

from .room_port import RoomPort

log = structlog.get_logger(__name__)

_GRACE_S: Final = 1.0
_TAKEN_S: Final = 2.0
_ARRIVAL_S: Final = 20.0  # starting a process may take that on a small computer
_LOOK_S: Final = 0.5
_FIRST_BACKOFF_S: Final = 1.0
_MAX_BACKOFF_S: Final = 3.0
_REQUEST_TIMEOUT_S: Final = 5.0

_HOPEFUL: Final = (agent.JobStatus.JS_PENDING, agent.JobStatus.JS_RUNNING)

Tell = Callable[[str], None]  # told the agent's name whenever it is called


class AgentKeeper:
    """For all rooms of a gateway. A device `enters` with the agent it wants, and `leaves`."""

    def __init__(self, room: RoomPort) -> None:
        self._room = room
        self._rooms: dict[str, _Keeping] = {}

    def enters(self, room: str, agent_name: str, tell: Tell) -> None:
        """A device wants this agent in its room; the first one's wish counts."""
        if room not in self._rooms:
            self._rooms[room] = _Keeping(self._room, room, agent_name)
        self._rooms[room].tells.append(tell)

    def leaves(self, room: str, tell: Tell) -> None:
        """A device has left; safe to call for one that never entered."""
        keeping = self._rooms.get(room)
        if keeping is not None and tell in keeping.tells:
            keeping.tells.remove(tell)
            if not keeping.tells:
                del self._rooms[room]
                keeping.task.cancel()

    def has_agent(self, room: str, is_there: bool) -> None:
        """An agent is in the room, or is not."""
        keeping = self._rooms.get(room)
        if keeping is not None:
            keeping.seen(is_there)

    async def stop(self) -> None:
        """Call nobody any more. Safe to call twice."""
        tasks = [keeping.task for keeping in self._rooms.values()]
        self._rooms.clear()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


class _Keeping:
    """One room."""

    def __init__(self, port: RoomPort, room: str, agent_name: str) -> None:
        self.tells: list[Tell] = []
        self._port = port
        self._room = room
        self._agent_name = agent_name
        self._is_there = asyncio.Event()
        self._is_away = asyncio.Event()
        self._is_away.set()
        self.task = asyncio.get_running_loop().create_task(self._keep(), name=f"agent of {room}")

    def seen(self, is_there: bool) -> None:
        (self._is_there if is_there else self._is_away).set()
        (self._is_away if is_there else self._is_there).clear()

    async def _keep(self) -> None:
        backoff_s = _FIRST_BACKOFF_S
        while True:
            await self._is_away.wait()
            if await self._comes_within(_GRACE_S):
                continue
            for tell in list(self.tells):
                tell(self._agent_name)
            dispatch_id = await self._dispatch()
            if await self._comes_for(dispatch_id):
                backoff_s = _FIRST_BACKOFF_S
                continue
            log.warning("agent did not come", agent=self._agent_name, room=self._room, again_in_s=backoff_s)
            await self._delete(dispatch_id)
            await self._comes_within(backoff_s)
            backoff_s = min(backoff_s + 1, _MAX_BACKOFF_S)

    async def _comes_for(self, dispatch_id: str) -> bool:
        """Wait for the agent as long as there is hope; return whether it came."""
        now_s = asyncio.get_running_loop().time
        began_s = now_s()
        while dispatch_id and now_s() - began_s < _ARRIVAL_S:
            if await self._comes_within(_LOOK_S):
                return True
            if now_s() - began_s > _TAKEN_S and not await self._is_taken(dispatch_id):
                return False
        return self._is_there.is_set()

    async def _comes_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._is_there.wait()
        except TimeoutError:
            return False
        return True

    async def _dispatch(self) -> str:
        """Return the dispatch's id; "" if the server did not take it."""
        request = api.CreateAgentDispatchRequest(agent_name=self._agent_name, room=self._room)
        try:
            async with asyncio.timeout(_REQUEST_TIMEOUT_S), self._server() as server:
                dispatch = await server.agent_dispatch.create_dispatch(request)
        except (TimeoutError, aiohttp.ClientError, OSError, api.TwirpError) as error:
            log.warning("agent not called", agent=self._agent_name, room=self._room, why=type(error).__name__)
            return ""
        log.info("agent called", agent=self._agent_name, room=self._room, dispatch=dispatch.id)
        return dispatch.id

    async def _is_taken(self, dispatch_id: str) -> bool:
        """Return whether a worker has taken the job, and has not failed."""
        try:
            async with asyncio.timeout(_REQUEST_TIMEOUT_S), self._server() as server:
                dispatch = await server.agent_dispatch.get_dispatch(dispatch_id, self._room)
        except (TimeoutError, aiohttp.ClientError, OSError, api.TwirpError):
            return False
        return dispatch is not None and any(job.state.status in _HOPEFUL for job in dispatch.state.jobs)

    async def _delete(self, dispatch_id: str) -> None:
        if dispatch_id:
            with contextlib.suppress(TimeoutError, aiohttp.ClientError, OSError, api.TwirpError):
                async with asyncio.timeout(_REQUEST_TIMEOUT_S), self._server() as server:
                    await server.agent_dispatch.delete_dispatch(dispatch_id, self._room)

    def _server(self) -> api.LiveKitAPI:
        url = self._port.url.replace("ws", "http", 1)
        return api.LiveKitAPI(url, self._port.api_key, self._port.api_secret)
