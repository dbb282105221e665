"""A track this client publishes: Opus as it is. It lives as long as its room, over all connections."""

import asyncio
import secrets
import struct
from collections import deque
from collections.abc import Callable

from livekit.protocol import models, rtc

from pressroom_host.webrtc.send_stream import SILENT_DBOV, SendStream

from .errors import PublishRefused

_FRAME_TICKS = 960  # 20 ms at 48 kHz
_TICKS_PER_S = 48_000
_MARKER = 0x80
_HEADER = struct.Struct(">BBHII")  # RFC 3550 section 5.1
_DTX_BYTES = 2  # RFC 6716: a packet this short is silence
_SPEECH_DBOV = 30  # what is said of a packet whose level nobody knows
_MAX_HELD_PACKETS = 50
_BEFORE_MUTE_S = 0.01


class Publication:
    """Made by `LiveKitRoom.publish_opus`. sid: LiveKit's TR_...; it changes when the room is joined anew.

    Signalling and media overtake each other, and a server drops what comes while the track is muted. So after an unmute
    packets are held until the server has taken it, and a mute is told a moment after the last packet.
    """

    def __init__(
        self, name: str, source: models.TrackSource, muted: bool, on_change: Callable[["Publication"], None]
    ) -> None:
        self.name = name
        self.source = source
        self.is_muted = muted
        self.is_published = True  # wanted; False once it was unpublished
        self.cid = f"TR_{secrets.token_hex(8)}"
        self.info = models.TrackInfo()
        self.mid = ""  # of the present connection
        self.n_not_sent = 0  # there was no connection
        self._sender: SendStream | None = None
        self._on_change = on_change
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._is_heard = asyncio.Event()
        self._mute_timer: asyncio.TimerHandle | None = None
        self._held: deque[tuple[bytes, int]] | None = None
        self._now_s = asyncio.get_running_loop().time
        self._seq = secrets.randbelow(2**15)  # of send_opus
        self._timestamp = secrets.randbelow(2**32)
        self._said_at_s = 0.0

    @property
    def sid(self) -> str:
        """LiveKit's identifier, TR_...; "" before the server has given one."""
        return self.info.sid

    async def published(self) -> None:
        """Return once the server has taken the track. Raises PublishRefused."""
        await asyncio.shield(self._done)

    async def subscribed(self) -> None:
        """Return once somebody hears the track; what was said before reaches nobody."""
        await self._is_heard.wait()

    def send_rtp(self, packet: bytes, level_dbov: int | None = None) -> None:
        """Send one RTP packet: 12 bytes of header, of which sequence number, timestamp and marker count, and Opus.

        level_dbov: RFC 6464, 0 the loudest to 127; None: not known, so a guess. Numbers may begin anew at any time.
        """
        if level_dbov is None:
            level_dbov = SILENT_DBOV if len(packet) <= 12 + _DTX_BYTES else _SPEECH_DBOV
        if self._held is not None:
            if len(self._held) == _MAX_HELD_PACKETS:
                self._held.popleft()
                self.n_not_sent += 1
            self._held.append((packet, level_dbov))
        elif self._sender is None:
            self.n_not_sent += 1
        else:
            self._sender.send_rtp(packet, level_dbov, self._now_s())

    def send_opus(self, opus: bytes, n_ticks: int = _FRAME_TICKS, level_dbov: int | None = None) -> None:
        """Send one Opus packet, which follows the one before in time. n_ticks: its duration at 48 kHz."""
        now_s = self._now_s()
        n_paused_ticks = round((now_s - self._said_at_s) * _TICKS_PER_S) - n_ticks
        begins_spurt = n_paused_ticks > 2 * n_ticks
        if begins_spurt:
            self._timestamp = (self._timestamp + n_paused_ticks) & 0xFFFFFFFF
        header = _HEADER.pack(0x80, _MARKER if begins_spurt else 0, self._seq, self._timestamp, 0)
        self._seq = (self._seq + 1) & 0xFFFF
        self._timestamp = (self._timestamp + n_ticks) & 0xFFFFFFFF
        self._said_at_s = now_s
        self.send_rtp(header + opus, level_dbov)

    def set_muted(self, muted: bool) -> None:
        """Tell everybody that this track is silent, or that it is not."""
        if self.is_muted == muted:
            return
        self.is_muted = muted
        if self._mute_timer is not None:
            self._mute_timer.cancel()
            self._mute_timer = None
        if muted:
            self._mute_timer = asyncio.get_running_loop().call_later(_BEFORE_MUTE_S, self._on_change, self)
        else:
            if self._sender is not None:
                self._held = deque()
            self._on_change(self)

    def unpublish(self) -> None:
        """Take the track out of the room. Safe to call twice."""
        if self.is_published:
            self.is_published = False
            self._on_change(self)

    # For the room.

    def add_track_request(self) -> rtc.AddTrackRequest:
        """Return what asks the server for the track."""
        return rtc.AddTrackRequest(
            cid=self.cid,
            name=self.name,
            type=models.TrackType.AUDIO,
            source=self.source,
            muted=self.is_muted,
            disable_red=True,
        )

    def accepted(self, info: models.TrackInfo) -> None:
        """The server has taken the track."""
        self.info = info
        if not self._done.done():
            self._done.set_result(None)

    def refused(self, why: str) -> None:
        """The server does not take it."""
        self.is_published = False
        if not self._done.done():
            self._done.set_exception(PublishRefused(why))
            self._done.exception()  # also where nobody waits

    def heard(self) -> None:
        """The server says that somebody is subscribed."""
        self._is_heard.set()

    def attach(self, sender: SendStream | None) -> SendStream | None:
        """Packets go to this sender from now on; return the one before."""
        before, self._sender = self._sender, sender
        if sender is None:
            self.release()
        return before

    @property
    def sender(self) -> SendStream | None:
        """The stream of the present connection."""
        return self._sender

    def release(self) -> None:
        """The server has taken the unmute: what was held goes out."""
        held, self._held = self._held, None
        for packet, level_dbov in held or ():
            self.send_rtp(packet, level_dbov)
