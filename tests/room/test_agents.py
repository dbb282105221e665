"""Agents of unmodified livekit-agents in both rooms: called by name or by themselves, and let go again."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aiohttp
import pytest
from livekit import api
from livekit.protocol import agent, models
from livekit.protocol.agent_dispatch import CreateAgentDispatchRequest
from tests.agents.worker import Worker
from tests.net.mutations import FUZZ_TIMEOUT_S, examples, hostile
from tests.room.clients import DEADLINE_S, Door, http
from tests.room.conftest import API_KEY, API_SECRET

from pressroom_host.room.server import RoomServer

AGENT = models.ParticipantInfo.Kind.AGENT


@contextlib.asynccontextmanager
async def server_api(door: Door) -> AsyncIterator[api.LiveKitAPI]:
    async with api.LiveKitAPI(door.url.replace("ws", "http", 1), door.api_key, door.api_secret) as made:
        yield made


async def running_job(admin: api.LiveKitAPI, dispatch_id: str, room: str) -> agent.Job:
    """Return the job of a dispatch once it runs; a LiveKit server lists it a moment after the agent has come."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            listed = await admin.agent_dispatch.get_dispatch(dispatch_id, room)
            for job in listed.state.jobs if listed is not None else ():
                if job.state.status == agent.JobStatus.JS_RUNNING:
                    return job
            await asyncio.sleep(0.05)


async def test_an_agent_is_called_by_name_and_sent_away(room_server, join):
    alice = await join("alice")
    async with Worker.running(room_server, "driver"), server_api(room_server) as admin:
        request = CreateAgentDispatchRequest(agent_name="driver", room=room_server.room, metadata="fast")
        dispatch = await admin.agent_dispatch.create_dispatch(request)
        assert (dispatch.agent_name, dispatch.room, dispatch.metadata) == ("driver", room_server.room, "fast")
        (there,) = await alice.event("participant_connected")
        assert there.kind == AGENT
        await alice.until(lambda: there.attributes.get("told") == "fast", "it knows what it was told")
        await alice.event("track_subscribed")
        job = await running_job(admin, dispatch.id, room_server.room)
        assert job.state.participant_identity == there.identity
        await admin.agent_dispatch.delete_dispatch(dispatch.id, room_server.room)
        await alice.event("participant_disconnected", lambda who: who.identity == there.identity)
        assert await admin.agent_dispatch.get_dispatch(dispatch.id, room_server.room) is None


async def test_a_worker_without_a_name_has_an_agent_in_every_new_room(room_server, join):
    async with Worker.running(room_server):
        alice = await join("alice")
        await alice.until(
            lambda: any(who.kind == AGENT for who in alice.room.remote_participants.values()), "an agent is there"
        )


async def test_without_a_worker_nobody_comes_and_the_dispatch_says_so(room_server, join):
    await join("alice")
    async with server_api(room_server) as admin:
        request = CreateAgentDispatchRequest(agent_name="nobody", room=room_server.room)
        dispatch = await admin.agent_dispatch.create_dispatch(request)
        listed = await admin.agent_dispatch.get_dispatch(dispatch.id, room_server.room)
        assert listed is not None
        assert all(job.state.status != agent.JobStatus.JS_RUNNING for job in listed.state.jobs)


async def test_a_dispatch_that_is_not_there_cannot_be_deleted(room_server, join):
    await join("alice")
    async with server_api(room_server) as admin:
        with pytest.raises(api.TwirpError) as error:
            await admin.agent_dispatch.delete_dispatch("AD_nothing", room_server.room)
        assert error.value.status == 404


# The embedded room's own.


def own_door(embedded: RoomServer) -> Door:
    return Door(embedded.url, API_KEY, API_SECRET)


async def status_of(door: Door, path: str, body: bytes = b"", *, token: str = "", kind: str = "application/protobuf"):
    headers = {"Authorization": f"Bearer {token}", "Content-Type": kind}
    async with http(door) as session, session.post(path, data=body, headers=headers) as response:
        return response.status


