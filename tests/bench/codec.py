"""The codec beside libopus: the same sounds, the same bytes; and what it costs on the chip.

PESQ depends on where the frames of 20 ms happen to begin, by up to 0.25 for one recording. So each is encoded with its
beginning shifted by an eighth of a frame eight times, and the mean is what counts, for both codecs.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from figures import Figure
from pesq_score import Unavailable, scores

sys.path.append(str(Path(__file__).resolve().parents[2]))

from tests.opus import libopus, signals
from tests.opus.machines.host import Codec
from tests.opus.machines.unix import Unix
from tests.opus.machines.xtensa import CompilerMissing, Xtensa, library
from tests.opus.test_conformance import BITRATES, STREAMS, least_squares_snr, stream

from pressroom_host import assets
from pressroom_host.firmware.build import build, executable_bytes

Samples = npt.NDArray[np.int16]
Encode = Callable[[Samples], list[bytes]]

_N_FRAMES = 150
_FRAMINGS = range(0, signals.FRAME_SAMPLES, 40)
_LOSS = 0.05
_TONES = {
    "sweep": signals.sweep,
    "sines": signals.tones,
    **{f"{hz} Hz": lambda n, hz=hz: signals.sine(n, hz) for hz in (440, 997, 3_000)},
}


async def measure(folder: Path) -> list[Figure]:
    """Conformance, cost, memory, then quality."""
    return [
        *_conformance(),
        *_instructions(),
        *_memory(folder),
        *_quality(),
        _tones(),
        _sound_of_the_decoder(),
        *_concealment(),
    ]


def _conformance() -> list[Figure]:
    unix = Unix()
    n_packets = n_wrong = n_allocated = 0
    encode_us = []
    for made in signals.ALL.values():
        sound = made(_N_FRAMES).tobytes()
        for bitrate_bps in BITRATES:
            packets = unix.encode(sound, bitrate_bps)
            ranges = libopus.decode([each.opus for each in packets])[1]
            n_packets += len(packets)
            n_wrong += sum(each.final_range != theirs for each, theirs in zip(packets, ranges, strict=True))
            n_allocated += unix.n_allocated_bytes
            encode_us.append(unix.frame_us)
    n_decoded = n_wrong_decoded = 0
    decode_us = []
    for name in STREAMS:
        packets = stream(name, signals.speech(_N_FRAMES))
        frames = unix.decode(packets)
        ranges = libopus.decode(packets)[1]
        n_decoded += len(packets)
        n_wrong_decoded += sum(each.final_range != theirs for each, theirs in zip(frames, ranges, strict=True))
        n_allocated += unix.n_allocated_bytes
        decode_us.append(unix.frame_us)
    return [
        Figure(
            *("encoder: packets with another final range than libopus", n_wrong, "", 0),
            note=f"{n_packets:,} packets, {len(signals.ALL)} sounds; {np.median(encode_us):.0f} us a frame here",
        ),
        Figure(
            *("decoder: packets with another final range than libopus", n_wrong_decoded, "", 0),
            note=f"{n_decoded:,} packets, {len(STREAMS)} streams; {np.median(decode_us):.0f} us a frame here",
        ),
        Figure("codec: bytes allocated in all these frames", n_allocated, "bytes", 0),
    ]


def _instructions() -> list[Figure]:
    budgets = (("encoder, 32 kbit/s", 560), ("encoder, 64 kbit/s", 560), ("decoder, 32 kbit/s", 700))
    names = [*budgets, ("decoder, full band 96 kbit/s VBR", 1_100)]
    try:
        library()
    except CompilerMissing as missing:
        return [
            Figure(f"Xtensa: {name}, worst frame", None, "k instr", most, note=str(missing)) for name, most in names
        ]
    sounds = [made(_N_FRAMES) for made in (signals.speech, signals.transients, signals.tones, signals.noise)]
    full_band = "full band 96 kbit/s VBR, music"
    worst = [
        _worst(lambda codec: _encoding(codec, 32_000), sounds),
        _worst(lambda codec: _encoding(codec, 64_000), sounds),
        _worst(_decoding, [libopus.encode(sound, 32_000, 10) for sound in sounds]),
        _worst(_decoding, [stream(full_band, sound) for sound in sounds]),
    ]
    return [
        Figure(f"Xtensa: {name}, worst frame", sum(cost.values()) / 1_000, "k instr", most, note=_stages(cost))
        for (name, most), cost in zip(names, worst, strict=True)
    ]


def _encoding(codec: Codec, bitrate_bps: int) -> Callable[[Samples], list[Callable[[], object]]]:
    encoder = codec.encoder(bitrate_bps)
    opus = bytearray(encoder.n_frame_bytes)
    n = signals.FRAME_SAMPLES

    def frames(sound: Samples) -> list[Callable[[], object]]:
        parts = [sound[i : i + n].tobytes() for i in range(0, len(sound), n)]
        return [lambda part=part: encoder.encode_into(part, opus) for part in parts]

    return frames


def _decoding(codec: Codec) -> Callable[[list[bytes]], list[Callable[[], object]]]:
    decoder = codec.decoder()
    pcm = bytearray(640)
    return lambda packets: [lambda each=each: decoder.decode_into(each, len(each), pcm) for each in packets]


def _worst(coding: Callable[[Codec], Callable], inputs: list) -> dict[str, int]:
    """Return what each function takes in the frame that takes most."""
    worst: dict[str, int] = {}
    for each in inputs:
        xtensa = Xtensa()
        frames = coding(Codec(xtensa))(each)
        xtensa.instructions()
        for frame in frames:
            frame()
            cost = xtensa.instructions()
            if sum(cost.values()) > sum(worst.values()):
                worst = cost
    return worst


def _stages(cost: dict[str, int]) -> str:
    largest = sorted(cost.items(), key=lambda item: -item[1])[:6]
    return ", ".join(f"{name.rsplit('.', 1)[-1]} {n // 1_000}" for name, n in largest)


def _memory(folder: Path) -> list[Figure]:
    n_bytes = executable_bytes(build(assets.firmware_folder(), folder / "xtensawin", "xtensawin"))
    return [
        Figure("executable RAM, encoder alone", n_bytes["encoder"] / 1_024, "KiB", 32),
        Figure("executable RAM, both directions", n_bytes["both"] / 1_024, "KiB", 70),
    ]


def _aligned(said: Samples, heard: Samples) -> tuple[Samples, Samples]:
    """Return both from where the codec's delay is over, up to 80 samples."""
    n = len(said)
    at = max(range(80), key=lambda lag: float(np.dot(heard[lag:n].astype(float), said[: n - lag].astype(float))))
    return said[: n - at], heard[at:]


