"""One Session joined to one Room: what a device says and hears, and what is told either way.

It outlives the links under its Session, and ends when the device leaves, is missed for 30 s, or the room removes it.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Protocol

import structlog
from livekit.protocol import models

from pressroom.wire import rtp
from pressroom.wire.messages import MAX_MESSAGE_BYTES, PROTO, MessageError, encode
from pressroom.wire.session import (
    EXPIRED,
    FLUSHED,
    LEFT,
    LINK_DEAD,
    LINK_DOWN,
    MESSAGE,
    MUTED,
    READY,
    UNMUTED,
    Event,
    GatewaySession,
)
from pressroom_host.room.tokens import AccessClaims

from .audio import FRAME_BYTES, swap_bytes
from .downlink import Downlink
from .media import Leg, MediaPort
from .room_port import RoomParticipant, RoomPort, RoomTrack
from .rpc import RpcTable
from .uplink import Uplink

log = structlog.get_logger(__name__)

Message = dict[str, Any]

UPLINK_CODECS = ("opus", "l16")  # in the order in which the gateway prefers them
DOWNLINK_CODECS = ("l16",)

_TRACK_NAME = "microphone"
_L16_TICKS_PER_FRAME = 320
_SRTP_TAG_BYTES = 10
_DOWNLINK_BYTES = rtp.HEADER_BYTES + FRAME_BYTES + _SRTP_TAG_BYTES
_MAX_ATTRIBUTES_BYTES = 1_024
_AGENT_STATE = "lk.agent.state"


class Link(Protocol):
    """The WebSocket under a Session. Nothing here blocks: what it cannot take it drops and counts, or it closes."""

    def send_text(self, text: str) -> None:
        """Send a message."""

    def send_binary(self, frame: bytes) -> None:
        """Send media."""

    def close(self) -> None:
        """Close, after what was sent is out. Safe to call twice."""


class Bridge:
    """Made by the DeviceServer once a hello was found good. on_ended(bridge) is called once."""

    def __init__(
        self, session_id: str, claims: AccessClaims, media_port: MediaPort, on_ended: Callable[["Bridge"], None]
    ) -> None:
        self.claims = claims
        self.session = GatewaySession(session_id, _now_ms())
        self.uplink: Uplink | None = None
        self.downlink = Downlink(self._send_frame)
        self.leg: Leg | None = None
        self.n_undelivered_frames = 0  # for a device without a link
        self.n_long_messages = 0  # too long for the device
        self.device_stats: dict[str, int] = {}
        self.codec_up = self.codec_down = ""  # of the present welcome
        self._media_port = media_port
        self._on_ended = on_ended
        self._link: Link | None = None
        self._participant: RoomParticipant | None = None
        self._track: RoomTrack | None = None
        self._others: set[str] = set()
        self._rpc = RpcTable(self._tell, self._send_data, self._others.__contains__)
        self._max_message_bytes = MAX_MESSAGE_BYTES
        self._timer: asyncio.TimerHandle | None = None
        self._tick: asyncio.TimerHandle | None = None
        self._leaving: asyncio.Task[None] | None = None
        self._is_ended = False
        self._log = log.bind(ses=session_id[:8])

    async def join(self, port: RoomPort) -> None:
        """Bring the device into its room. Raises room.tokens.GrantMissing."""
        self._participant = await port.join(self.claims, self)
        self._track = self._participant.publish_audio(_TRACK_NAME)
        self.uplink = Uplink(self._track)
        self._log.info("joined", room=self.claims.room, identity=self.claims.identity)

    def attach(self, link: Link, hello: Message, media_address: tuple[str, int], is_resumed: bool) -> None:
        """A link whose hello asked for this Session: it gets fresh media and replaces the one before."""
        assert self._participant is not None and self.uplink is not None
        old_link, self._link = self._link, link
        if old_link is not None:
            old_link.close()
        if self.leg is not None:
            self.leg.close()
        self.codec_up = next(codec for codec in UPLINK_CODECS if codec in hello["caps"]["up"])
        self.codec_down = next(codec for codec in DOWNLINK_CODECS if codec in hello["caps"]["dn"])
        self.leg = Leg(
            self._media_port,
            rtp.PT_L16,
            _L16_TICKS_PER_FRAME,
            _DOWNLINK_BYTES,
            self._on_audio,
            self._on_keepalive,
            link.send_binary,
        )
        self.uplink.begin_stream()
        self._max_message_bytes = min(hello["caps"]["max_message_bytes"], MAX_MESSAGE_BYTES)
        welcome = {
            "t": "welcome",
            "proto": PROTO,
            "session": self.session.session_id,
            "resumed": is_resumed,
            "room": self._participant.room_name,
            "identity": self._participant.identity,
            "media": self.leg.settings(*media_address, self.codec_up, self.codec_down),
        }
        self.session.welcome(welcome, hello.get("muted", True), _now_ms())
        self._settle()

    def receive_text(self, link: Link, text: str) -> None:
        """A message came over that link."""
        if link is self._link:
            self.session.receive(text, _now_ms())
            self._settle()

    def receive_media(self, link: Link, packet: bytes) -> None:
        """An RTP packet came inside that link."""
        if link is self._link and self.leg is not None:
            self.leg.receive_frame(packet)

    def link_lost(self, link: Link) -> None:
        """That link is closed. Of a link that was replaced this is no news."""
        if link is self._link:
            self._link = None
            self.session.link_lost(_now_ms())
            self._settle()

    def leave(self, action: str, reason: str, text: str) -> None:
        """End the Session from here, and tell the device why and what to do."""
        self.session.leave(action, reason, text, _now_ms())
        self._settle()
        self._end(models.DisconnectReason.SERVER_SHUTDOWN)

    async def closed(self) -> None:
        """Return once the room has been left."""
        if self._leaving is not None:
            await self._leaving

    def stats(self) -> dict[str, int]:
        """Return what was counted; names as in the logs."""
        uplink, leg = self.uplink, self.leg
        counts = {
            "dn_sent": self.downlink.n_sent,
            "dn_lost": self.downlink.n_lost,
            "dn_late": self.downlink.n_late,
            "dn_dropped": self.downlink.n_dropped,
            "dn_undelivered": self.n_undelivered_frames,
        }
        if uplink is not None:
            counts.update(up_frames=uplink.n_forwarded, up_lost=uplink.n_lost, up_late=uplink.n_late)
        if leg is not None:
            counts.update(refused=leg.n_refused, moved=leg.n_moved)
        return counts

    # What the room says.

    def on_participant(self, info: models.ParticipantInfo) -> None:
        """Another participant joined or changed."""
        self._others.add(info.identity)
        self._tell_participant(info, "active")
        if _AGENT_STATE in info.attributes:
            self._tell({"t": "state", "agent": info.attributes[_AGENT_STATE]})

    def on_participant_left(self, info: models.ParticipantInfo) -> None:
        """Another participant is gone."""
        self._others.discard(info.identity)
        self._tell_participant(info, "disconnected")

    def on_track(self, info: models.ParticipantInfo, track: models.TrackInfo) -> None:
        """Another participant publishes a track."""
        self._tell(
            {
                "t": "track",
                "sid": track.sid,
                "participant": info.identity,
                "kind": models.TrackType.Name(track.type).lower(),
                "muted": track.muted,
                "subscribed": True,
                "name": track.name[:64],
                "source": models.TrackSource.Name(track.source).lower(),
            }
        )

    def on_track_gone(self, track_sid: str) -> None:
        """That track is heard no more."""
        self.downlink.forget(track_sid)

    def on_track_muted(self, track_sid: str, muted: bool) -> None:
        """Nothing: who is muted sends nothing."""

    def on_rtp(self, track_sid: str, packet: bytes) -> None:
        """A packet of a talker."""
        self.downlink.receive(track_sid, packet, time.monotonic())
        if self._tick is None and self.downlink.next_tick_s is not None:
            self._schedule_tick()

    def on_data(self, packet: models.DataPacket) -> None:
        """Data for the device."""
        kind = packet.WhichOneof("value")
        if kind == "user":
            text = packet.user.payload.decode(errors="replace")
            self._tell({"t": "data", "payload": text, "topic": packet.user.topic})
        elif kind == "rpc_request":
            self._rpc.handle_request(packet.participant_identity, packet.rpc_request)
        elif kind == "rpc_response":
            self._rpc.handle_response(packet.rpc_response)

    def on_mute_requested(self, track_sid: str, muted: bool) -> None:
        """The room wants the device to be silent; it learns so, and whether it obeys is up to its user."""
        self._tell({"t": "mute", "muted": muted})

    def on_removed(self, reason: int) -> None:
        """The room has let go of us."""
        if reason == models.DisconnectReason.DUPLICATE_IDENTITY:
            self.leave("DISCONNECT", "DUPLICATE_IDENTITY", "another participant joined with this identity")
        elif not self._is_ended:
            self.leave("RECONNECT", "REMOVED", "the room removed this participant")

    # What the device says.

    def _on_audio(self, packet: bytes) -> None:
        assert self.uplink is not None
        end_timestamp = self.uplink.receive(packet, time.monotonic())
        if end_timestamp is not None:
            self.session.audio_heard(end_timestamp, _now_ms())
            for event in self.session.events():
                self._handle(event)

    def _on_keepalive(self, seq: int) -> None:
        assert self.uplink is not None
        self.uplink.skip(seq, time.monotonic())

    def _handle(self, event: Event) -> None:
        assert self._track is not None and self.uplink is not None
        kind, value = event.kind, event.value
        if kind == UNMUTED:
            assert isinstance(value, int)
            self._track.set_muted(False)
            self.uplink.unmute(value, time.monotonic())
        elif kind == MUTED:
            self.uplink.mute(time.monotonic())
            self._track.set_muted(True)
        elif kind == FLUSHED:
            self.downlink.flush()
        elif kind == MESSAGE:
            assert isinstance(value, dict)
            self._handle_message(value)
        elif kind in (LINK_DEAD, LINK_DOWN):
            self._log.info("link lost", **self.stats())
            if self._link is not None:
                self._link.close()
                self._link = None
        elif kind == EXPIRED:
            self._end(models.DisconnectReason.CONNECTION_TIMEOUT)
        elif kind == LEFT:
            self._end(models.DisconnectReason.CLIENT_INITIATED)

    def _handle_message(self, message: Message) -> None:
        if message["t"] == "rpc":
            self._rpc.handle_call(message)
        elif message["t"] == "rpc_result":
            self._rpc.handle_result(message)
        elif message["t"] == "stats":
            self.device_stats = message["values"]
            self._log.info("device", **dict(sorted(self.device_stats.items())[:24]))
        elif message["t"] == "data":
            user = models.UserPacket(payload=message["payload"].encode(), topic=message.get("topic", ""))
            self._send_data(
                models.DataPacket(user=user, destination_identities=message.get("destination_identities", []))
            )

    def _send_data(self, packet: models.DataPacket) -> None:
        if self._participant is not None:
            self._participant.send_data(packet, reliable=True)

    def _tell(self, message: Message) -> bool:
        """Send a message if the device can take it."""
        try:
            if len(encode(message).encode()) <= self._max_message_bytes:
                is_sent = self.session.send(message)
                self._settle()
                return is_sent
        except MessageError:  # longer than any device takes
            pass
        self.n_long_messages += 1
        return False

    def _tell_participant(self, info: models.ParticipantInfo, state: str) -> None:
        message = {"t": "participant", "identity": info.identity, "sid": info.sid, "state": state}
        attributes = dict(info.attributes)
        if sum(len(key) + len(value) for key, value in attributes.items()) <= _MAX_ATTRIBUTES_BYTES:
            message["attributes"] = attributes  # type: ignore[assignment]
        self._tell({**message, "name": info.name[:64]})

    def _send_frame(self, pcm: bytes, n_skipped: int, is_marked: bool) -> None:
        if self.leg is None or self.session.state != READY:
            self.n_undelivered_frames += 1
            return
        if n_skipped:
            self.leg.skip_time(n_skipped)
        self.leg.send_audio(swap_bytes(pcm), is_marked)

    def _schedule_tick(self) -> None:
        at_s = self.downlink.next_tick_s
        if at_s is None:
            self._tick = None
            return
        self._tick = asyncio.get_running_loop().call_later(max(0.0, at_s - time.monotonic()), self._on_tick)

    def _on_tick(self) -> None:
        self.downlink.tick(time.monotonic())
        self._schedule_tick()

    def _settle(self) -> None:
        """After every call that changes the Session: send, handle, and wake up in time."""
        for text in self.session.messages_to_send():
            if self._link is not None:
                self._link.send_text(text)
        for event in self.session.events():
            self._handle(event)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._is_ended:
            wait_s = self.session.next_timeout_ms(_now_ms()) / 1_000
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.session.poll(_now_ms())
        self._settle()

    def _end(self, reason: models.DisconnectReason) -> None:
        if self._is_ended:
            return
        self._is_ended = True
        self._log.info("ended", why=models.DisconnectReason.Name(reason), **self.stats())
        for timer in (self._timer, self._tick):
            if timer is not None:
                timer.cancel()
        self._rpc.close()
        if self.leg is not None:
            self.leg.close()
        if self._link is not None:
            self._link.close()
            self._link = None
        if self._participant is not None:
            self._leaving = asyncio.get_running_loop().create_task(self._participant.leave(reason))
        self._on_ended(self)


def _now_ms() -> int:
    return int(time.monotonic() * 1_000) & 0x3FFFFFFF
