"""Agents for the rooms of this process: workers register and are offered jobs; their agents then join like any client.

     a worker                              is told
     connects to /agent, registers         its id
     (a job is wanted)                     availability: does it take the job?
     takes it                              assignment: the job, where to join, and a token for its agent
     refuses, or does not answer in 8 s    nothing more; the next worker is asked
     says how the job goes                 nothing; the dispatch knows
     (the dispatch is deleted)             termination

A dispatch is tried once, as in a LiveKit server: where no worker takes it, nobody comes until it is made again.
Source: LiveKit protocol, livekit_agent.proto and livekit_agent_dispatch.proto; LiveKit documentation, "Agent dispatch".
"""

import asyncio
import time
from collections.abc import Callable, Iterable

import structlog
from aiohttp import WSMsgType, web
from google.protobuf.message import DecodeError
from livekit.protocol import agent, agent_dispatch, models

from .participant import new_sid

log = structlog.get_logger(__name__)

_MAX_WORKERS = 64
_MAX_DISPATCHES = 32  # of a room
_MAX_ROOMS = 1_000  # with dispatches
_MAX_METADATA_BYTES = 16_384
_AVAILABILITY_TIMEOUT_S = 8.0
_AGENT_PROTOCOL = 1

MakeToken = Callable[[agent.Job, agent.AvailabilityResponse], str]


class DispatchRefused(Exception):
    """A dispatch cannot be made, or is not there; code: of Twirp."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Worker:
    """One worker's connection."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self.id = new_sid("AW_")
        self.registration: agent.RegisterWorkerRequest | None = None
        self.status = agent.UpdateWorkerStatus(status=agent.WorkerStatus.WS_AVAILABLE)
        self.n_bad_messages = 0
        self._socket = socket
        self._answers: dict[str, asyncio.Future[agent.AvailabilityResponse]] = {}

    def takes(self, agent_name: str) -> bool:
        """Return whether jobs of this name are for it."""
        registration = self.registration
        return (
            registration is not None
            and registration.type == agent.JobType.JT_ROOM
            and registration.agent_name == agent_name
            and self.status.status == agent.WorkerStatus.WS_AVAILABLE
            and not self.status.draining
        )

    async def offer(self, job: agent.Job) -> agent.AvailabilityResponse | None:
        """Ask whether it takes the job; None if it does not."""
        answer = self._answers[job.id] = asyncio.get_running_loop().create_future()
        try:
            await self.send(agent.ServerMessage(availability=agent.AvailabilityRequest(job=job)))
            async with asyncio.timeout(_AVAILABILITY_TIMEOUT_S):
                response = await answer
        except (TimeoutError, ConnectionError):
            return None
        finally:
            del self._answers[job.id]
        return response if response.available else None

    def answered(self, response: agent.AvailabilityResponse) -> None:
        """It said whether it takes a job."""
        answer = self._answers.get(response.job_id)
        if answer is not None and not answer.done():
            answer.set_result(response)

    async def send(self, message: agent.ServerMessage) -> None:
        """Raises ConnectionError."""
        await self._socket.send_bytes(message.SerializeToString())

    def gone(self) -> None:
        """The connection is lost: what it has not answered it will not answer."""
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(ConnectionResetError("the worker is gone"))
                answer.exception()


