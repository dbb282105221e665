"""Runs the codec under MicroPython over a file of frames, with guards around every buffer it is given.

    micropython run_codec.py FIRMWARE_FOLDER encode|decode IN OUT

IN, encode: bytes of the packet (16 bits), 640 bytes of samples; for each frame.
IN, decode: bytes of the packet (16 bits, 0xffff: it was lost), the packet; for each frame.
OUT: struct _ENTRY, then the packet or 640 bytes of samples; for each frame.
"""

import gc
import struct
import sys
import time
from array import array

sys.path.insert(0, sys.argv[1])

from pressroom.opus import tables
from pressroom.opus.errors import OpusError

_ENTRY = "<HIiIB20s"  # bytes, final range, bytes allocated, microseconds, are the guards whole, name of the error
_LOST = 0xFFFF
_PCM_BYTES = 640
_MAX_PACKET_BYTES = 1500
_GUARD = 64  # words on each side of a workspace, bytes on each side of a buffer
_GUARD_BYTE = 0xA5
_STORAGE = 9  # word of an encoder's workspace: bytes of the packet without its TOC


def guarded_workspace(codec):
    """Put the workspace of a codec between guards; return the whole."""
    n_words = len(codec._w)
    whole = array("i", bytes(4 * (n_words + 2 * _GUARD)))
    for i in range(_GUARD):
        whole[i] = whole[-1 - i] = _GUARD_BYTE
    codec._w = memoryview(whole)[_GUARD : _GUARD + n_words]
    codec.reset()
    return whole


def guarded(n_bytes):
    """Return a buffer between guards, and the whole."""
    whole = bytearray(_GUARD_BYTE for _ in range(n_bytes + 2 * _GUARD))
    return memoryview(whole)[_GUARD : _GUARD + n_bytes], whole


def are_whole(wholes):
    """Tell whether nothing was written into any guard."""
    for whole in wholes:
        for i in range(_GUARD):
            if whole[i] != _GUARD_BYTE or whole[-1 - i] != _GUARD_BYTE:
                return False
    return True


def tables_sum():
    """Return a sum over all tables: nothing may ever write there."""
    total = 0
    for name in sorted(dir(tables)):
        table = getattr(tables, name)
        if name[0] != "_" and isinstance(table, (bytes, array)):
            for value in table:
                total = (31 * total + value) & 0x3FFFFFFF
    return total


class Encoding:
    """Encodes the frames of a file."""

    def __init__(self):
        from pressroom.opus.encoder import Encoder

        self.codec = Encoder()
        self.pcm, whole_pcm = guarded(_PCM_BYTES)
        self.opus, whole_opus = guarded(_MAX_PACKET_BYTES)
        self.guards = (guarded_workspace(self.codec), whole_pcm, whole_opus)
        self.result = self.opus

    def read(self, file):
        """Read a frame; the packet's size may be one that set_bitrate does not have: the tests want them all."""
        head = file.read(2)
        if len(head) < 2:
            return False
        n_bytes = head[0] | head[1] << 8
        if n_bytes != self.codec.n_frame_bytes:
            if 40 <= n_bytes <= 160:
                self.codec.set_bitrate(400 * n_bytes)
            else:
                self.codec.n_frame_bytes = n_bytes
                self.codec._w[_STORAGE] = n_bytes - 1
        file.readinto(self.pcm)
        return True

    def run(self):
        return self.codec.encode_into(self.pcm, self.opus)


class Decoding:
    """Decodes the packets of a file."""

    def __init__(self):
        from pressroom.opus.decoder import Decoder

        self.codec = Decoder()
        self.pcm, whole_pcm = guarded(_PCM_BYTES)
        self.opus, whole_opus = guarded(_MAX_PACKET_BYTES)
        self.guards = (guarded_workspace(self.codec), whole_pcm, whole_opus)
        self.n_bytes = 0
        self.result = self.pcm

    def read(self, file):
        head = file.read(2)
        if len(head) < 2:
            return False
        self.n_bytes = head[0] | head[1] << 8
        if self.n_bytes not in (0, _LOST):
            self.opus[: self.n_bytes] = file.read(self.n_bytes)
        return True

    def run(self):
        if self.n_bytes == _LOST:
            self.codec.conceal_into(self.pcm)
        else:
            self.codec.decode_into(self.opus, self.n_bytes, self.pcm)
        return _PCM_BYTES


def work(what, name_in, name_out):
    sum_before = tables_sum()
    with open(name_in, "rb") as file_in, open(name_out, "wb") as file_out:
        while what.read(file_in):
            error = ""
            n_bytes = 0
            n_allocated = gc.mem_alloc()
            begun = time.ticks_us()
            try:
                n_bytes = what.run()
                took_us = time.ticks_diff(time.ticks_us(), begun)
                n_allocated = gc.mem_alloc() - n_allocated
            except OpusError as mistake:
                error = type(mistake).__name__
                took_us = n_allocated = 0  # an error costs what it costs
            is_whole = are_whole(what.guards)
            head = (n_bytes, what.codec.final_range(), n_allocated, took_us, is_whole, error.encode())
            file_out.write(struct.pack(_ENTRY, *head))
            file_out.write(what.result[:n_bytes])
    if tables_sum() != sum_before:
        raise RuntimeError("the codec wrote into its tables")


gc.threshold(-1)
work(Encoding() if sys.argv[2] == "encode" else Decoding(), sys.argv[3], sys.argv[4])