async def test_the_server_api_refuses_what_it_cannot_do(embedded):
    door, path = own_door(embedded), "/twirp/livekit.AgentDispatchService/"
    admin = door.token("admin", room_admin=True)
    create = CreateAgentDispatchRequest(agent_name="x", room=door.room).SerializeToString()
    assert await status_of(door, path + "CreateDispatch", create, token="nonsense") == 401
    assert await status_of(door, path + "CreateDispatch", create, token=door.token("guest")) == 403
    assert await status_of(door, path + "CreateDispatch", b"\xff" * 9, token=admin) == 400
    assert await status_of(door, path + "CreateDispatch", create, token=admin, kind="application/json") == 400
    assert await status_of(door, path + "Nothing", create, token=admin) == 404
    elsewhere = CreateAgentDispatchRequest(agent_name="x", room="elsewhere").SerializeToString()
    assert await status_of(door, path + "CreateDispatch", elsewhere, token=admin) == 403
    for _ in range(32):
        assert await status_of(door, path + "CreateDispatch", create, token=admin) == 200
    assert await status_of(door, path + "CreateDispatch", create, token=admin) == 429


async def test_only_a_token_for_workers_opens_their_door(embedded):
    door = own_door(embedded)
    async with http(door) as session:
        for token in ("nonsense", door.token("guest")):
            with pytest.raises(aiohttp.WSServerHandshakeError) as error:
                await session.ws_connect("/agent", headers={"Authorization": f"Bearer {token}"})
            assert error.value.status == 401


async def worker_socket(door: Door, session: aiohttp.ClientSession) -> aiohttp.ClientWebSocketResponse:
    return await session.ws_connect("/agent", headers={"Authorization": f"Bearer {door.token('w', agent=True)}"})


async def say(socket: aiohttp.ClientWebSocketResponse, **message) -> None:
    await socket.send_bytes(agent.WorkerMessage(**message).SerializeToString())


async def hear(socket: aiohttp.ClientWebSocketResponse) -> agent.ServerMessage:
    return agent.ServerMessage.FromString(await asyncio.wait_for(socket.receive_bytes(), 5))


async def test_the_least_busy_worker_is_asked_first_and_the_next_if_it_refuses(embedded):
    door = own_door(embedded)
    async with http(door) as session:
        busy, idle = await worker_socket(door, session), await worker_socket(door, session)
        for socket, load in ((busy, 0.6), (idle, 0.1)):
            await say(socket, register=agent.RegisterWorkerRequest(agent_name="x", type=agent.JobType.JT_ROOM))
            assert (await hear(socket)).register.worker_id
            await say(socket, update_worker=agent.UpdateWorkerStatus(load=load))
            await say(socket, ping=agent.WorkerPing(timestamp=7))
            assert (await hear(socket)).pong.last_timestamp == 7
        embedded.agents.create(CreateAgentDispatchRequest(agent_name="x", room=door.room))
        offer = (await hear(idle)).availability
        await say(idle, availability=agent.AvailabilityResponse(job_id=offer.job.id, available=False))
        offer = (await hear(busy)).availability
        accepted = agent.AvailabilityResponse(job_id=offer.job.id, available=True, participant_identity="agent-x")
        await say(busy, availability=accepted)
        assignment = (await hear(busy)).assignment
        assert (assignment.job.id, assignment.url) == (offer.job.id, embedded.url)
        await busy.close()
        await asyncio.sleep(0.1)
        (dispatch,) = embedded.agents.list(door.room)
        assert dispatch.state.jobs[0].state.error == "the worker is gone"
        assert len(embedded.agents.workers) == 1


@pytest.mark.timeout(FUZZ_TIMEOUT_S)
async def test_hostile_messages_of_a_worker_are_counted_or_ignored(embedded):
    door = own_door(embedded)
    good = [
        agent.WorkerMessage(register=agent.RegisterWorkerRequest(agent_name="x")).SerializeToString(),
        agent.WorkerMessage(availability=agent.AvailabilityResponse(job_id="AJ_x", available=True)).SerializeToString(),
        agent.WorkerMessage(update_job=agent.UpdateJobStatus(job_id="AJ_x")).SerializeToString(),
    ]
    async with http(door) as session:
        socket = await worker_socket(door, session)
        for data in examples(hostile(good)):
            await socket.send_bytes(data[:60_000])
        await say(socket, ping=agent.WorkerPing(timestamp=9))
        while (await hear(socket)).pong.last_timestamp != 9:
            continue
        assert len(embedded.agents.workers) <= 1
