"""Data and remote calls: `data`, `rpc` and `rpc_result` on the link, LiveKit's DataPackets in the room. No I/O.

     call             is known by    ends with
     of the device    our own id     the answer, its deadline, or the callee leaving       -> rpc_result to the device
     of the room      the caller's   rpc_result, or its deadline (the caller has its own)  -> rpc_response to the caller

Source: LiveKit documentation, "Remote method calls"; version 1 of its packets.
"""

import secrets
from typing import Any, Final

from livekit.protocol import models

from pressroom.wire.seq import ms_after, ms_between

from .room_view import Message

UNSUPPORTED_METHOD: Final = 1400  # LiveKit's RpcError codes
RECIPIENT_NOT_FOUND: Final = 1401
REQUEST_TOO_LARGE: Final = 1402
UNSUPPORTED_VERSION: Final = 1404
CONNECTION_TIMEOUT: Final = 1501
RESPONSE_TIMEOUT: Final = 1502
RECIPIENT_DISCONNECTED: Final = 1503
RESPONSE_TOO_LARGE: Final = 1504
SEND_FAILED: Final = 1505

_MESSAGES: Final = {
    RECIPIENT_NOT_FOUND: "Recipient not found",
    REQUEST_TOO_LARGE: "Request payload too large",
    UNSUPPORTED_VERSION: "Unsupported RPC version",
    CONNECTION_TIMEOUT: "Connection timeout",
    RESPONSE_TIMEOUT: "Response timeout",
    RECIPIENT_DISCONNECTED: "Recipient disconnected",
    RESPONSE_TOO_LARGE: "Response payload too large",
    SEND_FAILED: "Failed to send",
}
_VERSION: Final = 1
_MAX_CALLS: Final = 16  # each way
_DEFAULT_TIMEOUT_MS: Final = 15_000  # LiveKit's
_MAX_TIMEOUT_MS: Final = 120_000
_FOREVER_MS: Final = 60_000
_MAX_ID_CHARS: Final = 64


