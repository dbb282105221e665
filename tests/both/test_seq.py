"""wire.seq: numbers that wrap, at their wrap."""

from portable import allocates_nothing

from pressroom.wire import seq

LAST_MS = (1 << 30) - 1


def test_time_passes_across_the_wrap():
    assert seq.ms_between(LAST_MS, 0) == 1
    assert seq.ms_between(0, LAST_MS) == -1
    assert seq.ms_between(LAST_MS - 49, 50) == 100
    assert seq.ms_after(LAST_MS, 1) == 0
    assert seq.ms_after(LAST_MS, LAST_MS) == LAST_MS - 1
    assert seq.ms_after(0, -1) == LAST_MS
    assert seq.ms_after(5, 0) == 5


def test_half_the_clock_away_is_in_the_past():
    half_ms = 1 << 29
    assert seq.ms_between(0, half_ms - 1) == half_ms - 1
    assert seq.ms_between(0, half_ms) == -half_ms
    assert seq.ms_between(half_ms, 0) == -half_ms


def test_what_was_added_is_between():
    for start_ms in (0, 1, LAST_MS // 2, LAST_MS - 50, LAST_MS):
        for delta_ms in (-(1 << 29), -1_000, -1, 0, 1, 1_000, (1 << 29) - 1):
            assert seq.ms_between(start_ms, seq.ms_after(start_ms, delta_ms)) == delta_ms


def test_sequence_numbers_wrap_at_16_bits():
    assert seq.seq_between(65_535, 0) == 1
    assert seq.seq_between(0, 65_535) == -1
    assert seq.seq_between(10, 32_777) == 32_767
    assert seq.seq_between(10, 32_778) == -32_768
    assert seq.seq_after(65_535, 2) == 1
    assert seq.seq_after(0, -1) == 65_535


def test_timestamps_wrap_at_32_bits():
    assert seq.timestamp_between(0xFFFFFFFF, 0) == 1
    assert seq.timestamp_between(0, 0xFFFFFFFF) == -1
    assert seq.timestamp_between(0, 0x80000000) == -0x80000000
    assert seq.timestamp_after(0xFFFFFFFF, 320) == 319
    assert seq.timestamp_after(10, -320) == 0xFFFFFECA


def test_times_and_sequence_numbers_allocate_nothing():
    def step():
        seq.ms_between(LAST_MS, 0)
        seq.ms_between(0, LAST_MS)
        seq.ms_between(0, 1 << 29)
        seq.ms_after(LAST_MS, LAST_MS)
        seq.ms_after(0, -LAST_MS)
        seq.seq_between(65_535, 0)
        seq.seq_after(65_535, 1)

    assert allocates_nothing(step)