class Agents:
    """make_token: for the agent that joins for a job. url: where it joins. room_info: a room by name."""

    def __init__(self, make_token: MakeToken, url: Callable[[], str], room_info: Callable[[str], models.Room]) -> None:
        self.workers: dict[str, Worker] = {}
        self._make_token = make_token
        self._url = url
        self._room_info = room_info
        self._dispatches: dict[str, dict[str, agent_dispatch.AgentDispatch]] = {}  # by room, by id
        self._job_workers: dict[str, Worker] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, socket: web.WebSocketResponse) -> None:
        """Serve a worker until it is gone."""
        worker = Worker(socket)
        try:
            async for frame in socket:
                if frame.type != WSMsgType.BINARY:
                    worker.n_bad_messages += 1
                    continue
                try:
                    message = agent.WorkerMessage.FromString(frame.data)
                except DecodeError:
                    worker.n_bad_messages += 1
                    continue
                await self._receive(worker, message)
        except ConnectionError:
            log.info("worker lost", worker=worker.id)
        finally:
            self._lose(worker)

    def room_opened(self, room: str) -> None:
        """A room was made: workers without an agent name have a job in each."""
        if any(worker.takes("") for worker in self.workers.values()):
            self._add(room, agent_dispatch.AgentDispatch(room=room))

    def room_closed(self, room: str) -> None:
        """A room is gone, and with it what was dispatched there."""
        for dispatch in self._dispatches.pop(room, {}).values():
            self._terminate(dispatch)

    def create(self, request: agent_dispatch.CreateAgentDispatchRequest) -> agent_dispatch.AgentDispatch:
        """Call an agent into a room. Raises DispatchRefused."""
        if not request.room:
            raise DispatchRefused("invalid_argument", "room is missing")
        if len(request.metadata.encode()) > _MAX_METADATA_BYTES:
            raise DispatchRefused("invalid_argument", f"metadata has at most {_MAX_METADATA_BYTES} bytes")
        if len(self._dispatches.get(request.room, ())) >= _MAX_DISPATCHES:
            raise DispatchRefused("resource_exhausted", f"a room has at most {_MAX_DISPATCHES} dispatches; delete one")
        if request.room not in self._dispatches and len(self._dispatches) >= _MAX_ROOMS:
            raise DispatchRefused("resource_exhausted", f"{_MAX_ROOMS} rooms have dispatches already")
        wanted = agent_dispatch.AgentDispatch(
            room=request.room, agent_name=request.agent_name, metadata=request.metadata
        )
        return self._add(request.room, wanted)

    def list(self, room: str, dispatch_id: str = "") -> list[agent_dispatch.AgentDispatch]:
        """Return the dispatches of a room, or the one of this id."""
        dispatches = self._dispatches.get(room, {}).values()
        return [dispatch for dispatch in dispatches if dispatch_id in ("", dispatch.id)]

    def delete(self, room: str, dispatch_id: str) -> agent_dispatch.AgentDispatch:
        """End a dispatch and its jobs. Raises DispatchRefused."""
        dispatch = self._dispatches.get(room, {}).pop(dispatch_id, None)
        if dispatch is None:
            raise DispatchRefused("not_found", f"room {room[:80]!r} has no dispatch {dispatch_id[:80]!r}")
        dispatch.state.deleted_at = time.time_ns()
        self._terminate(dispatch)
        return dispatch

    async def stop(self) -> None:
        """Ask nobody any more. Safe to call twice."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    # What workers say.

    async def _receive(self, worker: Worker, message: agent.WorkerMessage) -> None:
        kind = message.WhichOneof("message")
        if kind == "register":
            await self._register(worker, message.register)
        elif kind == "availability":
            worker.answered(message.availability)
        elif kind == "update_worker":
            worker.status = message.update_worker
        elif kind == "update_job":
            self._update_job(worker, message.update_job)
        elif kind == "ping":
            pong = agent.WorkerPong(last_timestamp=message.ping.timestamp, timestamp=time.time_ns() // 1_000_000)
            await worker.send(agent.ServerMessage(pong=pong))

    async def _register(self, worker: Worker, registration: agent.RegisterWorkerRequest) -> None:
        if worker.registration is not None or len(self.workers) >= _MAX_WORKERS:
            worker.n_bad_messages += 1
            return
        worker.registration = registration
        self.workers[worker.id] = worker
        server = models.ServerInfo(agent_protocol=_AGENT_PROTOCOL)
        response = agent.RegisterWorkerResponse(worker_id=worker.id, server_info=server)
        await worker.send(agent.ServerMessage(register=response))
        log.info(
            "worker registered", worker=worker.id, agent_name=registration.agent_name, version=registration.version
        )

    def _update_job(self, worker: Worker, update: agent.UpdateJobStatus) -> None:
        for job in self._jobs():
            if job.id == update.job_id and self._job_workers.get(job.id) is worker:
                job.state.status = update.status
                job.state.error = update.error
                job.state.updated_at = time.time_ns()
                if update.status in (agent.JobStatus.JS_SUCCESS, agent.JobStatus.JS_FAILED):
                    job.state.ended_at = job.state.updated_at
                    del self._job_workers[job.id]
                return

    def _lose(self, worker: Worker) -> None:
        self.workers.pop(worker.id, None)
        worker.gone()
        for job in self._jobs():
            if self._job_workers.get(job.id) is worker:
                del self._job_workers[job.id]
                job.state.status = agent.JobStatus.JS_FAILED
                job.state.error = "the worker is gone"

    # Jobs.

    def _add(self, room: str, dispatch: agent_dispatch.AgentDispatch) -> agent_dispatch.AgentDispatch:
        dispatch.id = new_sid("AD_")
        dispatch.state.created_at = time.time_ns()
        self._dispatches.setdefault(room, {})[dispatch.id] = dispatch
        task = asyncio.get_running_loop().create_task(self._assign(dispatch), name=f"dispatch {dispatch.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return dispatch

    async def _assign(self, dispatch: agent_dispatch.AgentDispatch) -> None:
        """Offer the job to one worker after the other, the least busy first."""
        workers = [worker for worker in self.workers.values() if worker.takes(dispatch.agent_name)]
        job = agent.Job(
            id=new_sid("AJ_"),
            dispatch_id=dispatch.id,
            type=agent.JobType.JT_ROOM,
            room=self._room_info(dispatch.room),
            metadata=dispatch.metadata,
            agent_name=dispatch.agent_name,
        )
        for worker in sorted(workers, key=lambda worker: worker.status.load):
            response = await worker.offer(job)
            if response is None or not self.list(dispatch.room, dispatch.id):
                continue
            job.state.status = agent.JobStatus.JS_RUNNING
            job.state.started_at = time.time_ns()
            job.state.worker_id = worker.id
            job.state.participant_identity = response.participant_identity
            token = self._make_token(job, response)
            try:
                assignment = agent.JobAssignment(job=job, url=self._url(), token=token)
                await worker.send(agent.ServerMessage(assignment=assignment))
            except ConnectionError:
                continue
            dispatch.state.jobs.append(job)
            self._job_workers[job.id] = worker
            log.info("job assigned", job=job.id, worker=worker.id, room=dispatch.room, agent_name=dispatch.agent_name)
            return
        log.warning("no worker takes the job", room=dispatch.room, agent_name=dispatch.agent_name, n_asked=len(workers))

    def _terminate(self, dispatch: agent_dispatch.AgentDispatch) -> None:
        for job in dispatch.state.jobs:
            worker = self._job_workers.pop(job.id, None)
            if worker is not None:
                message = agent.ServerMessage(termination=agent.JobTermination(job_id=job.id))
                task = asyncio.get_running_loop().create_task(_tell(worker, message), name=f"terminate {job.id}")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _jobs(self) -> Iterable[agent.Job]:
        for dispatches in self._dispatches.values():
            for dispatch in dispatches.values():
                yield from dispatch.state.jobs


async def _tell(worker: Worker, message: agent.ServerMessage) -> None:
    try:
        await worker.send(message)
    except ConnectionError:
        log.info("worker lost", worker=worker.id)