class Calls:
    """The calls that wait for an answer, both ways; bounded."""

    def __init__(self) -> None:
        self._of_device: dict[str, tuple[str, str, int]] = {}  # our id -> the device's, the callee, the deadline
        self._of_room: dict[str, tuple[str, int]] = {}  # the caller's id -> the caller, the deadline

    def call_room(self, message: Message, identities: list[str], now_ms: int) -> models.DataPacket | Message:
        """Return the packet that makes the device's call, or the rpc_result that refuses it."""
        callee = message.get("destination_identity", "")
        if callee not in identities:
            return error_result(message["id"], RECIPIENT_NOT_FOUND)
        if len(self._of_device) >= _MAX_CALLS:
            return error_result(message["id"], SEND_FAILED)
        timeout_ms = min(message.get("response_timeout_ms", _DEFAULT_TIMEOUT_MS), _MAX_TIMEOUT_MS)
        request_id = secrets.token_hex(8)
        self._of_device[request_id] = (message["id"], callee, ms_after(now_ms, timeout_ms))
        request = models.RpcRequest(
            id=request_id,
            method=message["method"],
            payload=message["payload"],
            response_timeout_ms=timeout_ms,
            version=_VERSION,
        )
        return models.DataPacket(destination_identities=[callee], rpc_request=request)

    def answered_by_room(self, response: models.RpcResponse) -> Message | None:
        """Return the rpc_result for the device; None if nobody waits for it."""
        call = self._of_device.pop(response.request_id, None)
        if call is None:
            return None
        if response.WhichOneof("value") == "error":
            return _result(call[0], {"error": {"code": response.error.code, "message": response.error.message}})
        return _result(call[0], {"payload": response.payload})

    def call_device(self, packet: models.DataPacket, now_ms: int) -> Message | int:
        """Return the rpc message for the device, or the code with which the call is refused."""
        request = packet.rpc_request
        if request.version != _VERSION or request.compressed_payload:
            return UNSUPPORTED_VERSION
        if len(self._of_room) >= _MAX_CALLS or request.id in self._of_room or len(request.id) > _MAX_ID_CHARS:
            return SEND_FAILED
        timeout_ms = min(request.response_timeout_ms or _DEFAULT_TIMEOUT_MS, _MAX_TIMEOUT_MS)
        self._of_room[request.id] = (packet.participant_identity, ms_after(now_ms, timeout_ms))
        return {
            "t": "rpc",
            "id": request.id,
            "method": request.method,
            "payload": request.payload,
            "caller_identity": packet.participant_identity,
            "response_timeout_ms": timeout_ms,
        }

    def forget(self, request_id: str) -> None:
        """The device could not be given the call."""
        self._of_room.pop(request_id, None)

    def answered_by_device(self, message: Message) -> models.DataPacket | None:
        """Return the answer to the caller; None if nobody waits for it."""
        call = self._of_room.pop(message["id"], None)
        if call is None:
            return None
        error = message.get("error")
        if error is not None:
            return refusal(call[0], message["id"], error["code"], error["message"])
        response = models.RpcResponse(request_id=message["id"], payload=message.get("payload", ""))
        return models.DataPacket(destination_identities=[call[0]], rpc_response=response)

    def left(self, identity: str) -> list[Message]:
        """Somebody left the room; return the results of the calls that wait for them."""
        self._of_room = {key: call for key, call in self._of_room.items() if call[0] != identity}
        gone = [key for key, call in self._of_device.items() if call[1] == identity]
        return [error_result(self._of_device.pop(key)[0], RECIPIENT_DISCONNECTED) for key in gone]

    def poll(self, now_ms: int) -> list[Message]:
        """Return the results of the device's calls that nobody has answered in time."""
        self._of_room = {key: call for key, call in self._of_room.items() if ms_between(call[1], now_ms) < 0}
        late = [key for key, call in self._of_device.items() if ms_between(call[2], now_ms) >= 0]
        return [error_result(self._of_device.pop(key)[0], RESPONSE_TIMEOUT) for key in late]

    def next_timeout_ms(self, now_ms: int) -> int:
        """Milliseconds until `poll` has something to do, at most 60,000."""
        deadlines = [call[2] for call in self._of_device.values()] + [call[1] for call in self._of_room.values()]
        return min((max(0, ms_between(now_ms, deadline_ms)) for deadline_ms in deadlines), default=_FOREVER_MS)


def ack(packet: models.DataPacket) -> models.DataPacket:
    """Return what tells a caller that its call has arrived."""
    return models.DataPacket(
        destination_identities=[packet.participant_identity],
        rpc_ack=models.RpcAck(request_id=packet.rpc_request.id),
    )


def refusal(caller: str, request_id: str, code: int, message: str = "") -> models.DataPacket:
    """Return what tells a caller that its call has failed."""
    error = models.RpcError(code=code, message=message or _MESSAGES.get(code, ""))
    response = models.RpcResponse(request_id=request_id, error=error)
    return models.DataPacket(destination_identities=[caller], rpc_response=response)


def error_result(call_id: str, code: int) -> Message:
    """Return what tells the device that its call has failed."""
    return _result(call_id, {"error": {"code": code, "message": _MESSAGES[code]}})


def data_message(packet: models.DataPacket) -> Message | None:
    """Return a packet of data as the device is told of it; None if it is not text."""
    try:
        payload = packet.user.payload.decode()
    except UnicodeDecodeError:
        return None
    return {
        "t": "data",
        "topic": packet.user.topic,
        "payload": payload,
        "participant_identity": packet.participant_identity,
    }


def data_packet(message: Message) -> models.DataPacket:
    """Return the device's data as a packet."""
    destinations = message.get("destination_identities", [])
    user = models.UserPacket(payload=message["payload"].encode(), topic=message.get("topic", ""))
    return models.DataPacket(destination_identities=destinations, user=user)


def _result(call_id: str, fields: dict[str, Any]) -> Message:
    return {"t": "rpc_result", "id": call_id, **fields}
