"""The range coder's last range is libopus', packet for packet: then every symbol was coded as RFC 6716 says."""

import os

import numpy as np
import pytest
from tests.opus.libopus import (
    AUDIO,
    FULL,
    LOW_DELAY,
    NARROW,
    SUPER_WIDE,
    VOIP,
    WIDE,
    decode,
    encode,
    three_times_faster,
)
from tests.opus.machines.frames import cut
from tests.opus.machines.unix import Unix
from tests.opus.signals import ALL, recordings, speech

BITRATES = (16_000, 24_000, 32_000, 48_000, 64_000)
N_FRAMES = 1_000 if os.environ.get("PRESSROOM_LONG") == "1" else 100
N_STRESS = 5_000
CELT_20_MS_MONO = (0x98, 0xB8, 0xD8, 0xF8)  # narrow, wide, super wide and full band: RFC 6716 table 2


def misses(final_ranges, packets) -> list[int]:
    """Return the packets after which libopus' decoder has another range."""
    return [n for n, (ours, theirs) in enumerate(zip(final_ranges, decode(packets)[1], strict=True)) if ours != theirs]


@pytest.mark.parametrize("signal", ALL)
def test_every_packet_of_the_encoder_is_what_libopus_reads(signal):
    unix = Unix()
    sound = ALL[signal](N_FRAMES).tobytes()
    for bitrate_bps in BITRATES:
        packets = unix.encode(sound, bitrate_bps)
        assert {len(each.opus) for each in packets} == {bitrate_bps // 400}
        assert misses([each.final_range for each in packets], [each.opus for each in packets]) == []
        assert unix.n_allocated_bytes == 0


def test_packets_of_any_size_are_what_libopus_reads():
    chance = np.random.default_rng(11)
    parts = [made(N_STRESS // len(ALL) + 1) for made in ALL.values()]
    frames = cut(np.concatenate(parts).tobytes())[:N_STRESS]
    order = chance.permutation(len(frames))
    sizes = chance.integers(12, 251, len(frames))
    packets = Unix().encode_changing((frames[n], int(size)) for n, size in zip(order, sizes, strict=True))
    assert len(packets) == N_STRESS
    assert [len(each.opus) for each in packets] == list(sizes)
    assert misses([each.final_range for each in packets], [each.opus for each in packets]) == []


def test_whatever_a_packet_holds_the_decoder_reads_it_as_libopus_does():
    chance = np.random.default_rng(12)
    packets = [
        bytes((int(chance.choice(CELT_20_MS_MONO)),)) + chance.bytes(int(chance.integers(11, 250)))
        for _ in range(N_STRESS)
    ]
    unix = Unix()
    frames = unix.decode(packets)
    assert misses([each.final_range for each in frames], packets) == []
    assert unix.n_allocated_bytes == 0


@pytest.mark.parametrize("sizes", [(1, 12), (250, 1_275)], ids=["short", "long"])
def test_very_short_and_very_long_packets_too(sizes):
    chance = np.random.default_rng(13)
    packets = [bytes((0xF8,)) + chance.bytes(int(chance.integers(*sizes))) for _ in range(500)]
    assert misses([each.final_range for each in Unix().decode(packets)], packets) == []


STREAMS = {
    **{
        f"wide band {kbps} kbit/s complexity {complexity}": (1_000 * kbps, complexity, LOW_DELAY, 16_000, False, WIDE)
        for kbps in (16, 24, 32, 48, 64)
        for complexity in (0, 1, 5, 10)
    },
    "narrow band 24 kbit/s": (24_000, 5, LOW_DELAY, 48_000, False, NARROW),
    "super wide band 40 kbit/s": (40_000, 4, LOW_DELAY, 48_000, False, SUPER_WIDE),
    "full band 48 kbit/s complexity 10": (48_000, 10, LOW_DELAY, 48_000, False, FULL),
    "full band 64 kbit/s complexity 4": (64_000, 4, LOW_DELAY, 48_000, False, FULL),
    "full band 96 kbit/s VBR, music": (96_000, 9, AUDIO, 48_000, True, FULL),
}


def stream(name: str, samples) -> list[bytes]:
    bitrate_bps, complexity, application, rate_hz, is_vbr, bandwidth = STREAMS[name]
    sound = samples if rate_hz == 16_000 else three_times_faster(samples)
    options = {"application": application, "rate_hz": rate_hz, "is_vbr": is_vbr, "bandwidth": bandwidth}
    return encode(sound, bitrate_bps, complexity, **options)


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("signal", ["speech", "transients", "tones"])
def test_every_stream_of_libopus_is_decoded_in_step(name, signal):
    packets = stream(name, ALL[signal](N_FRAMES))
    frames = Unix().decode(packets)
    assert {each.error for each in frames} == {""}
    assert misses([each.final_range for each in frames], packets) == []


def test_packets_of_other_modes_in_between_are_refused_and_change_nothing():
    sound = speech(200)
    celt = encode(sound, 32_000)
    others = encode(three_times_faster(sound), 32_000, 10, application=VOIP, rate_hz=48_000) + encode(
        sound, 16_000, application=VOIP
    )
    assert {packet[0] >> 3 for packet in others} & set(range(12)) and {packet[0] >> 3 for packet in others} & {13, 15}
    packets = [packet for pair in zip(celt, others[100:], strict=False) for packet in pair]
    frames = Unix().decode(packets)
    assert [each.error for each in frames] == ["", "UnsupportedPacket"] * (len(packets) // 2)
    celt = packets[::2]
    assert misses([each.final_range for each in frames if not each.error], celt) == []


def least_squares_snr(heard, ours, n_taps: int = 49) -> float:
    """Return the dB by which `ours` matches what a filter of n_taps makes of `heard`."""
    half = n_taps // 2
    shifted = np.stack([np.roll(heard.astype(float), k - half) for k in range(n_taps)], axis=1)[half:-half]
    wanted = ours.astype(float)[half:-half]
    taps, *_ = np.linalg.lstsq(shifted, wanted, rcond=None)
    error = wanted - shifted @ taps
    return float(10 * np.log10((wanted**2).sum() / (error**2).sum()))


@pytest.mark.parametrize("name", STREAMS)
def test_recorded_speech_sounds_as_libopus_has_it(name):
    packets = stream(name, np.concatenate(list(recordings().values())))
    ours = np.frombuffer(b"".join(each.pcm for each in Unix().decode(packets)), np.int16)
    assert least_squares_snr(decode(packets)[0], ours) >= 34
