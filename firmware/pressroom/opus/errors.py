"""What the codec refuses, each with what to do instead."""


class OpusError(ValueError):
    """Any of those below."""


class BitrateError(OpusError):
    """A bitrate the encoder does not have."""


class BufferSizeError(OpusError):
    """A buffer that does not hold what it is to hold. Nothing was done yet."""


class UnsupportedPacket(OpusError):
    """Opus, but not mono CELT of one frame of 20 ms. Nothing was done yet."""


class BrokenPacket(OpusError):
    """Not an Opus packet at all. Nothing was done yet."""
