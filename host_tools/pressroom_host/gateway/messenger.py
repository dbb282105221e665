"""Messages between a device and the others in its room: data, texts, calls, and the answers to calls."""

from collections.abc import Callable
from typing import Final

from livekit.protocol import models

from pressroom_host.livekit_client.text import Text, TextStreams

from . import rpc
from .room_port import RoomParticipant
from .room_view import Message, RoomView
from .stats import SessionStats

_TRANSCRIPTION: Final = "lk.transcription"  # a topic, and attributes, of livekit-agents
_SEGMENT: Final = "lk.segment_id"
_IS_FINAL: Final = "lk.transcription_final"
_MAX_TRANSCRIPT_CHARS: Final = 500  # what a display shows; the newest

OnAnswer = Callable[[str, str, int], None]  # method, payload, code


class Messenger:
    """say: tells the device, and returns False where it cannot be told."""

    def __init__(self, say: Callable[[Message], bool], view: RoomView, stats: SessionStats) -> None:
        self.participant: RoomParticipant | None = None  # the device in the room, once it is there
        self._say = say
        self._view = view
        self._stats = stats
        self._calls = rpc.Calls()
        self._own_calls = rpc.Calls()  # of the gateway, by their methods
        self.on_answer: OnAnswer = lambda method, payload, code: None  # to a call of the gateway
        self._texts = TextStreams()

    def device_said(self, message: Message, now_ms: int) -> None:
        """Take a message of the device that is meant for the room."""
        name = message["t"]
        if name == "data":
            self._send(rpc.data_packet(message))
        elif name == "rpc":
            call = self._calls.call_room(message, self._view.identities(), now_ms)
            if isinstance(call, models.DataPacket):
                self._send(call)
            else:
                self._say(call)
        elif name == "rpc_result":
            answer = self._calls.answered_by_device(message)
            if answer is not None:
                self._send(answer)
        else:
            self._stats.n_messages_refused += 1

    def room_said(self, packet: models.DataPacket, is_reachable: bool, now_ms: int) -> None:
        """Take a packet of the room. is_reachable: there is a link to the device."""
        kind = packet.WhichOneof("value")
        if kind == "user":
            message = rpc.data_message(packet)
            if message is None or not self._say(message):
                self._stats.n_messages_refused += 1
        elif kind == "rpc_request":
            self._send(rpc.ack(packet))
            code = self._pass_call(packet, is_reachable, now_ms)
            if code is not None:
                self._stats.n_messages_refused += 1
                self._send(rpc.refusal(packet.participant_identity, packet.rpc_request.id, code))
        elif kind == "rpc_response":
            result = self._calls.answered_by_room(packet.rpc_response)
            self._take_own(self._own_calls.answered_by_room(packet.rpc_response))
            if result is not None and not self._say(result):
                self._say(rpc.error_result(result["id"], rpc.RESPONSE_TOO_LARGE))
        else:
            text = self._texts.packet_came(packet)
            if text is not None and not self._say(_text_message(text)):
                self._stats.n_messages_refused += 1

    def left(self, identity: str) -> None:
        """Somebody left the room."""
        self._texts.left(identity)
        for result in self._own_calls.left(identity):
            self._take_own(result)
        for result in self._calls.left(identity):
            self._say(result)

    def call(self, identity: str, method: str, timeout_ms: int, now_ms: int) -> None:
        """Make a call of the gateway's own, in the device's name; `on_answer` is told what comes of it."""
        fields = {"id": method, "method": method, "payload": "", "destination_identity": identity}
        call = self._own_calls.call_room({**fields, "response_timeout_ms": timeout_ms}, [identity], now_ms)
        if isinstance(call, models.DataPacket):
            self._send(call)
        else:
            self._take_own(call)

    def poll(self, now_ms: int) -> None:
        """Do what time asks for."""
        for result in self._own_calls.poll(now_ms):
            self._take_own(result)
        for result in self._calls.poll(now_ms):
            self._say(result)

    def next_timeout_ms(self, now_ms: int) -> int:
        """Milliseconds until `poll` has something to do, at most 60,000."""
        return min(self._calls.next_timeout_ms(now_ms), self._own_calls.next_timeout_ms(now_ms))

    def _pass_call(self, packet: models.DataPacket, is_reachable: bool, now_ms: int) -> int | None:
        """Give the device a call; return the code with which it is refused, or None."""
        if not is_reachable:
            return rpc.CONNECTION_TIMEOUT
        call = self._calls.call_device(packet, now_ms)
        if isinstance(call, int):
            return call
        if self._say(call):
            return None
        self._calls.forget(packet.rpc_request.id)
        return rpc.REQUEST_TOO_LARGE

    def _take_own(self, result: Message | None) -> None:
        if result is not None:
            error = result.get("error", {})
            self.on_answer(result["id"], result.get("payload", ""), error.get("code", 0))

    def _send(self, packet: models.DataPacket) -> None:
        if self.participant is not None:
            self.participant.send_data(packet, reliable=True)


def _text_message(text: Text) -> Message:
    """Return a text stream as the device is told of it: what was said, or data."""
    if text.topic == _TRANSCRIPTION:
        is_final = text.attributes.get(_IS_FINAL, "true") == "true"
        return {
            "t": "transcription",
            "id": text.attributes.get(_SEGMENT, text.stream_id),
            "text": text.text[-_MAX_TRANSCRIPT_CHARS:],
            "final": is_final,
            "participant_identity": text.sender_identity,
        }
    return {"t": "data", "topic": text.topic, "payload": text.text, "participant_identity": text.sender_identity}
