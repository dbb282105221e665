"""LiveKit's remote procedure calls, to and from one device, bounded in number, size and time.

Source: LiveKit documentation, "RPC"; its error codes are the numbers below.
"""

import asyncio
import secrets
from collections.abc import Callable
from typing import Any

from livekit.protocol import models

_MAX_PENDING = 32  # each way
_DEFAULT_TIMEOUT_MS = 10_000
_MAX_TIMEOUT_MS = 60_000
_VERSION = 1

RECIPIENT_NOT_FOUND = 1401
REQUEST_PAYLOAD_TOO_LARGE = 1402
RESPONSE_TIMEOUT = 1502
RECIPIENT_DISCONNECTED = 1503
RESPONSE_PAYLOAD_TOO_LARGE = 1504

Message = dict[str, Any]


class RpcTable:
    """tell(message): a message to the device; False if it is too long or there is no link.

    send(packet): a reliable packet to the room. is_present(identity): is that participant in the room?
    """

    def __init__(
        self,
        tell: Callable[[Message], bool],
        send: Callable[[models.DataPacket], None],
        is_present: Callable[[str], bool],
    ) -> None:
        self._tell = tell
        self._send = send
        self._is_present = is_present
        self._calls_in: dict[str, tuple[str, asyncio.TimerHandle]] = {}  # request id -> caller, its time-out
        self._calls_out: dict[str, tuple[str, asyncio.TimerHandle]] = {}  # request id -> the device's id, its time-out

    def handle_request(self, caller: str, request: models.RpcRequest) -> None:
        """Somebody in the room calls the device."""
        self._send(models.DataPacket(rpc_ack=models.RpcAck(request_id=request.id), destination_identities=[caller]))
        if len(self._calls_in) >= _MAX_PENDING or request.id in self._calls_in:
            self._answer(caller, request.id, code=RECIPIENT_DISCONNECTED, text="the device is busy with other calls")
            return
        timeout_ms = min(request.response_timeout_ms or _DEFAULT_TIMEOUT_MS, _MAX_TIMEOUT_MS)
        message = {
            "t": "rpc",
            "id": request.id,
            "method": request.method,
            "payload": request.payload,
            "caller_identity": caller,
            "response_timeout_ms": timeout_ms,
        }
        if not self._tell(message):
            self._answer(
                caller,
                request.id,
                code=REQUEST_PAYLOAD_TOO_LARGE,
                text="too long for this device, or it has no link now",
            )
            return
        timer = asyncio.get_running_loop().call_later(timeout_ms / 1_000, self._time_out_in, request.id)
        self._calls_in[request.id] = (caller, timer)

    def handle_result(self, message: Message) -> None:
        """The device answers a call."""
        call = self._calls_in.pop(message["id"], None)
        if call is None:
            return
        caller, timer = call
        timer.cancel()
        error = message.get("error")
        if error is not None:
            self._answer(caller, message["id"], code=error["code"], text=error["message"])
        else:
            self._answer(caller, message["id"], payload=message.get("payload", ""))

    def handle_call(self, message: Message) -> None:
        """The device calls somebody in the room."""
        callee = message.get("destination_identity", "")
        if not self._is_present(callee):
            self._tell_error(message["id"], RECIPIENT_NOT_FOUND, f"{callee!r} is not in the room")
            return
        if len(self._calls_out) >= _MAX_PENDING:
            self._tell_error(message["id"], RECIPIENT_DISCONNECTED, "too many calls wait for an answer")
            return
        timeout_ms = min(message.get("response_timeout_ms") or _DEFAULT_TIMEOUT_MS, _MAX_TIMEOUT_MS)
        request_id = secrets.token_hex(8)
        request = models.RpcRequest(
            id=request_id,
            method=message["method"],
            payload=message["payload"],
            response_timeout_ms=timeout_ms,
            version=_VERSION,
        )
        self._send(models.DataPacket(rpc_request=request, destination_identities=[callee]))
        timer = asyncio.get_running_loop().call_later(timeout_ms / 1_000, self._time_out_out, request_id)
        self._calls_out[request_id] = (message["id"], timer)

    def handle_response(self, response: models.RpcResponse) -> None:
        """Somebody in the room answers the device's call."""
        call = self._calls_out.pop(response.request_id, None)
        if call is None:
            return
        device_id, timer = call
        timer.cancel()
        if response.HasField("error"):
            self._tell_error(device_id, response.error.code, response.error.message[:200])
        elif not self._tell({"t": "rpc_result", "id": device_id, "payload": response.payload}):
            self._tell_error(device_id, RESPONSE_PAYLOAD_TOO_LARGE, "the answer is too long for this device")

    def close(self) -> None:
        """Answer what still waits. Safe to call twice."""
        for request_id, (caller, timer) in list(self._calls_in.items()):
            timer.cancel()
            self._answer(caller, request_id, code=RECIPIENT_DISCONNECTED, text="the device left")
        for _, timer in self._calls_out.values():
            timer.cancel()
        self._calls_in.clear()
        self._calls_out.clear()

    def _time_out_in(self, request_id: str) -> None:
        caller, _ = self._calls_in.pop(request_id)
        self._answer(caller, request_id, code=RESPONSE_TIMEOUT, text="the device did not answer in time")

    def _time_out_out(self, request_id: str) -> None:
        device_id, _ = self._calls_out.pop(request_id)
        self._tell_error(device_id, RESPONSE_TIMEOUT, "no answer came in time")

    def _tell_error(self, device_id: str, code: int, text: str) -> None:
        self._tell({"t": "rpc_result", "id": device_id, "error": {"code": code, "message": text}})

    def _answer(self, caller: str, request_id: str, *, payload: str = "", code: int = 0, text: str = "") -> None:
        response = models.RpcResponse(request_id=request_id)
        if code:
            response.error.code = code
            response.error.message = text
        else:
            response.payload = payload
        self._send(models.DataPacket(rpc_response=response, destination_identities=[caller]))
