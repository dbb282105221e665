"""The device: hold the button and talk; let it go and listen.

     LED              while
     error            the gateway refused us: a press tries again; or it offers media we cannot use;
                      for a second: the agent has heard nothing, or does not answer
     connecting       there is no gateway, or it has lost the room, whatever the button does
     talking          the button is held and heard
     thinking         the agent thinks; also from the release on, until it says what it does
     agent_speaking   somebody says something to us
     ready            none of these

One task reads the button, one keeps the link, one pumps the audio; none of them holds up the others.
"""

import asyncio
import gc

from ..wire.jitter import JitterBuffer
from ..wire.media_path import UDP, WEBSOCKET
from ..wire.messages import MAX_MESSAGE_BYTES
from ..wire.port import const
from ..wire.seq import ms_between
from ..wire.session import LEFT, REFUSED
from .answer import Answer
from .capture import Capture
from .controls import PushButton, StatusLed
from .downlink import Downlink
from .led_states import AGENT_SPEAKING, CONNECTING, ERROR, OFF, READY, TALKING, THINKING
from .link import Link
from .log import quoted
from .media import MAX_DATAGRAM_BYTES, MIN_DATAGRAM_BYTES, Media, NoUdp
from .room import Room
from .stats import Meter, Stats
from .tools import Tools
from .uplink import MUTED, Uplink

_PUMP_MS = const(5)
_FRAME_MS = const(20)
_JITTER_SLOTS = const(16)
_TARGET_FRAMES = const(2)  # 40 ms, and from 20 to 120 as the network asks
_MIN_FRAMES = const(1)
_MAX_FRAMES = const(6)
_MAX_PREROLL_MS = const(1_000)
_SESSION_CHARS = const(8)  # of its name: enough to find it in the gateway's log


class Settings:
    """What the owner of a device decides.

    pins: SHA-256 digests of certificates. mic_gain: in steps of 6 dB, 0 to 6. opus_bps: 16,000 to 64,000 by 400.
    """

    __slots__ = ("url", "token", "pins", "board", "fw", "preroll_ms", "full_duplex", "mic_gain", "volume", "opus_bps")

    def __init__(
        self, url, token, pins, board, fw, preroll_ms=200, full_duplex=False, mic_gain=4, volume=100, opus_bps=32_000
    ):
        self.url = url
        self.token = token
        self.pins = pins
        self.board = board
        self.fw = fw
        self.preroll_ms = preroll_ms
        self.full_duplex = full_duplex
        self.mic_gain = mic_gain
        self.volume = volume
        self.opus_bps = opus_bps

    def __repr__(self):
        return "Settings(url=%r, board=%r)" % (self.url, self.board)  # without the token


