"""Microphone to network, 20 ms at a time. Allocates when made, never per frame.

     state    a frame comes                                    leaves when
     MUTED    it joins the pre-roll, the oldest drops out      start_talk            -> TALKING
     TALKING  it is sent, after the pre-roll                   end_talk              -> ENDING
     ENDING   it is sent                                       the last one was sent -> MUTED

RTP time runs with the microphone in every state: the timestamp of `rtp_out` is that of the oldest frame that waits.
Without media (the link is lost) a talk keeps its newest pre-roll; what drops out of that is lost and counted.
"""

from ..wire.port import const
from ..wire.rtp import HEADER_BYTES
from ..wire.seq import timestamp_after
from ..wire.srtp import TAG_BYTES

MUTED = 0
TALKING = 1
ENDING = 2

_MAX_FRAME_BYTES = const(640)  # L16; whatever else there is, is shorter
_BURST_FRAMES = const(6)  # a poll; more would fill the Wi-Fi queue and hold up the loop
_SLACK_FRAMES = const(5)  # what one poll of the microphone can hand over, and one more


class Uplink:
    """Sends what the microphone hears while the device talks, beginning with what was said just before.

    capture: `poll(now_ms)` -> n_new_frames, `frame(n_back)`, `n_frames_unread(now_ms)`, `n_frames_kept`.
    codec: see l16.py. media: `rtp_out` and `send(packet, n_bytes)`; with every welcome `open` is given both anew.
    """

    def __init__(self, capture, codec, preroll_frames):
        self.state = MUTED
        self.codec = codec
        self.n_sent_frames = 0
        self.n_lost_frames = 0  # said while there was no link
        self._capture = capture
        self._preroll_frames = preroll_frames
        self._media = None
        self._is_marked = False  # the next packet begins a talk
        self._n_waiting = 0  # whole frames not yet sent, the oldest first
        self._n_last = 0  # while ENDING: frames to send
        self._packet = bytearray(HEADER_BYTES + _MAX_FRAME_BYTES + TAG_BYTES)
        self._payload = memoryview(self._packet)[HEADER_BYTES:]

    @staticmethod
    def slots_for(preroll_frames):
        """Return the slots a Capture needs for this pre-roll."""
        return preroll_frames + _SLACK_FRAMES + 1

    @property
    def is_talking(self):
        """Is the device talking, as far as anybody else can tell?"""
        return self.state == TALKING

    def open(self, media, codec):
        """There is a link, and what its packets hold: a talk that is going on begins again with its pre-roll."""
        self._media = media
        self.codec = codec
        self._begin_stream()

    def close(self):
        """The link is lost."""
        self._media = None
        if self.state == ENDING:
            self.n_lost_frames += self._n_last
            self.state = MUTED

    def timestamp(self):
        """Return the RTP timestamp of the next sample to be sent; 0 without a link. Allocates."""
        return self._media.rtp_out.timestamp if self._media is not None else 0

    def start_talk(self, now_ms):
        """The button went down. Ask for `timestamp()`, then call `poll`: it sends the pre-roll."""
        self.poll(now_ms)
        self.state = TALKING
        self._begin_stream()

    def end_talk(self, now_ms):
        """The button went up. Returns the RTP timestamp just past the last sample that will be sent. Allocates."""
        self.poll(now_ms)
        if self._media is None:
            self.state = MUTED
        elif self.state == TALKING:
            self.state = ENDING
            self._n_last = self._n_waiting + self._capture.n_frames_unread(now_ms)
            return timestamp_after(self.timestamp(), self._n_last * self.codec.ticks_per_frame)
        return self.timestamp()

    def poll(self, now_ms):
        """Read the microphone and send what is due."""
        n_new = self._capture.poll(now_ms)
        while n_new:
            self._take_frame()
            n_new -= 1
        if self.state != MUTED and self._media is not None:
            self._send_waiting()

    def _begin_stream(self):
        self._is_marked = True
        self.codec.reset()

    def _take_frame(self):
        is_sending = self.state != MUTED and self._media is not None
        n_kept = self._capture.n_frames_kept if is_sending else self._preroll_frames
        self._n_waiting += 1
        while self._n_waiting > n_kept:
            self._n_waiting -= 1
            if self._media is not None:
                self._media.rtp_out.skip_frames(1)
            if self.state != MUTED:
                self.n_lost_frames += 1

    def _send_waiting(self):
        n_left = _BURST_FRAMES
        while self._n_waiting and n_left:
            n_left -= 1
            self._n_waiting -= 1
            n_bytes = HEADER_BYTES + self.codec.encode_into(self._capture.frame(self._n_waiting), self._payload)
            self._media.rtp_out.write_header_into(self._packet, self._is_marked)
            self._is_marked = False
            self._media.send(self._packet, n_bytes)
            self.n_sent_frames += 1
            if self.state == ENDING:
                self._n_last -= 1
                if not self._n_last:
                    self.state = MUTED
                    return
