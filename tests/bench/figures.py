"""A figure, its budget, and the table of them all."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from pressroom_host.cli.output import print_json, print_table


@dataclass(frozen=True)
class Figure:
    """One thing that was measured. `value` is None where it could not be, and `note` says why."""

    name: str
    value: float | None
    unit: str
    budget: float
    is_floor: bool = False  # the budget is the least, not the most
    note: str = ""

    @property
    def verdict(self) -> str:
        """Say how it stands to its budget."""
        if self.value is None:
            return "not measured"
        is_met = self.value >= self.budget if self.is_floor else self.value <= self.budget
        return "met" if is_met else "MISSED"


def show(figures: Sequence[Figure], *, is_json: bool) -> None:
    """Print them for a person or for a program."""
    if is_json:
        print_json({"figures": [{**asdict(figure), "verdict": figure.verdict} for figure in figures]})
        return
    print_table(
        ("figure", "measured", "budget", "", "how"),
        [
            (
                figure.name,
                "-" if figure.value is None else f"{figure.value:,.4g} {figure.unit}".strip(),
                f"{'at least' if figure.is_floor else 'at most'} {figure.budget:g} {figure.unit}".strip(),
                figure.verdict,
                figure.note,
            )
            for figure in figures
        ],
    )


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Return the smallest value that at least so many percent of them do not exceed; None of none."""
    ordered = sorted(values)
    if not ordered:
        return None
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(int(rank) - 1, 0)]
