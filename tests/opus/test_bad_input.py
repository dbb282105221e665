"""Whatever comes, the decoder answers with sound or with an error that has a name, and writes nowhere else.

The guards around every buffer and workspace are watched by the machines: unix_runner.py looks at them after each
frame, and at the tables in the end; the Xtensa emulator stops at the first access to what the code was not given.
"""

import os
import subprocess

import numpy as np
import pytest
from tests.opus.libopus import decode, encode
from tests.opus.machines.host import Codec
from tests.opus.machines.unix import Unix
from tests.opus.machines.xtensa import CompilerMissing, Xtensa, library
from tests.opus.signals import speech

N_PACKETS = 100_000 if os.environ.get("PRESSROOM_LONG") == "1" else 1_000
NAMED = {"", "UnsupportedPacket", "BrokenPacket"}


def hostile(n_packets: int) -> list[bytes]:
    """Return packets of libopus cut short, flipped, stretched, and random ones."""
    chance = np.random.default_rng(21)
    good = encode(speech(50), 32_000) + encode(speech(50), 64_000, 10)
    packets = []
    for n in range(n_packets):
        packet = bytearray(good[n % len(good)])
        kind = n % 5
        if kind == 0:
            del packet[int(chance.integers(0, len(packet))) :]
        elif kind == 1:
            for _ in range(int(chance.integers(1, 9))):
                packet[int(chance.integers(0, len(packet)))] ^= 1 << int(chance.integers(0, 8))
        elif kind == 2:
            packet = bytearray(chance.bytes(int(chance.integers(0, 1_500))))
        elif kind == 3:
            packet[1:] = chance.bytes(int(chance.integers(0, 1_400)))
        else:
            packet += chance.bytes(int(chance.integers(1, 300)))
        packets.append(bytes(packet))
    return packets


def test_every_packet_gives_sound_or_a_named_error_and_a_good_stream_goes_on_after_it():
    packets = hostile(N_PACKETS)
    good = encode(speech(100), 32_000)
    unix = Unix()
    frames = unix.decode([*packets, *good])
    assert {each.error for each in frames[: len(packets)]} == NAMED
    refused = [packet for packet, each in zip(packets, frames, strict=False) if each.error]
    assert all(not packet or len(packet) > 1_276 or packet[0] & 0x9F != 0x98 for packet in refused), (
        "mono CELT of 20 ms was refused"
    )
    assert [each.final_range for each in frames[len(packets) :]] == decode(good)[1]
    assert {each.error for each in frames[len(packets) :]} == {""}


def test_the_code_for_the_chip_touches_only_what_it_was_given():
    try:
        library()
    except CompilerMissing as missing:
        pytest.skip(str(missing))
    packets = [packet for packet in hostile(300) if len(packet) <= 1_280]
    frames = Codec(Xtensa()).decode(packets)
    assert {each.error for each in frames} <= NAMED
    assert frames == Unix().decode(packets)


def test_a_refused_packet_changes_nothing():
    good = encode(speech(30), 32_000)
    bad = [b"", b"\x00" * 20, b"\xbc" + good[0][1:], b"\xb9" + good[0][1:], b"\xb0" + good[0][1:], bytes(1_277)]
    mixed = [packet for n, each in enumerate(good) for packet in (bad[n % len(bad)], each)]
    assert Unix().decode(mixed)[1::2] == Unix().decode(good)


def python(*lines: str) -> str:
    """Run lines in MicroPython with the codec there; return what they print."""
    from tests.opus.machines import unix

    start = [
        f"import sys; sys.path.insert(0, {str(unix._firmware()[1])!r})",
        "from pressroom.opus.encoder import Encoder",
        "from pressroom.opus.decoder import Decoder",
        "from pressroom.opus.errors import *",
        "encoder, decoder = Encoder(), Decoder()",
        "pcm, opus = bytearray(640), bytearray(80)",
        "def names(what):",
        "    try: what()",
        "    except OpusError as error: return type(error).__name__ + ': ' + str(error)",
    ]
    program = unix.micropython_program()
    done = subprocess.run([program, "-c", "\n".join([*start, *lines])], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ("encoder.encode_into(bytes(639), opus)", "pcm_frame has 639 bytes; 20 ms at 16 kHz are 640"),
        ("encoder.encode_into(bytes(642), opus)", "pcm_frame has 642 bytes"),
        ("encoder.encode_into(pcm, bytearray(79))", "opus_frame has 79 bytes; packets of this bitrate have 80"),
        ("decoder.decode_into(opus, 80, bytearray(638))", "pcm_frame has 638 bytes"),
        ("decoder.decode_into(opus, 81, pcm)", "opus_frame has 80 bytes; the packet was said to have 81"),
        ("decoder.decode_into(opus, -1, pcm)", "the packet was said to have -1"),
        ("decoder.conceal_into(bytearray(1))", "pcm_frame has 1 bytes"),
    ],
)
def test_a_buffer_of_a_wrong_size_is_an_error_before_any_work(call, text):
    said = python(
        "encoder.encode_into(pcm, opus)",
        "decoder.decode_into(opus, 80, pcm)",
        "before = encoder.final_range(), decoder.final_range(), bytes(encoder._w), bytes(decoder._w)",
        f"print(names(lambda: {call}))",
        "print(before == (encoder.final_range(), decoder.final_range(), bytes(encoder._w), bytes(decoder._w)))",
    )
    assert said.startswith("BufferSizeError: ") and text in said
    assert said.endswith("True\n")


@pytest.mark.parametrize("bitrate_bps", [0, 15_600, 64_400, 32_001, -32_000])
def test_a_bitrate_the_encoder_has_not_is_an_error_that_names_those_it_has(bitrate_bps):
    said = python(f"print(names(lambda: encoder.set_bitrate({bitrate_bps})))", "print(encoder.n_frame_bytes)")
    assert said.startswith(f"BitrateError: {bitrate_bps} bit/s: this encoder has 16000 to 64000 in steps of 400")
    assert said.endswith("80\n")


def test_an_error_says_what_the_packet_is_and_what_to_do():
    said = python("print(names(lambda: decoder.decode_into(b'\\x48' + bytes(79), 80, pcm)))")
    assert "begins with 0x48" in said and "mono CELT" in said and "let the gateway transcode" in said
