"""Network to loudspeaker, 20 ms at a time. Allocates when made, never per frame.

The loudspeaker sets the pace: a frame is taken out of the jitter buffer once the one before is wholly in the driver's
hands. Between spurts nothing is written, and the driver plays silence by itself; a spurt begins with as much silence as
the driver takes, so that from its first frame on one is taken every 20 ms.
"""

from ..wire import rtp
from ..wire.port import const
from ..wire.seq import ms_between
from .dsp import peak, scale_in_place

_MAX_FRAMES = const(4)  # a poll: a loudspeaker that never fills must not hold up the loop
_LOUD = const(164)  # -46 dBFS: below that nobody speaks
_QUIET_AFTER_MS = const(300)  # longer than the pauses between words
_UNITY_Q8 = const(256)
_FRAME_SAMPLES = const(320)
_PCM_BYTES = const(640)
_MAX_FRAME_BYTES = const(640)  # L16; whatever else there is, is shorter


class Downlink:
    """Plays what comes, through the one playout buffer of the whole path.

    jitter: a JitterBuffer. codec: see l16.py. speaker: `write(pcm, start)` -> n_bytes taken now.
    """

    def __init__(self, jitter, codec, speaker):
        self.jitter = jitter
        self.is_speaking = False  # does somebody say something to us?
        self.is_playing = False  # from the first frame of a spurt until there was none for a while
        self.is_silenced = False  # what comes is not played: the microphone is open, and would hear it
        self.n_played_frames = 0
        self.n_concealed_frames = 0
        self.n_unknown_packets = 0
        self.codec = codec
        self._speaker = speaker
        self._gain_q8 = _UNITY_Q8
        self._loud_ms = 0
        self._frame = bytearray(_MAX_FRAME_BYTES)
        self._pcm_frame = bytearray(_PCM_BYTES)
        self._silence = bytes(_PCM_BYTES)
        self._now_written = self._silence  # or the PCM frame
        self._n_written_bytes = len(self._silence)

    def open(self, codec, frame_bytes):
        """There is a link, and what its packets hold, at most so many bytes each."""
        self.flush()
        self.codec = codec
        self.jitter.set_frame_bytes(frame_bytes)

    def set_volume(self, percent):
        """Play at this part of full scale, 0 to 100; what lies outside is taken as the nearest."""
        self._gain_q8 = max(0, min(percent, 100)) * _UNITY_Q8 // 100

    def receive(self, packet, start, n_bytes, now_ms):
        """An RTP packet came; its payload is packet[start:start + n_bytes]."""
        seq = rtp.seq(packet)
        if rtp.payload_type(packet) == self.codec.payload_type:
            self.jitter.put(seq, packet, start, n_bytes, rtp.is_marked(packet), now_ms)
        else:
            self.n_unknown_packets += 1
            self.jitter.skip(seq)

    def skip(self, seq):
        """That packet was a keepalive: nothing is missing there."""
        self.jitter.skip(seq)

    def flush(self):
        """Be quiet at once, and forget what waits to be played."""
        self.jitter.flush()
        self.codec.reset()
        self._n_written_bytes = len(self._now_written)
        self.is_playing = False
        self.is_speaking = False

    def poll(self, now_ms):
        """Hand over what the loudspeaker takes."""
        n_left = _MAX_FRAMES
        while n_left and self._is_written() and self._make_frame(now_ms):
            n_left -= 1
        if self.is_speaking and ms_between(self._loud_ms, now_ms) >= _QUIET_AFTER_MS:
            self.is_speaking = False

    def _is_written(self):
        """Write what is left of the frame; return whether the loudspeaker has all of it now."""
        if self._n_written_bytes < len(self._now_written):
            self._n_written_bytes += self._speaker.write(self._now_written, self._n_written_bytes)
        return self._n_written_bytes >= len(self._now_written)

    def _make_frame(self, now_ms):
        """Make the next frame to be written; False where there is none."""
        n_bytes = self.jitter.take_into(self._frame, now_ms)
        if n_bytes < 0:
            if self.is_playing:
                self.is_playing = False
                self.codec.reset()
            return False
        if not self.is_playing:
            self._begin_spurt()
        if n_bytes:
            if self.jitter.is_first:
                self.codec.reset()
            self.codec.decode_into(self._frame, n_bytes, self._pcm_frame)
            self.n_played_frames += 1
        else:
            self.codec.conceal_into(self._pcm_frame)
            self.n_concealed_frames += 1
        self._now_written = self._pcm_frame
        self._n_written_bytes = 0
        if self.is_silenced:
            self._now_written = self._silence
            return True
        if peak(self._pcm_frame, _FRAME_SAMPLES) > _LOUD:
            self._loud_ms = now_ms
            self.is_speaking = True
        if self._gain_q8 != _UNITY_Q8:
            scale_in_place(self._pcm_frame, _FRAME_SAMPLES, self._gain_q8)
        return True

    def _begin_spurt(self):
        self.is_playing = True
        n_left = _MAX_FRAMES
        while n_left and self._speaker.write(self._silence, 0) == len(self._silence):
            n_left -= 1
