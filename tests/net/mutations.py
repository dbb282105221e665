"""What a hostile or broken network makes of a real packet: shorter, longer, with flipped bits, or nothing like it."""

import os
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
OVERSIZED_BYTES = 70_000  # more than a UDP datagram can have

# 1,000 examples a parser, 100,000 in the long run; each within a second, whatever it contains.
fuzz = settings(
    max_examples=100_000 if os.environ.get("PRESSROOM_LONG") == "1" else 1_000,
    deadline=1_000,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


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
    """Return as many examples as a fuzzed test has, for tests that need a running loop."""
    collected: list[bytes] = []

    @fuzz
    @given(example=strategy)
    def collect(example: bytes) -> None:
        collected.append(example)

    collect()
    return collected
