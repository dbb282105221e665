"""Makes firmware/pressroom/opus/tables.py, and says whether the one that is there is what it would make.

    python -m pressroom_host.firmware.opus_tables [--check]

What has a formula is computed here; what RFC 6716 fixes by listening or by training stands here as its table, with the
section. The codec's arithmetic in integers gives the formats: Q14 is a number times 2**14.
"""

import argparse
import math
import struct
import sys
from functools import cache
from itertools import pairwise
from typing import Final

import numpy as np

from pressroom_host import assets

# RFC 6716 section 4.3, table 55: the edges of the 21 bands in units of 200 Hz, which is 8 bins of a 20 ms frame.
BAND_EDGES: Final = (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 34, 40, 48, 60, 78, 100)
N_BANDS: Final = len(BAND_EDGES) - 1
WIDTHS: Final = tuple(above - below for below, above in pairwise(BAND_EDGES))
LM: Final = 3  # a frame of 20 ms has 2**3 short blocks

# RFC 6716 section 4.3.3, table 57: static allocation, bits in 1/32 per bin, a row for each of 11 qualities.
ALLOCATION: Final = (
    (0,) * 21,
    (90, 80, 75, 69, 63, 56, 49, 40, 34, 29, 20, 18, 10, 0, 0, 0, 0, 0, 0, 0, 0),
    (110, 100, 90, 84, 78, 71, 65, 58, 51, 45, 39, 32, 26, 20, 12, 0, 0, 0, 0, 0, 0),
    (118, 110, 103, 93, 86, 80, 75, 70, 65, 59, 53, 47, 40, 31, 23, 15, 4, 0, 0, 0, 0),
    (126, 119, 112, 104, 95, 89, 83, 78, 72, 66, 60, 54, 47, 39, 32, 25, 17, 12, 1, 0, 0),
    (134, 127, 120, 114, 103, 97, 91, 85, 78, 72, 66, 60, 54, 47, 41, 35, 29, 23, 16, 10, 1),
    (144, 137, 130, 124, 113, 107, 101, 95, 88, 82, 76, 70, 64, 57, 51, 45, 39, 33, 26, 15, 1),
    (152, 145, 138, 132, 123, 117, 111, 105, 98, 92, 86, 80, 74, 67, 61, 55, 49, 43, 36, 20, 1),
    (162, 155, 148, 142, 133, 127, 121, 115, 108, 102, 96, 90, 84, 77, 71, 65, 59, 53, 46, 30, 1),
    (172, 165, 158, 152, 143, 137, 131, 125, 118, 112, 106, 100, 94, 87, 81, 75, 69, 63, 56, 45, 20),
    (200, 200, 200, 200, 200, 200, 200, 200, 198, 193, 188, 183, 178, 173, 168, 163, 158, 153, 148, 129, 104),
)

