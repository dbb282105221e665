"""A gateway's mixer and a device whose crystals differ, for five minutes of a virtual clock.

The gateway's half runs here and says when it sends which packet; nothing of the device reaches back to it. The device's
half plays that under MicroPython (on_micropython/drift.py).
"""

import random
import struct
from pathlib import Path

import micropython_tests
import numpy as np
import opuslib_next
import pytest

from pressroom_host.gateway.mixer import Mixer
from pressroom_host.gateway.stats import SessionStats

MINUTES = 5
FRAME_S = 0.02
N_FRAMES = int(MINUTES * 60 / FRAME_S)
HOLE_SAMPLES = 320


def opus_packets() -> list[bytes]:
    """Return 50 frames of a tone, 20 ms each."""
    encoder = opuslib_next.Encoder(48_000, 1, opuslib_next.APPLICATION_VOIP)
    wave = (8_000 * np.sin(2 * np.pi * 400 * np.arange(48_000) / 48_000)).astype(np.int16)
    return [encoder.encode(wave[i : i + 960].tobytes(), 960) for i in range(0, 48_000, 960)]


def mixed_schedule(path: Path) -> int:
    """Write when the gateway sends what two talkers say, each with 3 ms of jitter; return the number of packets."""
    chance = random.Random(3)
    opus = opus_packets()
    arrivals = sorted(
        (0.1 + offset_s + n * FRAME_S + chance.uniform(0, 0.003), sid, n)
        for sid, offset_s in (("TR_a", 0.0), ("TR_b", 0.007))
        for n in range(N_FRAMES)
    )
    entries: list[bytes] = []

    def write_due(now_ms: int) -> None:
        for frame in mixer.frames():
            entries.append(struct.pack("<IIB", now_ms * 1_000, len(entries) & 0xFFFF, frame.begins_spurt))

    mixer = Mixer(SessionStats())
    mixer.add("TR_a", is_muted=False)
    mixer.add("TR_b", is_muted=False)
    now_ms = 0
    for at_s, sid, n in arrivals:
        at_ms = round(at_s * 1_000)
        while (wait_ms := mixer.next_timeout_ms(now_ms)) <= at_ms - now_ms:
            now_ms += wait_ms
            mixer.poll(now_ms)
            write_due(now_ms)
        now_ms = at_ms
        header = struct.pack(">BBHII", 0x80, 111, n & 0xFFFF, n * 960, 1)
        mixer.rtp_came(sid, header + opus[n % len(opus)], now_ms)
        write_due(now_ms)
    path.write_bytes(b"".join(entries))
    return len(entries)


@pytest.mark.parametrize("clock_ppm", [-100, 100])
async def test_five_minutes_of_two_clocks_leave_no_hole_and_count_every_frame(clock_ppm: int, tmp_path: Path):
    n_sent = mixed_schedule(tmp_path / "schedule")
    line = await micropython_tests.run("drift", "play", "schedule", clock_ppm, workdir=tmp_path)
    found = {name: int(value) for name, _, value in (word.partition("=") for word in line.split())}
    assert found["n_sent"] == n_sent
    assert n_sent >= N_FRAMES
    assert found["furthest"] <= 1
    assert found["n_late"] == found["n_lost"] == found["n_overflow"] == 0
    assert found["n_played"] + found["n_dropped"] == n_sent
    # 100 ppm of five minutes are 30 ms: one frame, and a second one where the target moved.
    assert abs(found["n_dropped"] - found["n_inserted"]) <= 2
    assert found["n_dropped"] + found["n_inserted"] <= 6
    assert longest_hole(tmp_path / "speaker.raw") <= HOLE_SAMPLES


def longest_hole(path: Path) -> int:
    """Return the longest silence between the first and the last sample of what was sent, which are all 1000."""
    played = np.flatnonzero(np.fromfile(path, dtype="<i2") > 100)
    assert played[-1] - played[0] > MINUTES * 60 * 16_000 * 0.999
    return int(np.diff(played).max()) - 1
