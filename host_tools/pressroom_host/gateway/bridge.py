"""A Bridge: one Session joined to one Room, for as long as the Session lives, over all its links.

It owns the Session and its timer, and hands things on: the device's messages and audio to the room, the room's to the
device. It answers to three sides: the Link (`text_came`, `binary_came`), the Leg (`audio_came`), the room (`on_...`).
"""

import asyncio
import os
import re
from collections.abc import Callable, Iterable
from typing import Any, Final

import structlog
from livekit.protocol import models, rtc

from pressroom.wire import session as wire_session
from pressroom.wire.messages import MAX_MESSAGE_BYTES, PROTO, MessageError, encode
from pressroom.wire.session import GatewaySession
from pressroom_host.room.tokens import AccessClaims, GrantMissing
from pressroom_host.room_listener import RoomListener

from .agent_keeper import AgentKeeper
from .downlink import Downlink
from .downlink_codecs import DOWNLINK_CODECS
from .first_words import FirstWords
from .link import Link
from .media import Leg, MediaPort
from .messenger import Messenger
from .renumber import Renumber
from .room_port import RoomParticipant, RoomPort
from .room_view import Message, RoomView
from .stats import SessionStats
from .tools import Tools
from .turns import START, Turns
from .uplink import UPLINK_CODECS, Uplink

_KIND_MEDIA: Final = 1
_TRACK_NAME: Final = "microphone"
_FOREVER_MS: Final = 60_000
_COUNTER: Final = re.compile(r"n_[a-z_]{1,30}|[a-z_]{1,30}_(ms|frames|bytes)")  # what a device may write into our log
_TRIMMED_FIELDS: Final = ("metadata", "attributes", "name")  # what a device can do without if a message is too long

Reason = models.DisconnectReason
Advertise = Callable[[Link], tuple[str, int]]  # where the device of this link sends its audio