# Section 4.3.2.1: the Laplace model of coarse energy at 20 ms, (probability of 0, decay) a band, both times 256.
COARSE_INTER: Final = (
    *(42, 121, 96, 66, 108, 43, 111, 40, 117, 44, 123, 32, 120, 36, 119, 33, 127, 33, 134, 34, 139),
    *(21, 147, 23, 152, 20, 158, 25, 154, 26, 166, 21, 173, 16, 184, 13, 184, 10, 150, 13, 139, 15),
)
COARSE_INTRA: Final = (
    *(22, 178, 63, 114, 74, 82, 84, 83, 92, 82, 103, 62, 96, 72, 96, 67, 101, 73, 107, 72, 113),
    *(55, 118, 52, 125, 52, 118, 52, 117, 55, 135, 49, 137, 39, 157, 32, 145, 29, 97, 33, 77, 40),
)
# Section 4.3.2: the mean energy of each band, log2 in 1/16.
ENERGY_MEANS: Final = (103, 100, 92, 85, 81, 77, 72, 70, 78, 75, 73, 71, 78, 74, 69, 72, 70, 74, 76, 71, 60)
# Section 4.3.3, table 58: the allocation trim, of 128; what is left above each value.
TRIM_ICDF: Final = (126, 124, 119, 109, 87, 41, 19, 9, 4, 2, 0)
# Section 4.3.4.5, tables 60 to 63 at 20 ms: index 4 * is_transient + 2 * tf_select + tf_change, as signed bytes.
TF_SELECT: Final = (0, -2, 0, -3, 3, 0, 1, -1)
# Section 4.3.4.5: Hadamard order to natural order, 2, 4, 8 and 16 blocks.
HADAMARD_ORDER: Final = (
    *(1, 0),
    *(3, 0, 2, 1),
    *(7, 0, 4, 3, 6, 1, 5, 2),
    *(15, 0, 8, 7, 12, 3, 11, 4, 14, 1, 9, 6, 13, 2, 10, 5),
)
BIT_INTERLEAVE: Final = (0, 1, 1, 1, 2, 3, 3, 3, 2, 3, 3, 3, 2, 3, 3, 3)
BIT_DEINTERLEAVE: Final = (0, 3, 12, 15, 48, 51, 60, 63, 192, 195, 204, 207, 240, 243, 252, 255)

_OVERLAP: Final = 40  # 2.5 ms at 16 kHz
_MAX_PULSES: Final = 176  # of the largest band
_MAX_PSEUDO: Final = 40  # section 4.3.4.1: pulse counts above 8 come in steps
_LOG2_STEPS: Final = 64
_LINE_CHARACTERS: Final = 120  # as ruff formats: what fits in a line has no parentheses
_BYTES_A_LINE: Final = 28

Words = list[int]


def n_pulses(pseudo: int) -> int:
    """Return the number of pulses a pseudo count stands for (section 4.3.4.1)."""
    return pseudo if pseudo < 8 else (8 + (pseudo & 7)) << ((pseudo >> 3) - 1)


@cache
def codewords(n: int, k: int) -> int:
    """U(n, k) of section 4.3.4.2: half the signed vectors of n dimensions and k pulses that begin with a pulse."""
    if n == 0 or k == 0:
        return int(n == k)
    return codewords(n - 1, k) + codewords(n, k - 1) + codewords(n - 1, k - 1)


def n_vectors(n: int, k: int) -> int:
    """V(n, k): how many vectors of n integers have magnitudes that sum to k."""
    return codewords(n, k) + codewords(n, k + 1)


def log2_eighths(value: int) -> int:
    """Return log2 in 1/8 bits, rounded up by 16-bit steps: the bitstream depends on them (section 4.3.4.1)."""
    n_bits = value.bit_length()
    if value == 1 << (n_bits - 1):
        return 8 * (n_bits - 1)
    mantissa = ((value - 1) >> (n_bits - 16)) + 1 if n_bits > 16 else value << (16 - n_bits)  # Q15, 1 to 2
    log2 = 8 * (n_bits - 1)
    for digit in (8, 4, 2, 1):  # each squaring brings out the next binary digit
        carry = mantissa >> 16
        log2 += carry * digit
        mantissa = (mantissa + carry) >> carry
        mantissa = (mantissa * mantissa + 0x7FFF) >> 15
    return log2 + (mantissa > 0x8000)


def pulse_cache() -> tuple[Words, Words]:
    """Return (index of a size's costs by (split level + 1, band), the costs): see section 4.3.4.1.

    The costs of a size: the largest pseudo count, then for each count the bits it takes, in 1/8, less one.
    """
    index: Words = []
    costs: Words = []
    start_of: dict[int, int] = {0: -1}
    for level in range(LM + 2):
        for width in WIDTHS:
            n = (width << level) >> 1
            if n not in start_of:
                start_of[n] = len(costs)
                most = max(k for k in range(_MAX_PSEUDO + 1) if k == 0 or n_vectors(n, n_pulses(k)) < 1 << 32)
                costs += [most, *(log2_eighths(n_vectors(n, n_pulses(k))) - 1 for k in range(1, most + 1))]
            index.append(start_of[n])
    return index, costs


