"""Remote calls, both ways, as DataPackets of version 1, which clients of every generation speak.

Source: LiveKit documentation, "Remote method calls"; codes as in its RpcError.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from livekit.protocol import models

from .errors import RpcError

APPLICATION_ERROR = 1500
UNSUPPORTED_METHOD = 1400
REQUEST_TOO_LARGE = 1402
UNSUPPORTED_VERSION = 1404
CONNECTION_TIMEOUT = 1501
RESPONSE_TIMEOUT = 1502
RECIPIENT_DISCONNECTED = 1503
RESPONSE_TOO_LARGE = 1504
SEND_FAILED = 1505

_VERSION = 1
_MAX_PAYLOAD_BYTES = 15_360
_MAX_CALLS = 256  # each way
_ACK_TIMEOUT_S = 7.0  # an absent callee acknowledges nothing; nobody else says so

Handler = Callable[[str, str], Awaitable[str]]  # the caller's identity, the payload -> the answer
SendPacket = Callable[[models.DataPacket], None]


class Rpc:
    """Give it every packet; it takes those of calls. send: sends a packet, reliably."""

    def __init__(self, send: SendPacket) -> None:
        self._send = send
        self._handlers: dict[str, Handler] = {}
        self._calls: dict[str, _Call] = {}
        self._running: dict[str, asyncio.Task[None]] = {}

    def register(self, method: str, handler: Handler | None) -> None:
        """Answer calls of this method; None: no longer."""
        if handler is None:
            self._handlers.pop(method, None)
        else:
            self._handlers[method] = handler

    async def call(self, identity: str, method: str, payload: str, timeout_s: float) -> str:
        """Return what the callee answers. Raises RpcError, in time also where there is no such participant."""
        if len(payload.encode()) > _MAX_PAYLOAD_BYTES:
            raise RpcError(REQUEST_TOO_LARGE, f"a payload has at most {_MAX_PAYLOAD_BYTES} bytes")
        if len(self._calls) >= _MAX_CALLS:
            raise RpcError(SEND_FAILED, f"{_MAX_CALLS} calls wait for their answers already")
        request_id = secrets.token_hex(8)
        call = self._calls[request_id] = _Call(identity)
        request = models.RpcRequest(
            id=request_id,
            method=method,
            payload=payload,
            response_timeout_ms=round(timeout_s * 1000),
            version=_VERSION,
        )
        try:
            self._send(models.DataPacket(destination_identities=[identity], rpc_request=request))
            return await call.result(timeout_s)
        finally:
            del self._calls[request_id]

    def packet_came(self, packet: models.DataPacket) -> bool:
        """Return whether the packet was one of a call."""
        kind = packet.WhichOneof("value")
        if kind == "rpc_request":
            self._on_request(packet.rpc_request, packet.participant_identity)
        elif kind == "rpc_ack":
            call = self._calls.get(packet.rpc_ack.request_id)
            if call is not None:
                call.is_acknowledged.set()
        elif kind == "rpc_response":
            call = self._calls.get(packet.rpc_response.request_id)
            if call is not None and packet.participant_identity in ("", call.identity):
                call.on_response(packet.rpc_response)
        else:
            return False
        return True

    def left(self, identity: str) -> None:
        """Somebody left: calls to it are over."""
        for call in self._calls.values():
            if call.identity == identity:
                call.fail(RpcError(RECIPIENT_DISCONNECTED, "the callee has left the room"))

    async def close(self) -> None:
        """End the calls that run here, and fail those that wait."""
        for call in self._calls.values():
            call.fail(RpcError(SEND_FAILED, "this client has left the room"))
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _on_request(self, request: models.RpcRequest, caller: str) -> None:
        if request.id in self._running:
            return
        self._send(models.DataPacket(destination_identities=[caller], rpc_ack=models.RpcAck(request_id=request.id)))
        handler = self._handlers.get(request.method)
        if request.version != _VERSION:
            self._refuse(caller, request.id, RpcError(UNSUPPORTED_VERSION, f"version {_VERSION} is spoken"))
        elif handler is None:
            self._refuse(caller, request.id, RpcError(UNSUPPORTED_METHOD, "Method not supported at destination"))
        elif len(self._running) >= _MAX_CALLS:
            self._refuse(caller, request.id, RpcError(APPLICATION_ERROR, "too many calls at once"))
        else:
            task = asyncio.create_task(self._run(handler, request, caller), name=f"rpc {request.method}")
            self._running[request.id] = task
            task.add_done_callback(lambda _: self._running.pop(request.id, None))

    async def _run(self, handler: Handler, request: models.RpcRequest, caller: str) -> None:
        try:
            async with asyncio.timeout(request.response_timeout_ms / 1000 or None):
                payload = await handler(caller, request.payload)
            if len(payload.encode()) > _MAX_PAYLOAD_BYTES:
                raise RpcError(RESPONSE_TOO_LARGE, f"a payload has at most {_MAX_PAYLOAD_BYTES} bytes")
        except RpcError as error:
            self._refuse(caller, request.id, error)
        except TimeoutError:
            self._refuse(caller, request.id, RpcError(RESPONSE_TIMEOUT, "Response timeout"))
        except Exception as error:  # noqa: BLE001 # whatever a handler does wrong, the caller is told
            self._refuse(caller, request.id, RpcError(APPLICATION_ERROR, type(error).__name__))
        else:
            response = models.RpcResponse(request_id=request.id, payload=payload)
            self._send(models.DataPacket(destination_identities=[caller], rpc_response=response))

    def _refuse(self, caller: str, request_id: str, error: RpcError) -> None:
        answer = models.RpcError(code=error.code, message=error.message, data=error.data)
        response = models.RpcResponse(request_id=request_id, error=answer)
        self._send(models.DataPacket(destination_identities=[caller], rpc_response=response))


class _Call:
    def __init__(self, identity: str) -> None:
        self.identity = identity
        self.is_acknowledged = asyncio.Event()
        self._answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def result(self, timeout_s: float) -> str:
        try:
            async with asyncio.timeout(timeout_s):
                await self._until_acknowledged()
                return await self._answer
        except TimeoutError:
            if not self.is_acknowledged.is_set():
                raise RpcError(CONNECTION_TIMEOUT, f"{self.identity} does not answer; is it in the room?") from None
            raise RpcError(RESPONSE_TIMEOUT, f"{self.identity} did not answer within {timeout_s:g} s") from None

    async def _until_acknowledged(self) -> None:
        """The answer, or a failure, may come without an acknowledgement."""
        acknowledged = asyncio.create_task(self.is_acknowledged.wait())
        either: set[asyncio.Future[Any]] = {acknowledged, self._answer}
        try:
            async with asyncio.timeout(_ACK_TIMEOUT_S):
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            acknowledged.cancel()

    def on_response(self, response: models.RpcResponse) -> None:
        self.is_acknowledged.set()
        if self._answer.done():
            return
        if response.HasField("error"):
            error = response.error
            self._answer.set_exception(RpcError(error.code, error.message, error.data))
        else:
            self._answer.set_result(response.payload)

    def fail(self, error: RpcError) -> None:
        if not self._answer.done():
            self._answer.set_exception(error)