def _framed(encode: Encode) -> list[tuple[Samples, Samples]]:
    """Return (said, heard) of every recording in every framing."""
    pairs = []
    for sound in signals.recordings().values():
        for shift in _FRAMINGS:
            shifted = np.concatenate([np.zeros(shift, np.int16), sound])
            shifted = shifted[: len(shifted) // signals.FRAME_SAMPLES * signals.FRAME_SAMPLES]
            said, heard = _aligned(shifted, libopus.decode(encode(shifted))[0])
            pairs.append((said[shift:], heard[shift:]))
    return pairs


def _pesq(encode: Encode) -> npt.NDArray[np.float64]:
    """Return the mean PESQ of each recording."""
    return np.array(scores(_framed(encode))).reshape(-1, len(_FRAMINGS)).mean(axis=1)


def _quality() -> list[Figure]:
    unix = Unix()
    figures = []
    for bitrate_bps in BITRATES:
        name = f"PESQ at {bitrate_bps // 1_000} kbit/s, mean of the recordings"
        try:
            ours = _pesq(lambda sound, bps=bitrate_bps: [each.opus for each in unix.encode(sound.tobytes(), bps)])
            theirs = [
                _pesq(lambda sound, bps=bitrate_bps, level=level: libopus.encode(sound, bps, level))
                for level in (0, 5, 10)
            ]
        except Unavailable as reason:
            return [Figure(name, None, "", 0, is_floor=True, note=str(reason))]
        means = ", ".join(f"{level.mean():.2f}" for level in theirs)
        note = f"libopus at complexity 0, 5, 10: {means}"
        figures.append(
            Figure(name, float(ours.mean()), "", round(float(theirs[0].mean()), 3), is_floor=True, note=note)
        )
        if bitrate_bps == 32_000:
            behind = ours - theirs[0]
            note = "; ".join(
                f"{recording} {a:.2f} to {b:.2f}"
                for recording, a, b in zip(signals.recordings(), ours, theirs[0], strict=True)
            )
            name = "PESQ at 32 kbit/s less that of complexity 0, least"
            figures.append(Figure(name, float(behind.min()), "", -0.05, is_floor=True, note=note))
    return figures


def _tones() -> Figure:
    unix = Unix()
    told = {}
    for name, made in _TONES.items():
        sound = made(_N_FRAMES)
        snr = [
            least_squares_snr(*_aligned(sound, libopus.decode(packets)[0]), n_taps=17)
            for packets in (
                [each.opus for each in unix.encode(sound.tobytes(), 32_000)],
                libopus.encode(sound, 32_000, 0),
            )
        ]
        told[name] = snr
    note = ", ".join(f"{name} {ours:.0f} to {theirs:.0f}" for name, (ours, theirs) in told.items())
    worst = min(ours - theirs for ours, theirs in told.values())
    return Figure("tones at 32 kbit/s: SNR less that of complexity 0, least", worst, "dB", -3, is_floor=True, note=note)


def _sound_of_the_decoder() -> Figure:
    sound = np.concatenate(list(signals.recordings().values()))
    snr = {}
    for name in STREAMS:
        packets = stream(name, sound)
        heard = np.frombuffer(b"".join(each.pcm for each in Unix().decode(packets)), np.int16)
        snr[name] = least_squares_snr(libopus.decode(packets)[0], heard)
    worst = min(snr, key=lambda name: snr[name])
    return Figure("decoder: match with libopus' sound, least", snr[worst], "dB", 34, is_floor=True, note=worst)


def _concealment() -> list[Figure]:
    chance = np.random.default_rng(31)
    ours, theirs = [], []
    for sound in signals.recordings().values():
        for _ in range(4):
            lossy = [None if chance.random() < _LOSS else packet for packet in libopus.encode(sound, 32_000)]
            heard = np.frombuffer(b"".join(each.pcm for each in Unix().decode(lossy)), np.int16)
            ours.append(_aligned(sound, heard))
            theirs.append(_aligned(sound, libopus.decode(lossy)[0]))
    name = "concealment of 5 % loss: PESQ less that of libopus"
    try:
        a, b = np.mean(scores(ours)), np.mean(scores(theirs))
    except Unavailable as reason:
        return [Figure(name, None, "", -0.3, is_floor=True, note=str(reason))]
    return [Figure(name, float(a - b), "", -0.3, is_floor=True, note=f"{a:.2f} to {b:.2f}, 12 lossy streams")]