def log_n() -> Words:
    """log2 of each band's width in 1/8 bits."""
    return [log2_eighths(width) for width in WIDTHS]


def caps(index: Words, costs: Words) -> Words:
    """The most that a band of a mono 20 ms frame can use, in 1/8 bits (section 4.3.3)."""
    found = []
    for band, width in enumerate(WIDTHS):
        n, level = (width >> 1, -1) if width > 2 else (width << (width == 1), int(width == 1))
        start = index[(level + 1) * N_BANDS + band]
        bits = costs[start + costs[start]] + 1
        for k in range(LM - level):  # the cost of each split on the way up
            bits <<= 1
            offset = ((log_n()[band] + 8 * (level + k)) >> 1) - 4
            above, below = 459 * ((2 * n - 1) * offset + bits), ((2 * n - 1) << 9) - 459
            bits += min((above + (below >> 1)) // below, 57)
            n <<= 1
        offset = ((log_n()[band] + 8 * LM) >> 1) - 21  # fine energy
        above, below = bits + n * offset, (n - 1) << 3
        bits += min((above + (below >> 1)) // below, 8) << 3
        per_bin = 4 * bits // (width << LM) - 64
        found.append((per_bin + 64) * (width << LM) >> 2)
    return found


def pvq_table() -> tuple[Words, Words]:
    """Return (where row n would have its column 0, the rows): U(n, k) for k >= n, as far as 32 bits go."""
    starts: Words = []
    rows: Words = []
    for n in range(15):
        starts.append(len(rows) - n)
        rows += [codewords(n, k) for k in range(n, _MAX_PULSES + 2) if codewords(n, k) < 1 << 32]
    return starts, rows


def log2_corrections() -> Words:
    """Return the largest mantissa, Q15, whose log2 has i eighths, as three squarings find it (section 4.1.6.1)."""
    largest: Words = [0] * 8
    for mantissa in range(1 << 15, 1 << 16):
        square, eighths = mantissa, 0
        for _ in range(3):
            square = square * square >> 15
            carry = square >> 16
            eighths = 2 * eighths + carry
            square >>= carry
        largest[eighths] = mantissa
    return largest


def complex_words(angles: list[float], bits: int = 14) -> Words:
    """Return cos and sin of each angle in Q14."""
    return [round(part * (1 << bits)) for angle in angles for part in (math.cos(angle), math.sin(angle))]


def rotation(n: int, n_quarter: int) -> list[float]:
    """The angles by which an MDCT of n samples turns its n/4 complex values before and after the FFT."""
    return [-2 * math.pi * (i + 0.125) / n for i in range(n_quarter)]


def prime_factor_maps(n: int, n_rows: int, order: list[int]) -> tuple[Words, Words]:
    """Return where sample i goes and where bin k is found in a 5 x n_rows transform without twiddles between.

    Good's mapping in, the Chinese remainder theorem out; order: bit reversal within a row of 32 words.
    """
    places = [0] * n
    for row in range(5):
        for column in range(n_rows):
            places[(n_rows * row + 5 * column) % n] = row * 32 + order[column]
    return places, [(k % 5) * 32 + k % n_rows for k in range(n)]


def postfilter_taps() -> Words:
    """Section 4.3.7.1: each tapset at each third of a sample of delay, as 7 taps at 16 kHz, Q12, fitted up to 6 kHz."""
    gains = (
        (0.306640625, 0.2170410156, 0.1296386719),
        (0.4638671875, 0.2680664062, 0),
        (0.7998046875, 0.1000976562, 0),
    )
    w = np.linspace(0, np.pi * 0.93, 400)
    weight = np.where(w < np.pi * 0.8, 1, 0.3)
    taps: Words = []
    basis = np.exp(-1j * np.outer(w, np.arange(-3, 4))) * weight[:, None]
    for gain in gains:
        for third in (-1, 0, 1):
            wanted = (gain[0] + 2 * gain[1] * np.cos(w / 3) + 2 * gain[2] * np.cos(2 * w / 3)) * np.exp(
                -1j * w / 3 * third
            )
            wanted = wanted * weight
            fit, *_ = np.linalg.lstsq(
                np.vstack([basis.real, basis.imag]), np.concatenate([wanted.real, wanted.imag]), rcond=None
            )
            taps += [round(4096 * float(tap)) for tap in fit]
    return taps


def tables() -> dict[str, tuple[str, str, Words]]:
    """Return name -> (kind, comment, values); kind: "i" for words of 32 bits, "b" for bytes."""
    index, costs = pulse_cache()
    starts, rows = pvq_table()
    eighth = [round(1024 * math.log2(1 + i / _LOG2_STEPS)) for i in range(_LOG2_STEPS + 1)]
    window = [
        32768 * math.sin(math.pi / 2 * math.sin(math.pi / 2 * (i + 0.5) / _OVERLAP) ** 2) for i in range(_OVERLAP)
    ]
    long_in, long_out = prime_factor_maps(160, 32, [(n & 1) * 16 + ((n >> 1) & 3) * 4 + (n >> 3) for n in range(32)])
    short_in, short_out = prime_factor_maps(20, 4, [0, 1, 2, 3])
    twiddles = complex_words([-2 * math.pi * j * k / 16 for k in range(4) for j in (1, 2, 3)])
    twiddles += complex_words([-2 * math.pi * k / 32 for k in range(16)])
    turns = [math.pi / 2 * i / _LOG2_STEPS for i in range(_LOG2_STEPS + 1)]
    return {
        "MDCT_TRIG": ("i", "section 4.3.7: cos, -sin of 2 pi (i + 1/8) / 640, Q14", complex_words(rotation(640, 160))),
        "MDCT_TRIG_SHORT": ("i", "the same for short blocks: / 80", complex_words(rotation(80, 20))),
        "FFT_TWIDDLES": ("i", "W16**(jk) for k = 0..3, j = 1..3, then W32**k, Q14", twiddles),
        "WINDOW": (
            "i",
            "section 4.3.7: the rising half of the Vorbis power-complementary window, Q15",
            [min(round(value), 32767) for value in window],
        ),
        "PVQ_ROWS": ("i", "row n of U(n, k) begins at PVQ_U[PVQ_ROWS[n] + n]", starts),
        "PVQ_U": ("i", "section 4.3.4.2: U(n, k) for k >= n, as 32 bits without sign", rows),
        "CACHE_INDEX": ("i", "section 4.3.4.1: where the costs of (level + 1, band) begin in CACHE_BITS", index),
        "LOG2": ("i", "log2(1 + i/64), Q10", eighth),
        "ROTATION_COS": (
            "i",
            "section 4.3.4.3: cos(pi/2 i/64), Q15",
            [round(32767 * math.cos(turn)) for turn in turns],
        ),
        "LOG2_CORRECTION": (
            "i",
            "section 4.1.6.1: the largest mantissa of a range, Q15, whose log2 has i eighths",
            log2_corrections(),
        ),
        "QN_EXP2": ("i", "section 4.3.4.3: 2**(i/8), Q14", [int(16384 * 2 ** (i / 8)) for i in range(8)]),
        "CAPS": ("i", "section 4.3.3: the most a band of mono 20 ms can use, 1/8 bits", caps(index, costs)),
        "EXP2": ("i", "2**(i/64), Q14", [round(16384 * 2 ** (i / _LOG2_STEPS)) for i in range(_LOG2_STEPS + 1)]),
        "POSTFILTER_TAPS": (
            "i",
            "section 4.3.7.1 at 16 kHz: 7 taps a third of a sample a tapset, Q12",
            postfilter_taps(),
        ),
        "BAND_EDGES": ("b", "section 4.3, table 55: in units of 8 bins", list(BAND_EDGES)),
        "ALLOCATION": ("b", "section 4.3.3, table 57: 1/32 bit a bin, 11 rows", [v for row in ALLOCATION for v in row]),
        "LOG_N": ("b", "log2 of each band's width, 1/8", log_n()),
        "CACHE_BITS": ("b", "section 4.3.4.1: largest pseudo count, then the cost of each less one, 1/8 bits", costs),
        "COARSE_PROBS": (
            "b",
            "section 4.3.2.1: probability of 0 and decay a band, Q8: inter, then intra",
            [*COARSE_INTER, *COARSE_INTRA],
        ),
        "ENERGY_MEANS": ("b", "section 4.3.2: log2 of the mean amplitude, Q4", list(ENERGY_MEANS)),
        "FFT_IN": ("b", "where value i of 160 goes: row of 32 words, column in bit-reversed order", long_in),
        "FFT_OUT": ("b", "where bin k of 160 is found", long_out),
        "FFT_IN_SHORT": ("b", "the same for 20 values", short_in),
        "FFT_OUT_SHORT": ("b", "", short_out),
        "TRIM_ICDF": ("b", "section 4.3.3, table 58", list(TRIM_ICDF)),
        "HADAMARD_ORDER": (
            "b",
            "section 4.3.4.5: the order of short blocks for 2, 4, 8 and 16 of them, from stride - 2",
            list(HADAMARD_ORDER),
        ),
        "TF_SELECT": ("b", "section 4.3.4.5, tables 60 to 63 for 20 ms, signed", [v & 255 for v in TF_SELECT]),
        "BIT_INTERLEAVE": ("b", "4 collapse bits, pairs joined", list(BIT_INTERLEAVE)),
        "BIT_DEINTERLEAVE": ("b", "the other way: each of 4 bits doubled", list(BIT_DEINTERLEAVE)),
    }


_HEAD: Final = (
    '"""The tables of CELT at 16 kHz, mono, 20 ms, with their sections of RFC 6716. Made by opus_tables.py."""\n\n'
    "from array import array\n\n"
)


def source() -> str:
    """Return tables.py."""
    parts = [_HEAD]
    for name, (kind, comment, values) in tables().items():
        if comment:
            parts.append(f"# {comment[0].upper()}{comment[1:]}.\n")
        signed = [(value + (1 << 31)) % (1 << 32) - (1 << 31) for value in values]
        data = struct.pack(f"<{len(values)}i", *signed) if kind == "i" else bytes(values)
        parts.append(_assignment(name, kind, data))
    return "".join(parts)


def _assignment(name: str, kind: str, data: bytes) -> str:
    """Return the statement that makes a table, as ruff would format it."""
    in_one_line = f'{name} = b"{_escaped(data)}"\n'
    if kind == "b" and len(in_one_line) <= _LINE_CHARACTERS:
        return in_one_line
    lines = [_escaped(data[i : i + _BYTES_A_LINE]) for i in range(0, len(data), _BYTES_A_LINE)]
    text = "\n".join(f'    b"{line}"' for line in lines)
    return f'{name} = array(\n    "i",\n{text},\n)\n' if kind == "i" else f"{name} = (\n{text}\n)\n"


def _escaped(data: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in data)


def main() -> int:
    """Write tables.py, or with --check say whether it is up to date."""
    parser = argparse.ArgumentParser(description="Make firmware/pressroom/opus/tables.py.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if it differs")
    path = assets.firmware_folder() / "pressroom" / "opus" / "tables.py"
    made = source()
    if parser.parse_args().check:
        if path.read_text(encoding="utf-8") == made:
            return 0
        print(f"{path} differs; run: python -m pressroom_host.firmware.opus_tables", file=sys.stderr)
        return 1
    path.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
