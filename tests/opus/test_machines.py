"""One source, three machines: what the shipped machine code computes on both kinds of chip, the simulated board does.

And what it costs there: instructions on Xtensa, the runtime's included, and executable memory.
"""

import pytest
from tests.opus.libopus import AUDIO, FULL, LOW_DELAY, encode, three_times_faster
from tests.opus.machines.host import Codec
from tests.opus.machines.rv32 import Rv32
from tests.opus.machines.unix import Unix
from tests.opus.machines.xtensa import CompilerMissing, Xtensa, library
from tests.opus.signals import noise, speech, tones, transients

from pressroom_host import assets
from pressroom_host.firmware.build import build, executable_bytes, tree_hash

N_FRAMES = 300
BITRATES = (24_000, 32_000, 64_000)
SIGNALS = {made.__name__: made for made in (speech, transients, tones, noise)}


@pytest.fixture
def xtensa() -> Xtensa:
    try:
        library()
    except CompilerMissing as missing:
        pytest.skip(str(missing))
    return Xtensa()


def with_losses(packets: list[bytes]) -> list[bytes | None]:
    """Lose one, then three in a row, then nothing for a while."""
    return [None if n % 40 in (7, 20, 21, 22) else packet for n, packet in enumerate(packets)]


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("bitrate_bps", BITRATES)
def test_the_code_for_xtensa_computes_what_the_simulated_board_does(xtensa, signal, bitrate_bps):
    _compare(Codec(xtensa), signal, bitrate_bps)


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("bitrate_bps", BITRATES)
def test_the_code_for_risc_v_computes_what_the_simulated_board_does(signal, bitrate_bps):
    _compare(Codec(Rv32()), signal, bitrate_bps)


def _compare(chip: Codec, signal: str, bitrate_bps: int) -> None:
    sound = SIGNALS[signal](N_FRAMES)
    unix = Unix()
    packets = unix.encode(sound.tobytes(), bitrate_bps)
    assert chip.encode(sound.tobytes(), bitrate_bps) == packets
    # What libopus makes has what our encoder has not: changes of resolution, short blocks, the comb filter.
    for stream in ([each.opus for each in packets], encode(sound, bitrate_bps, 10)[:60]):
        lossy = with_losses(stream)
        assert chip.decode(lossy) == unix.decode(lossy)


def worst_frame(xtensa: Xtensa, run, frames) -> int:
    """Return the most instructions that one frame takes, the runtime's included."""
    worst = 0
    xtensa.instructions()
    for frame in frames:
        run(frame)
        worst = max(worst, sum(xtensa.instructions().values()))
    return worst


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("bitrate_bps", BITRATES)
def test_the_worst_frame_of_the_encoder_takes_at_most_560_thousand_instructions(xtensa, signal, bitrate_bps):
    encoder = Codec(xtensa).encoder(bitrate_bps)
    opus = bytearray(encoder.n_frame_bytes)
    sound = SIGNALS[signal](N_FRAMES).tobytes()
    frames = [sound[i : i + 640] for i in range(0, len(sound), 640)]
    assert worst_frame(xtensa, lambda frame: encoder.encode_into(frame, opus), frames) <= 560_000


@pytest.mark.parametrize(
    ("stream", "budget"),
    [
        (lambda sound: encode(sound, 32_000, 10), 700_000),
        (
            lambda sound: encode(
                *(three_times_faster(sound), 96_000, 10),
                application=AUDIO,
                rate_hz=48_000,
                is_vbr=True,
                bandwidth=FULL,
            ),
            1_100_000,
        ),
        (lambda sound: encode(three_times_faster(sound), 96_000, 10, application=LOW_DELAY, rate_hz=48_000), 1_100_000),
    ],
    ids=["wide band 32 kbit/s", "full band 96 kbit/s VBR", "full band 96 kbit/s, low delay"],
)
@pytest.mark.parametrize("signal", SIGNALS)
def test_the_worst_frame_of_the_decoder_keeps_its_budget(xtensa, signal, stream, budget):
    decoder = Codec(xtensa).decoder()
    pcm = bytearray(640)
    packets = stream(SIGNALS[signal](N_FRAMES))
    assert worst_frame(xtensa, lambda packet: decoder.decode_into(packet, len(packet), pcm), packets) <= budget


def test_a_concealed_frame_costs_no_more_than_a_decoded_one(xtensa):
    decoder = Codec(xtensa).decoder()
    pcm = bytearray(640)
    for packet in encode(speech(60), 32_000):
        decoder.decode_into(packet, len(packet), pcm)
    assert worst_frame(xtensa, lambda _: decoder.conceal_into(pcm), range(10)) <= 500_000


def test_the_codec_fits_into_executable_memory(tmp_path):
    n_bytes = executable_bytes(build(assets.firmware_folder(), tmp_path / "xtensawin", "xtensawin"))
    assert n_bytes["encoder"] <= 32 * 1024
    assert n_bytes["both"] <= 70 * 1024


@pytest.mark.parametrize("arch", ["xtensawin", "rv32imc", "x64"])
def test_the_same_sources_give_the_same_bytes(tmp_path, arch):
    first, second = (build(assets.firmware_folder(), tmp_path / name / "set", arch) for name in ("one", "another"))
    assert tree_hash(first) == tree_hash(second)
    assert len(first) > 40
    made = [(tmp_path / name / "set" / first[0].path).read_bytes() for name in ("one", "another")]
    assert made[0] == made[1]


def test_an_access_to_what_was_not_given_is_an_error_that_names_the_place(xtensa):
    from tests.opus.machines.host import MachineFailed, execute

    source = "import micropython\n\n\n@micropython.viper\ndef peek(p: ptr8, i: int) -> int:\n    return p[i]\n"
    peek = execute(source, "peek", xtensa).peek
    assert peek(b"abc", 2) == ord("c")
    with pytest.raises(MachineFailed, match=r"function 0 at .*memory of nobody.*0=peek\.peek"):
        peek(b"abc", 3)
