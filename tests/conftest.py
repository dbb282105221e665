"""For every test: what runs only in the long run, logs as they were, and the table of skips by reason that ends a run.

CI reads the table's last line: `skips: none` or `skips: N`.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import structlog

_TESTS = Path(__file__).parent
_IN_REAL_TIME = ("device", "integration")
_IS_LONG_RUN = os.environ.get("PRESSROOM_LONG") == "1"


@pytest.fixture(autouse=True)
def _logs_go_where_they_went_before() -> Iterator[None]:
    """A command that a test ran in this process may have sent the logs to what pytest has closed since."""
    yield
    structlog.reset_defaults()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the long tests of a short run: they are another target of the Makefile, not something missing here.

    Where several workers run, the tests that run boards in real time follow one another.
    """
    for item in items:
        folder = item.path.relative_to(_TESTS).parts[0]
        if folder in _IN_REAL_TIME:
            item.add_marker(pytest.mark.xdist_group(folder))
    if _IS_LONG_RUN:
        return
    long_items = [item for item in items if item.get_closest_marker("long")]
    if long_items:
        config.hook.pytest_deselected(items=long_items)
        items[:] = [item for item in items if item not in long_items]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """End the run with the skips, grouped by what to plug in."""
    lines = skip_table(terminalreporter.stats.get("skipped", ()))
    terminalreporter.section("skips by reason")
    for line in lines:
        terminalreporter.write_line(line)


def skip_table(reports: Iterable[pytest.TestReport | pytest.CollectReport]) -> list[str]:
    """Return a line for each reason, the commonest first, and the total."""
    n_by_reason = Counter(_reason(report) for report in reports)
    lines = [f"{n:5d}  {reason}" for reason, n in n_by_reason.most_common()]
    total = sum(n_by_reason.values())
    return [*lines, f"skips: {total or 'none'}"]


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    # pytest reports a skip as (path, line, "Skipped: reason").
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")
