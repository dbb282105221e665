"""The codec's tables: the shipped file is what the generator makes, and has the properties RFC 6716 asks for.

What is expected here is counted or computed anew from the RFC's definitions, not with the generator's functions.
"""

import math
import runpy
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from pressroom_host import assets
from pressroom_host.firmware import opus_tables

TABLES_PY = Path(__file__).resolve().parents[2] / "firmware" / "pressroom" / "opus" / "tables.py"
TABLES = {name: list(table) for name, table in runpy.run_path(str(TABLES_PY)).items() if name.isupper()}

N_BANDS = 21
N_LEVELS = 5  # section 4.3.4.1: sizes from half a short block's band to the whole band of 20 ms


def check() -> int:
    command = [sys.executable, "-m", "pressroom_host.firmware.opus_tables", "--check"]
    return subprocess.run(command, capture_output=True, check=False).returncode


def u(n: int, k: int) -> int | None:
    """U(n, k) as the file has it, which is symmetric; None where the file does not reach."""
    n, k = min(n, k), max(n, k)
    starts, rows = TABLES["PVQ_ROWS"], TABLES["PVQ_U"]
    if n >= len(starts):
        return None
    end = starts[n + 1] + n + 1 if n + 1 < len(starts) else len(rows)
    at = starts[n] + k
    return rows[at] & 0xFFFFFFFF if at < end else None


def n_vectors(n: int, k: int) -> int:
    """V(n, k) by the recursion of section 4.3.4.2, in integers of any size."""
    row = [1] + [0] * k
    for _ in range(n):
        longer = [1]
        for pulses in range(1, k + 1):
            longer.append(row[pulses] + longer[pulses - 1] + row[pulses - 1])
        row = longer
    return row[k]


def test_the_shipped_file_is_what_the_generator_makes():
    assert TABLES_PY.read_text(encoding="utf-8") == opus_tables.source()
    assert check() == 0


def test_the_check_finds_one_changed_byte_and_the_generator_puts_it_right(tmp_path, monkeypatch, capsys):
    shipped = TABLES_PY.read_text(encoding="utf-8")
    copy = tmp_path / "pressroom" / "opus" / "tables.py"
    copy.parent.mkdir(parents=True)
    changed = shipped.replace("\\x7e", "\\x7d", 1)
    assert changed != shipped
    copy.write_text(changed, encoding="utf-8")
    monkeypatch.setattr(assets, "firmware_folder", lambda: tmp_path)
    monkeypatch.setattr(sys, "argv", ["opus_tables", "--check"])
    assert opus_tables.main() == 1
    assert "opus_tables" in capsys.readouterr().err
    assert copy.read_text(encoding="utf-8") == changed
    monkeypatch.setattr(sys, "argv", ["opus_tables"])
    assert opus_tables.main() == 0
    assert copy.read_text(encoding="utf-8") == shipped


@pytest.mark.parametrize(("n", "k"), [(1, 3), (2, 1), (2, 5), (3, 4), (4, 3), (5, 2)])
def test_codewords_are_as_many_as_there_are_vectors(n, k):
    counted = sum(1 for vector in product(range(-k, k + 1), repeat=n) if sum(map(abs, vector)) == k)
    assert u(n, k) + u(n, k + 1) == counted == n_vectors(n, k)


def test_each_number_of_codewords_is_the_sum_of_its_three_neighbours():
    n_held = 0
    for n in range(1, len(TABLES["PVQ_ROWS"])):
        for k in range(n, 178):
            around = (u(n, k), u(n - 1, k), u(n, k - 1), u(n - 1, k - 1))
            if None not in around:
                assert around[0] == sum(around[1:]), (n, k)
                n_held += 1
    assert n_held > len(TABLES["PVQ_U"]) * 0.8