class Bridge(RoomListener):
    """Made for a hello that was read and found good. on_over is called once, when `close` is to be called.

    agents: keeps the agent of this name in the room; "" where the device wants none.
    """

    def __init__(
        self,
        session_id: str,
        claims: AccessClaims,
        media: MediaPort,
        advertise: Advertise,
        now_ms: Callable[[], int],
        on_over: Callable[["Bridge"], None],
        agents: AgentKeeper,
        agent_name: str,
    ) -> None:
        self.session_id = session_id
        self.claims = claims
        self.stats = SessionStats()
        self.device_stats: dict[str, int] = {}  # what the device counted, as it told last
        self.codec_up = self.codec_down = ""  # of the present link
        self._log = structlog.get_logger(__name__).bind(ses=session_id)
        self._media = media
        self._advertise = advertise
        self._now_ms = now_ms
        self._on_over = on_over
        self._agents = agents
        self._agent_name = agent_name  # whom the device wants in its room; "": nobody
        self._session = GatewaySession(session_id, now_ms())
        self._view = RoomView(self.stats)
        self._messenger = Messenger(self._say, self._view, self.stats)
        self._tools = Tools()
        self._turns = Turns(self._call, self._tell_turn)
        self._messenger.on_answer = self._turn_answered
        self._downlink = Downlink(self.stats)
        self._uplink: Uplink | None = None  # None: the token does not let this device speak
        self._participant: RoomParticipant | None = None
        self._first_words: FirstWords | None = None  # and the track behind it
        self._link: Link | None = None
        self._leg: Leg | None = None
        self._max_message_bytes = MAX_MESSAGE_BYTES
        self._timer: asyncio.TimerHandle | None = None
        self._is_over = False

    # Its life.

    async def join(self, room: RoomPort) -> None:
        """Enter the room. Raises RoomUnavailable."""
        self._wait(self._now_ms())  # a Session that nobody is welcomed to expires too
        participant = self._participant = self._messenger.participant = await room.join(self.claims, self)
        try:
            track = await participant.publish_audio(_TRACK_NAME, models.TrackSource.MICROPHONE, muted=True)
        except GrantMissing as error:
            self._log.info("listens only", why=str(error))
        else:
            numbers = Renumber(int.from_bytes(os.urandom(2), "big"), int.from_bytes(os.urandom(4), "big"), self.stats)
            self._first_words = FirstWords(track, numbers.header_now)
            self._uplink = Uplink(self._first_words, numbers, self.stats)
        if self._agent_name:
            self._agents.enters(self.claims.room, self._agent_name, self._tell_called)
            self._agents.has_agent(self.claims.room, self._turns.has_agent)
        self._log.info("joined", room=self.claims.room, identity=self.claims.identity)

    def attach(self, link: Link, hello: Message) -> None:
        """A link has greeted, the first or one that resumes: welcome it, and let go of the one before."""
        is_resumed = self.stats.n_links > 0
        self._let_go_of_link()
        now_ms = self._now_ms()
        self._link = link
        self.stats.n_links += 1
        caps = hello["caps"]
        self._max_message_bytes = min(caps["max_message_bytes"], MAX_MESSAGE_BYTES)
        self.codec_up = chosen_codec(caps["up"], UPLINK_CODECS) or ""
        self.codec_down = chosen_codec(caps["dn"], DOWNLINK_CODECS) or ""
        codec_down = DOWNLINK_CODECS[self.codec_down]()
        self._leg = Leg(self._media, self, self.codec_up, codec_down, self.stats, os.urandom)
        if self._uplink is not None:
            self._uplink.open_link(self.codec_up, now_ms)
        self._downlink.open_link(self._leg)
        welcome = {
            "t": "welcome",
            "proto": PROTO,
            "session": self.session_id,
            "resumed": is_resumed,
            "room": self.claims.room,
            "identity": self.claims.identity,
            "media": self._leg.settings(*self._advertise(link)),
        }
        self._session.welcome(welcome, hello.get("muted", True), now_ms)
        self._log.info(
            "welcomed",
            resumed=is_resumed,
            fw=hello["fw"],
            board=hello["board"],
            up=self.codec_up,
            dn=self.codec_down,
        )
        self._say_all(self._view.everything())
        self._settle()

    def detach(self, link: Link) -> None:
        """A link is closed, whoever closed it; one that was replaced says nothing about the Session."""
        if link is self._link:
            self._let_go_of_link()
            self._turns.link_lost()
            self._session.link_lost(self._now_ms())
            self._settle()

    def leave(self, action: str, reason: str, message: str) -> None:
        """End the Session, and tell the device why and what to do."""
        if self._is_over:
            return
        self._session.leave(action, reason, message, self._now_ms())
        self._log.info("ended by us", reason=reason)
        self._send_messages()
        self._end()

    async def close(self, reason: Reason = Reason.CLIENT_INITIATED) -> None:
        """Leave the room and let go of everything. Safe to call twice."""
        self._end()
        if self._participant is not None:
            await self._participant.leave(reason)

    # What the link brings.

    def text_came(self, link: Link, text: str) -> None:
        """A text frame came; of a link that was replaced it says nothing."""
        if link is self._link:
            self._session.receive(text, self._now_ms())
            self._settle()

    def binary_came(self, link: Link, frame: bytes) -> None:
        """A binary frame came: its first byte is its kind."""
        if link is not self._link:
            return
        if self._leg is not None and frame[:1] == bytes((_KIND_MEDIA,)):
            self._leg.packet_came_inside(frame[1:])
        else:
            self.stats.n_messages_refused += 1

    # What the Leg brings.

    def audio_came(self, packet: bytes) -> None:
        """A plain packet of audio came."""
        if self._uplink is None:
            self.stats.n_up_unpublished += 1
            return
        now_ms = self._now_ms()
        end_timestamp = self._uplink.audio_came(packet, now_ms)
        if end_timestamp is not None:
            self._session.audio_heard(end_timestamp, now_ms)
            for event in self._session.events():
                self._handle(event, now_ms)

    def keepalive_came(self, packet: bytes) -> None:
        """A keepalive came, and was answered."""
        if self._uplink is not None:
            self._uplink.keepalive_came(packet, self._now_ms())

    def send_inside(self, packet: bytes) -> bool:
        """Send audio inside the WebSocket."""
        return self._link is not None and self._link.send_packet(packet)

    # What the room brings (RoomListener).

    def on_participant(self, info: models.ParticipantInfo) -> None:
        """Another participant joined or changed."""
        self._turns.participant(info)
        self._answer_first_words(self._now_ms())
        self._agents.has_agent(self.claims.room, self._turns.has_agent)
        self._say_all(self._view.participant(info))

    def on_participant_left(self, info: models.ParticipantInfo) -> None:
        """Another participant is gone."""
        self._turns.participant_left(info.sid)
        self._agents.has_agent(self.claims.room, self._turns.has_agent)
        self._messenger.left(info.identity)
        self._say_all(self._view.participant_left(info))

    def on_track(self, info: models.ParticipantInfo, track: models.TrackInfo) -> None:
        """Another participant publishes a track."""
        if track.type == models.TrackType.AUDIO:
            self._downlink.mixer.add(track.sid, track.muted)
        self._say_all(self._view.track(info, track))

    def on_track_gone(self, track_sid: str) -> None:
        """No packet of this track will come any more."""
        self._downlink.mixer.remove(track_sid)
        self._say_all(self._view.track_gone(track_sid))

    def on_track_muted(self, track_sid: str, muted: bool) -> None:
        """Another participant has muted or unmuted its track."""
        self._downlink.mixer.set_muted(track_sid, muted)
        self._say_all(self._view.track_muted(track_sid, muted))

    def on_rtp(self, track_sid: str, packet: bytes) -> None:
        """A packet of audio came from another participant."""
        now_ms = self._now_ms()
        self._downlink.mixer.rtp_came(track_sid, packet, now_ms)
        self._downlink.send_due(now_ms)
        self._wait(now_ms)

    def on_data(self, packet: models.DataPacket) -> None:
        """Data, a call, or the answer to one."""
        is_reachable = self._session.state == wire_session.READY
        self._messenger.room_said(packet, is_reachable, self._now_ms())
        self._settle()

    def on_mute_requested(self, track_sid: str, muted: bool) -> None:
        """The room may silence the device, but never opens its microphone."""
        words = self._first_words
        if muted and self._uplink is not None and words is not None and track_sid == words.sid:
            self._uplink.stop(self._now_ms())
            self._say_all([{"t": "mute", "muted": True}])

    def on_speakers(self, speakers: list[models.SpeakerInfo]) -> None:
        """Participants have begun or stopped to speak."""
        self._say_all(self._view.speakers({speaker.sid: speaker.active for speaker in speakers}))

    def on_connection_quality(self, updates: list[rtc.ConnectionQualityInfo]) -> None:
        """Participants are reached better or worse, the gateway in the place of this device among them."""
        qualities = {update.participant_sid: models.ConnectionQuality.Name(update.quality) for update in updates}
        self._say_all(self._view.qualities(qualities))
        participant = self._participant
        if participant is not None and participant.sid in qualities:
            me = {"identity": self.claims.identity, "sid": participant.sid, "state": "ACTIVE"}
            self._say_all([{"t": "participant", **me, "quality": qualities[participant.sid]}])

    def on_reconnecting(self, why: str) -> None:
        """The room is out of reach."""
        self._log.info("room out of reach", why=why)
        self._say_all(self._view.away(True))

    def on_reconnected(self) -> None:
        """The room is there again."""
        self._log.info("room there again")
        self._say_all(self._view.away(False))

    def on_removed(self, reason: int) -> None:
        """The room has let go of the device."""
        if self._is_over:
            return
        if reason == Reason.DUPLICATE_IDENTITY:
            self.leave("DISCONNECT", "DUPLICATE_IDENTITY", "another device joined as this one; give each its own token")
        elif reason == Reason.JOIN_FAILURE:
            self.leave("RECONNECT", "ROOM_UNAVAILABLE", "the LiveKit server does not let this device in any more")
        elif reason in (Reason.PARTICIPANT_REMOVED, Reason.ROOM_DELETED):
            self.leave("DISCONNECT", Reason.Name(reason), "the room has sent this device away")
        else:
            self.leave("RECONNECT", "SERVER_SHUTDOWN", "the room was closed")

    # What the Session says.

    def _settle(self) -> None:
        """After every call that changes the Session: send what it has to say, do what it asks, wait as it says."""
        now_ms = self._now_ms()
        self._send_messages()
        for event in self._session.events():
            self._handle(event, now_ms)
        self._send_messages()
        self._wait(now_ms)

    def _send_messages(self) -> None:
        for text in self._session.messages_to_send():
            if self._link is not None:
                self._link.send_text(text)

    def _handle(self, event: Any, now_ms: int) -> None:
        kind = event.kind
        if kind == wire_session.UNMUTED:
            self._start_talk(event.value, now_ms)
        elif kind == wire_session.MUTED:
            self._end_talk(now_ms)
        elif kind == wire_session.FLUSHED:
            self._flush()
        elif kind == wire_session.MESSAGE:
            self._take_message(event.value, now_ms)
        elif kind == wire_session.LINK_DEAD:
            self._turns.link_lost()
            self._log.info("link is silent")
            self._let_go_of_link()
        elif kind == wire_session.LINK_DOWN:
            self._log.info("link lost")
        elif kind in (wire_session.EXPIRED, wire_session.LEFT):
            self._log.info("ended", why=kind)
            self._end()

    def _start_talk(self, timestamp: int, now_ms: int) -> None:
        if self._uplink is None or self._first_words is None:
            return
        self._first_words.talk_began(is_kept=bool(self._agent_name) and not self._turns.has_agent)
        self._turns.pressed(now_ms)
        end_timestamp = self._uplink.start(timestamp, now_ms)
        if end_timestamp is not None:
            self._session.audio_heard(end_timestamp, now_ms)

    def _end_talk(self, now_ms: int) -> None:
        if self._uplink is not None and self._first_words is not None:
            self._uplink.stop(now_ms)
            self._first_words.talk_ended(now_ms)
            self._turns.released(now_ms)
            self._answer_first_words(now_ms)
        self._log.info("talk ended", **self.stats.nonzero())

    def _take_message(self, message: Message, now_ms: int) -> None:
        if message["t"] == "stats":
            self.device_stats = message["values"]
            self._log.info("device", **{name: n for name, n in self.device_stats.items() if _COUNTER.fullmatch(name)})
        elif message["t"] == "tool":
            self._announce_tool(message)
        else:
            self._messenger.device_said(message, now_ms)

    def _announce_tool(self, message: Message) -> None:
        attributes = self._tools.told(message)
        if attributes is None:
            self.stats.n_messages_refused += 1
            self._log.warning("tool not announced", name=message["name"][:40], why="too long, or too many")
        elif attributes and self._participant is not None:
            self._participant.set_attributes(attributes)

    def _flush(self) -> None:
        self._downlink.mixer.flush()
        if self._link is not None:
            self._link.flush_packets()

    # Turns.

    def _answer_first_words(self, now_ms: int) -> None:
        """The agent has come: what was said before is its first turn."""
        words, uplink = self._first_words, self._uplink
        if words is None or uplink is None or uplink.is_open or self._turns.is_open:
            return
        if self._turns.has_agent and words.has_words(now_ms) and not words.is_playing:
            self._turns.pressed(now_ms)

    def _call(self, identity: str, method: str, timeout_ms: int) -> None:
        self._messenger.call(identity, method, timeout_ms, self._now_ms())

    def _turn_answered(self, method: str, payload: str, code: int) -> None:
        self._log.info("turn", method=method, code=code, n_chars=len(payload))
        now_ms = self._now_ms()
        self._turns.answered(method, payload, code, now_ms)
        words = self._first_words
        is_settled = method == START and (
            code == 0 or not self._turns.is_open
        )  # an agent without turns just hears them
        if is_settled and words is not None and words.has_words(now_ms) and not words.is_playing:
            words.play(now_ms)
            self._wait(now_ms)

    def _tell_called(self, agent_name: str) -> None:
        self._say_all([{"t": "state", "agent": "disconnected", "message": f"{agent_name} is being called"}])

    def _tell_turn(self, outcome: str) -> None:
        self._say_all([{"t": "state", "turn": outcome}])

    # Saying things.

    def _say_all(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self._say(message)
        self._send_messages()

    def _say(self, message: Message) -> bool:
        """Queue a message, without what the device can do without if it is too long; False if it cannot be said."""
        if self._session.state != wire_session.READY:
            return False  # a new link is told everything
        for field in (None, *_TRIMMED_FIELDS):
            message = {key: value for key, value in message.items() if key != field}
            if self._fits(message):
                return self._session.send(message)
        self.stats.n_messages_too_long += 1
        return False

    def _fits(self, message: Message) -> bool:
        try:
            return len(encode(message).encode()) <= self._max_message_bytes
        except MessageError:
            return False

    # Time, and the end.

    def _wait(self, now_ms: int) -> None:
        """Have `_poll` called when the first of them has something to do; a timer that is early enough stays."""
        if self._is_over:
            return
        wait_ms = min(
            self._session.next_timeout_ms(now_ms),
            self._downlink.mixer.next_timeout_ms(now_ms),
            self._messenger.next_timeout_ms(now_ms),
            self._turns.next_timeout_ms(now_ms),
            self._first_words.next_timeout_ms(now_ms) if self._first_words is not None else _FOREVER_MS,
        )
        loop = asyncio.get_running_loop()
        at_s = loop.time() + (wait_ms + 1) / 1000  # a millisecond later, so that it is not early by less than one
        if self._timer is not None:
            if self._timer.when() <= at_s:
                return
            self._timer.cancel()
        self._timer = loop.call_at(at_s, self._poll)

    def _poll(self) -> None:
        self._timer = None
        now_ms = self._now_ms()
        self._session.poll(now_ms)
        self._downlink.mixer.poll(now_ms)
        self._downlink.send_due(now_ms)
        self._messenger.poll(now_ms)
        self._turns.poll(now_ms)
        if self._first_words is not None and self._first_words.poll(now_ms):
            self._turns.released(now_ms)
        self._settle()

    def _let_go_of_link(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()
        if self._leg is not None:
            self._leg.close()
            self._leg = None
        self._downlink.close_link()

    def _end(self) -> None:
        """Safe to call twice."""
        if self._is_over:
            return
        self._is_over = True
        if self._timer is not None:
            self._timer.cancel()
        if self._uplink is not None:
            self._uplink.stop(self._now_ms())
        self._agents.leaves(self.claims.room, self._tell_called)
        self._let_go_of_link()
        self._log.info("closed", **self.stats.nonzero())
        self._on_over(self)


def chosen_codec(offered: Iterable[str], known: Iterable[str]) -> str | None:
    """Return the first codec of a device's list that the gateway knows: the device says what it likes best."""
    return next((codec for codec in offered if codec in known), None)
