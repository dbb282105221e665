"""Opus as a codec of the link (RFC 7587): 48 kHz ticks, 20 ms a packet. The codec itself is pressroom.opus. No I/O."""

from ..opus.errors import OpusError
from ..wire.port import const
from ..wire.rtp import PT_OPUS

_TICKS_PER_FRAME = const(960)  # section 4.1
_MAX_FRAME_BYTES = const(640)  # what waits in the jitter buffer has room for


class OpusOut:
    """What the device says. encoder: a pressroom.opus.encoder.Encoder."""

    name = "opus"
    payload_type = PT_OPUS
    ticks_per_frame = _TICKS_PER_FRAME
    max_frame_bytes = _MAX_FRAME_BYTES

    def __init__(self, encoder):
        self._encoder = encoder

    def encode_into(self, pcm_frame, payload):
        """Write one packet; returns its n_bytes."""
        return self._encoder.encode_into(pcm_frame, payload)

    def reset(self):
        """What comes next begins a stream."""
        self._encoder.reset()

    def set_bitrate(self, bitrate_bps):
        """Use so many bits a second from the next frame on. Raises ValueError for what the encoder does not have."""
        self._encoder.set_bitrate(bitrate_bps)


class OpusIn:
    """What the device hears. decoder: a pressroom.opus.decoder.Decoder."""

    name = "opus"
    payload_type = PT_OPUS
    ticks_per_frame = _TICKS_PER_FRAME
    max_frame_bytes = _MAX_FRAME_BYTES

    def __init__(self, decoder):
        self.n_malformed = 0  # packets the decoder does not take, concealed
        self._decoder = decoder

    def decode_into(self, frame, n_bytes, pcm_frame):
        """Write 640 bytes of PCM for frame[:n_bytes], whatever it holds."""
        try:
            self._decoder.decode_into(frame, n_bytes, pcm_frame)
        except OpusError:
            self.n_malformed += 1
            self._decoder.conceal_into(pcm_frame)

    def conceal_into(self, pcm_frame):
        """Write 640 bytes of PCM in place of a packet that was lost."""
        self._decoder.conceal_into(pcm_frame)

    def reset(self):
        """What comes next begins a stream."""
        self._decoder.reset()