def test_a_pulse_costs_log2_of_the_vectors_rounded_up():
    index, costs = TABLES["CACHE_INDEX"], TABLES["CACHE_BITS"]
    edges = TABLES["BAND_EDGES"]
    assert len(index) == N_LEVELS * N_BANDS
    for level in range(N_LEVELS):
        for band in range(N_BANDS):
            n = ((edges[band + 1] - edges[band]) << level) >> 1
            start = index[level * N_BANDS + band]
            if n == 0:
                assert start == -1
                continue
            for pseudo in range(1, costs[start] + 1):
                k = pseudo if pseudo < 8 else (8 + pseudo % 8) << (pseudo // 8 - 1)
                exact = 8 * math.log2(n_vectors(n, k))
                assert exact - 0.01 <= costs[start + pseudo] + 1 < exact + 1.1, (n, k)
                assert n_vectors(n, k) < 1 << 32


def test_the_window_is_power_complementary():
    window = np.array(TABLES["WINDOW"]) / 32768
    assert len(window) == 40
    assert np.all(np.diff(window) >= 0)
    assert np.abs(window**2 + window[::-1] ** 2 - 1).max() < 2**-14


@pytest.mark.parametrize("name", ["MDCT_TRIG", "MDCT_TRIG_SHORT", "FFT_TWIDDLES"])
def test_what_turns_a_complex_number_keeps_its_length(name):
    real, imaginary = np.array(TABLES[name]).reshape(-1, 2).T / 16384
    assert np.abs(np.hypot(real, imaginary) - 1).max() < 2**-13


def reversed_column(column: int) -> int:
    """Where radix 4, 4 and 2 want a value of a row of 32: its digits in reverse."""
    first, second, third = column % 2, column // 2 % 4, column // 8
    return (first * 4 + second) * 4 + third


@pytest.mark.parametrize(
    ("name", "n_columns", "order"),
    [("", 32, [reversed_column(c) for c in range(32)]), ("_SHORT", 4, [0, 1, 2, 3])],
    ids=["long", "short"],
)
def test_rows_then_columns_between_the_two_maps_are_a_fourier_transform(name, n_columns, order):
    into, out = TABLES[f"FFT_IN{name}"], TABLES[f"FFT_OUT{name}"]
    values = np.random.default_rng(1).normal(size=(5 * n_columns, 2)) @ [1, 1j]
    placed = np.zeros(160, complex)
    placed[into] = values
    rows = placed.reshape(5, 32)[:, order]
    found = np.zeros((5, 32), complex)
    found[:, :n_columns] = np.fft.fft2(rows)
    assert np.abs(found.ravel()[out] - np.fft.fft(values)).max() < 1e-9


def test_a_better_row_of_the_static_allocation_gives_no_band_less():
    rows = np.array(TABLES["ALLOCATION"]).reshape(11, N_BANDS)
    assert np.all(np.diff(rows, axis=0) >= 0)


def test_logarithms_and_powers_of_two_undo_each_other():
    log2, exp2 = np.array(TABLES["LOG2"]) / 1024, np.array(TABLES["EXP2"]) / 16384
    steps = np.arange(65) / 64
    assert np.abs(2**log2 - (1 + steps)).max() < 2**-10
    assert np.abs(np.log2(exp2) - steps).max() < 2**-13


def test_what_has_a_formula_follows_it():
    edges = np.array(TABLES["BAND_EDGES"])
    assert TABLES["LOG_N"] == [math.ceil(8 * math.log2(width) - 0.01) for width in np.diff(edges)]
    assert TABLES["QN_EXP2"] == [math.floor(2 ** (14 + i / 8)) for i in range(8)]
    quarter = np.array(TABLES["ROTATION_COS"]) / 32767
    assert np.abs(quarter**2 + quarter[::-1] ** 2 - 1).max() < 2**-14


def test_a_corrected_log2_is_that_of_three_squarings():
    # Section 4.1.6.1 squares; the range coder takes the three bits below the first and looks up whether one is due.
    mantissas = np.arange(1 << 15, 1 << 16)
    squares, wanted = mantissas, 0
    for _ in range(3):
        squares = squares * squares >> 15
        wanted = 2 * wanted + (squares >> 16)
        squares = squares >> (squares >> 16)
    eighths = (mantissas >> 12) - 8
    assert np.array_equal(eighths + (mantissas > np.array(TABLES["LOG2_CORRECTION"])[eighths]), wanted)


def test_the_blocks_of_a_hadamard_order_each_come_once():
    at = 0
    for n_blocks in (2, 4, 8, 16):
        order = TABLES["HADAMARD_ORDER"][at : at + n_blocks]
        assert sorted(order) == list(range(n_blocks))
        at += n_blocks
    assert at == len(TABLES["HADAMARD_ORDER"])


def test_collapse_bits_that_are_doubled_and_joined_are_as_before():
    joined, doubled = TABLES["BIT_INTERLEAVE"], TABLES["BIT_DEINTERLEAVE"]
    for bits in range(16):
        assert joined[doubled[bits] & 15] | joined[doubled[bits] >> 4] << 2 == bits


def test_the_short_comb_filter_does_to_voices_what_the_rfcs_does_at_48_khz():
    # Section 4.3.7.1: five taps around the period, symmetric, at 48 kHz.
    tapsets = (
        (0.3066406250, 0.2170410156, 0.1296386719),
        (0.4638671875, 0.2680664062, 0),
        (0.7998046875, 0.1000976562, 0),
    )
    taps = np.array(TABLES["POSTFILTER_TAPS"]).reshape(3, 3, 7) / 4096
    hz = np.arange(0, 4_001, 50)
    for tapset, third in product(range(3), (-1, 0, 1)):
        turn = 2 * np.pi * hz / 48_000
        wanted = sum(tapsets[tapset][abs(k)] * np.exp(-1j * turn * (k + third)) for k in range(-2, 3))
        got = np.exp(-1j * np.outer(3 * turn, np.arange(-3, 4))) @ taps[tapset, third + 1]
        assert np.abs(got - wanted).max() < 0.032  # -30 dB: seven taps at 16 kHz are a fit, not the same filter
