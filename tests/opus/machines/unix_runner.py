"""Runs the codec under MicroPython: micropython unix_runner.py FIRMWARE ASKED ANSWERED.

ASKED holds `e` bitrate (32 bits) 640 bytes of PCM; `d` length (16 bits) packet; or `l` for a lost one. ANSWERED gets
for each length (16 bits), length of an error's name (8), final range (32), data, name. It prints the bytes that were
allocated by all of them but the first, and the microseconds a frame. Around every buffer, both workspaces too, lie
guards that must stay; so must the tables.
"""

import gc
import hashlib
import struct
import sys
import time
from array import array

sys.path.insert(0, sys.argv[1])

from pressroom.opus import tables
from pressroom.opus.decoder import Decoder
from pressroom.opus.encoder import Encoder
from pressroom.opus.errors import OpusError

GUARD = b"\xa5" * 16
GUARD_WORDS = 16
GUARD_WORD = -1515870811  # 0xa5a5a5a5
MAX_PACKET_BYTES = 1_536
STORAGE = 9  # the word of an encoder's workspace that says how many bytes there are behind the TOC


def guarded(n_bytes):
    """Return a buffer between guards, and the whole."""
    whole = bytearray(GUARD + bytes(n_bytes) + GUARD)
    return memoryview(whole)[16 : 16 + n_bytes], whole


def guard_workspace(codec):
    """Put the words of a codec between guards; return the whole."""
    n_words = len(codec._w)
    whole = array("i", [GUARD_WORD] * (n_words + 2 * GUARD_WORDS))
    words = memoryview(whole)[GUARD_WORDS : GUARD_WORDS + n_words]
    words[:] = codec._w
    codec._w = words
    return whole


def digest_of_tables():
    """Return what changes with any byte of any table."""
    digest = hashlib.sha256()
    for name in sorted(dir(tables)):
        table = getattr(tables, name)
        if isinstance(table, (bytes, bytearray, array)):
            digest.update(name.encode())
            digest.update(memoryview(table))
    return digest.digest()


def main():
    encoder = Encoder()
    decoder = Decoder()
    workspaces = guard_workspace(encoder), guard_workspace(decoder)
    untouched = digest_of_tables()
    pcm, whole_pcm = guarded(640)
    opus, whole_opus = guarded(MAX_PACKET_BYTES)
    n_frames = 0
    n_allocated = 0
    spent_us = 0
    bitrate = 0
    with open(sys.argv[2], "rb") as asked, open(sys.argv[3], "wb") as answered:
        while True:
            kind = asked.read(1)
            if not kind:
                break
            error = b""
            n_bytes = 640
            if kind == b"e":
                (wanted,) = struct.unpack("<I", asked.read(4))
                asked.readinto(pcm)
                if wanted < 1_000:  # bytes: more and less than a bitrate can ask for
                    encoder.n_frame_bytes = wanted
                    encoder._w[STORAGE] = wanted - 1
                elif wanted != bitrate:
                    encoder.set_bitrate(wanted)
                bitrate = wanted
            elif kind == b"d":
                (n_packet,) = struct.unpack("<H", asked.read(2))
                packet = asked.read(n_packet)
                opus[:n_packet] = packet
            gc.collect()
            before = gc.mem_alloc()
            begun_us = time.ticks_us()
            try:
                if kind == b"e":
                    n_bytes = encoder.encode_into(pcm, opus)
                elif kind == b"d":
                    decoder.decode_into(opus, n_packet, pcm)
                else:
                    decoder.conceal_into(pcm)
            except OpusError as refusal:
                error = type(refusal).__name__.encode()
            spent_us += time.ticks_diff(time.ticks_us(), begun_us)
            grown = gc.mem_alloc() - before
            if n_frames and not error:
                n_allocated += grown
            n_frames += 1
            for whole in (whole_pcm, whole_opus):
                assert whole[:16] == GUARD and whole[-16:] == GUARD, "a guard was overwritten"
            for whole in workspaces:
                for n in range(GUARD_WORDS):
                    if whole[n] != GUARD_WORD or whole[-1 - n] != GUARD_WORD:
                        raise AssertionError("a guard of a workspace was overwritten")
            final_range = encoder.final_range() if kind == b"e" else decoder.final_range()
            answered.write(struct.pack("<HBI", n_bytes, len(error), final_range))
            answered.write(opus[:n_bytes] if kind == b"e" else pcm)
            answered.write(error)
    assert digest_of_tables() == untouched, "a table was overwritten"
    print(n_allocated, spent_us / max(n_frames, 1))


main()