class Device:
    """A microphone, a loudspeaker, a button and an LED, in a Room.

    mic, speaker, button, led: see Capture, Downlink, PushButton, StatusLed. socket: see Link.
    open_udp(host, port, dn_len) -> what Media needs. now_ms(), random_bytes(n): see hal/clock.py.
    codecs_up, codecs_dn: what it can speak and hear, the best first; see l16.py. The gateway chooses from each.
    tools: what agents may have it do; see tools.py.
    """

    def __init__(
        self,
        mic,
        speaker,
        button,
        led,
        socket,
        open_udp,
        now_ms,
        random_bytes,
        codecs_up,
        codecs_dn,
        settings,
        log,
        tools=None,
    ):
        preroll_frames = max(0, min(settings.preroll_ms, _MAX_PREROLL_MS)) // _FRAME_MS
        self.room = Room()
        self._agents_answer = Answer(self.room)
        self._tools = tools or Tools()
        self._settings = settings
        self._open_udp = open_udp
        self._now_ms = now_ms
        self._random_bytes = random_bytes
        self._log = log
        self._socket = socket
        self._button = PushButton(button)
        self._led = StatusLed(led)
        self._capture = Capture(mic, Uplink.slots_for(preroll_frames), settings.mic_gain)
        self._codecs_up = codecs_up
        self._codecs_dn = codecs_dn
        self._uplink = Uplink(self._capture, codecs_up[0], preroll_frames)
        longest_bytes = max([codec.max_frame_bytes for codec in codecs_dn])
        jitter = JitterBuffer(_JITTER_SLOTS, longest_bytes, _TARGET_FRAMES, _MIN_FRAMES, _MAX_FRAMES)
        self._downlink = Downlink(jitter, codecs_dn[0], speaker)
        self._downlink.set_volume(settings.volume)
        self._media = None  # None while there is no gateway
        self._way = WEBSOCKET  # that of the media, as the log knows it
        self._is_collected = True  # the garbage of the last talk
        self._meter_up = Meter()
        self._meter_down = Meter()
        self._stats = Stats(now_ms())
        self._pumped_ms = now_ms()
        self._pump_gap_ms = 0
        self._link = Link(self._hello(), socket, settings, log, now_ms, random_bytes)

    async def run(self):
        """Until cancelled, or the Session has left."""
        tasks = [asyncio.create_task(self._link.run(self)), asyncio.create_task(self._follow_button())]
        try:
            while self._link.session.state != LEFT:
                self._pump()
                await asyncio.sleep_ms(_PUMP_MS)
                for task in tasks:
                    if task.done():
                        await task  # neither ever returns: this raises what ended it
        finally:
            for task in tasks:
                task.cancel()
            self._tools.stop()
            self.link_down(self._now_ms())
            self._socket.close()
            self._led.show(OFF)

    def stop(self):
        """Say good-bye; `run` returns. Safe to call twice."""
        self._link.leave("CLIENT_INITIATED", self._now_ms())

    # What the Link reports.

    def welcomed(self, message, now_ms):
        """There is a gateway; its keys and streams are new, also at a resume."""
        self.link_down(now_ms)
        self._log.session = message["session"][:_SESSION_CHARS]
        self.room.welcomed(message)
        settings = message["media"]
        codec_up = _named(settings["codec_up"], self._codecs_up)
        codec_dn = _named(settings["codec_dn"], self._codecs_dn)
        unusable = _why_unusable(codec_up, codec_dn, settings["dn_len"])
        if unusable:
            self._log.line("state=mute error=%s" % quoted(unusable), now_ms)
            return
        try:
            udp = self._open_udp(settings["host"], settings["port"], settings["dn_len"])
        except OSError as error:  # no such host, no route: the WebSocket carries the media
            self._log.line("udp=unusable error=%s" % quoted(error), now_ms)
            udp = NoUdp()
        self._media = Media(settings, codec_up, udp, self._socket, self._downlink, self._random_bytes, now_ms)
        self._uplink.open(self._media, codec_up)
        self._downlink.open(codec_dn, min(settings["dn_len"] - MIN_DATAGRAM_BYTES + 1, codec_dn.max_frame_bytes))
        self._meter_up.restart()
        self._meter_down.restart()
        self._log.line(
            "state=ready room=%s identity=%s resumed=%d up=%s dn=%s"
            % (quoted(message["room"]), quoted(message["identity"]), message["resumed"], codec_up.name, codec_dn.name),
            now_ms,
        )
        for tool in self._tools.messages():
            self._link.send(tool, now_ms)
        if self._uplink.is_talking:
            self._begin_talk(now_ms)

    def link_down(self, now_ms):
        """There is no gateway any more: what it sent is stale, what we say is lost."""
        self._uplink.close()
        self._downlink.flush()
        if self._media is not None:
            self._media.close()
            self._media = None

    def message_came(self, message, now_ms):
        """A message that is none of the Session's own."""
        name = message["t"]
        if name == "mute":
            if message["muted"]:  # the room may silence us, but never opens the microphone
                self._release(now_ms)
        elif name == "flush":
            self._downlink.flush()
        elif name == "config":
            self._configure(message["values"])
        elif name == "token":
            self._settings.token = message["token"]
        elif name == "rpc":
            self._tools.call(message, self._answer)
        else:
            self.room.handle(message)

    def _answer(self, message):
        """A tool has been called."""
        self._link.send(message, self._now_ms())

    def media_came(self, packet, now_ms):
        """A media packet came inside the WebSocket."""
        if self._media is not None:
            self._media.receive_inside(packet, now_ms)

    # The button.

    async def _follow_button(self):
        while True:
            is_held = await self._button.wait_change()
            now_ms = self._now_ms()
            if is_held:
                self._press(now_ms)
            else:
                self._link.is_held = False
                self._release(now_ms)

    def _press(self, now_ms):
        if self._downlink.is_playing:
            self._downlink.flush()
            self._link.flush(now_ms)
        self._downlink.is_silenced = not self._settings.full_duplex
        self._agents_answer.talk_began()
        self._uplink.start_talk(now_ms)
        self._link.pressed(now_ms)
        self._begin_talk(now_ms)
        self._show()

    def _begin_talk(self, now_ms):
        """Tell the gateway, and send the pre-roll at once."""
        self._link.set_muted(False, self._uplink.timestamp(), now_ms)
        if self._media is not None:
            self._media.path.set_talking(True, now_ms)
        self._uplink.poll(now_ms)
        self._log.line("talk=begin is_linked=%d" % self._link.is_ready, now_ms)

    def _release(self, now_ms):
        self._downlink.is_silenced = False
        if not self._uplink.is_talking:
            return
        self._link.set_muted(True, self._uplink.end_talk(now_ms), now_ms)
        if self._media is not None:
            self._media.path.set_talking(False, now_ms)
        self._is_collected = False
        self._agents_answer.talk_ended(now_ms)
        self._log.line(
            "talk=end n_sent=%d n_lost=%d" % (self._uplink.n_sent_frames, self._uplink.n_lost_frames), now_ms
        )
        self._show()

    # The audio.

    def _pump(self):
        """Move what there is to move. Allocates nothing while audio streams."""
        now_ms = self._now_ms()
        gap_ms = ms_between(self._pumped_ms, now_ms)
        if gap_ms > self._pump_gap_ms:
            self._pump_gap_ms = gap_ms
        self._pumped_ms = now_ms
        way = self._media.path.way if self._media is not None else WEBSOCKET
        if way != self._way:
            self._way = way
            self._log.line("media=%s" % ("udp" if way == UDP else "websocket"), now_ms)
        is_over_udp = way == UDP
        n_frames = self._uplink.n_sent_frames
        self._meter_up.begin()
        self._uplink.poll(now_ms)
        self._meter_up.end(self._uplink.n_sent_frames - n_frames, is_over_udp and self._uplink.is_talking)
        n_frames = self._downlink.n_played_frames
        self._meter_down.begin()
        if self._media is not None:
            self._media.poll(now_ms)
        self._downlink.poll(now_ms)
        self._meter_down.end(self._downlink.n_played_frames - n_frames, is_over_udp and self._downlink.is_playing)
        self._link.poll(now_ms)
        if not self._uplink.is_talking and self._agents_answer.poll(self._downlink.is_speaking, now_ms):
            self._log.line("talk=unanswered", now_ms)
        self._show()
        if self._uplink.state == MUTED and not self._is_collected:
            gc.collect()  # here, where nobody speaks, rather than by chance in the middle of a word
            self._is_collected = True
        if self._stats.is_due(now_ms):
            self._report(now_ms)

    def _show(self):
        if self._link.session.state == REFUSED:
            self._led.show(ERROR)
        elif self._media is None:
            self._led.show(ERROR if self._link.is_ready else CONNECTING)  # a welcome whose media we cannot use
        elif self.room.is_away:
            self._led.show(CONNECTING)
        elif self._uplink.is_talking:
            self._led.show(TALKING)
        elif self._agents_answer.has_failed:
            self._led.show(ERROR)
        elif self._downlink.is_speaking:
            self._led.show(AGENT_SPEAKING)
        elif self._agents_answer.is_awaited or self.room.agent_state == "thinking":
            self._led.show(THINKING)
        else:
            self._led.show(READY)

    def _report(self, now_ms):
        values = self._counters()
        self._pump_gap_ms = 0
        grown = self._stats.grown(values, now_ms)
        if self._link.is_ready:
            self._link.send({"t": "stats", "values": values}, now_ms)
        if grown:
            self._log.line(grown, now_ms)

    def _counters(self):
        jitter = self._downlink.jitter
        media = self._media
        session = self._link.session
        return {
            "n_sent": self._uplink.n_sent_frames,
            "n_lost_speech": self._uplink.n_lost_frames,
            "n_played": self._downlink.n_played_frames,
            "n_concealed": self._downlink.n_concealed_frames,
            "n_malformed": self._downlink.codec.n_malformed,
            "n_lost": jitter.n_lost,
            "n_late": jitter.n_late,
            "n_duplicate": jitter.n_duplicate,
            "n_reordered": jitter.n_reordered,
            "n_inserted": jitter.n_inserted,
            "n_dropped": jitter.n_dropped,
            "n_overflow": jitter.n_overflow,
            "n_forged": media.srtp_in.n_tag_failures if media else 0,
            "n_replayed": media.srtp_in.n_replayed if media else 0,
            "n_refused": media.n_refused_packets if media else 0,
            "n_fallbacks": media.path.n_fallbacks if media else 0,
            "n_links": self._link.n_links,
            "n_bad_messages": session.n_bad_messages,
            "n_metered": self._meter_up.n_frames + self._meter_down.n_frames,
            "n_alloc_bytes": self._meter_up.n_bytes + self._meter_down.n_bytes,
            "depth_frames": jitter.depth_frames,
            "pump_gap_ms": self._pump_gap_ms,
        }

    # Settings.

    def _configure(self, values):
        """Take what the gateway sets for now; a reboot brings back what is stored."""
        volume = values.get("volume")
        if isinstance(volume, int):
            self._downlink.set_volume(volume)
        mic_gain = values.get("mic_gain")
        if isinstance(mic_gain, int):
            self._capture.set_gain(mic_gain)
        opus_bps = values.get("opus_bps")
        if isinstance(opus_bps, int):
            self._set_bitrate(opus_bps)

    def _set_bitrate(self, opus_bps):
        opus = _named("opus", self._codecs_up)
        if opus is None:
            return
        try:
            opus.set_bitrate(opus_bps)
        except ValueError as error:
            self._log.line("opus_bps=unusable error=%s" % quoted(error), self._now_ms())

    def _hello(self):
        caps = {
            "up": [codec.name for codec in self._codecs_up],
            "dn": [codec.name for codec in self._codecs_dn],
            "max_message_bytes": MAX_MESSAGE_BYTES,
            "full_duplex": self._settings.full_duplex,
        }
        return {"fw": self._settings.fw, "board": self._settings.board, "caps": caps}


def _named(name, codecs):
    """Return the codec of that name, or None."""
    for codec in codecs:
        if codec.name == name:
            return codec
    return None


def _why_unusable(codec_up, codec_dn, dn_len):
    """Return what in the media of a welcome we cannot take, or None."""
    if codec_up is None or codec_dn is None:
        return "the gateway chose a codec that was not offered"
    if not MIN_DATAGRAM_BYTES <= dn_len <= MAX_DATAGRAM_BYTES:
        return "dn_len=%d is not from %d to %d" % (dn_len, MIN_DATAGRAM_BYTES, MAX_DATAGRAM_BYTES)
    return None
