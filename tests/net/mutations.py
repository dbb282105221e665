"""What a hostile or broken network makes of a real packet: shorter, longer, with flipped bits, or nothing like it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
OVERSIZED_BYTES = 70_000  # more than a UDP datagram can have

_IS_LONG_RUN = os.environ.get("PRESSROOM_LONG") == "1"
FUZZ_TIMEOUT_S = 1_800 if _IS_LONG_RUN else 120  # for pytest: of one test
_MAX_COLLECTED_BYTES = 4_096

# 1,000 examples a parser, 100,000 in the long run; each within a second, whatever it contains.
_fuzz_settings = settings(
    max_examples=100_000 if _IS_LONG_RUN else 1_000,
    deadline=1_000,
    suppress_health_check=[HealthCheck.too_slow],
)


def fuzz(test: Callable[..., None]) -> Any:
    """Run a test decorated with `given` as often as a parser has to stand."""
    return pytest.mark.timeout(FUZZ_TIMEOUT_S)(_fuzz_settings(test))


def captures(folder: str, suffix: str = ".bin") -> list[bytes]:
    """Return every capture of the folder; there is at least one."""
    found = [path.read_bytes() for path in sorted((VECTORS / folder).glob(f"*{suffix}"))]
    assert found, f"no captures in {VECTORS / folder}"
    return found


@st.composite
def mutated(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A seed, cut short, with bits flipped, spliced with another, or grown."""
    data = bytearray(draw(st.sampled_from(seeds)))
    how = draw(st.sampled_from(("truncate", "flip", "splice", "grow")))
    if how == "truncate":
        del data[draw(st.integers(0, len(data))) :]
    elif how == "flip":
        for position in draw(st.lists(st.integers(0, 8 * len(data) - 1), min_size=1, max_size=12)):
            data[position // 8] ^= 1 << position % 8
    elif how == "splice":
        other = draw(st.sampled_from(seeds))
        data[draw(st.integers(0, len(data))) :] = other[draw(st.integers(0, len(other))) :]
    else:
        data += bytes(draw(st.sampled_from((1, 3, 1_500, OVERSIZED_BYTES))))
    return bytes(data)


def hostile(seeds: list[bytes]) -> st.SearchStrategy[bytes]:
    """Mutated captures, and bytes that have never been one."""
    return mutated(seeds) | st.binary(max_size=2_000)


def hostile_text(seeds: list[bytes]) -> st.SearchStrategy[str]:
    """The same for text formats."""
    texts: Any = hostile(seeds).map(lambda data: data.decode("utf-8", errors="replace"))
    return texts | st.text(max_size=2_000)


def examples(strategy: st.SearchStrategy[bytes]) -> list[bytes]:
    """Return as many examples as a fuzzed test has, for tests that need a running loop; no longer than a datagram."""
    collected: list[bytes] = []

    @_fuzz_settings
    @given(example=strategy)
    def collect(example: bytes) -> None:
        collected.append(example[:_MAX_COLLECTED_BYTES])

    collect()
    return collected
