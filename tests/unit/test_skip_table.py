"""The table that ends a test run: what was skipped, and what to plug in to run it."""

import subprocess
import sys
from pathlib import Path

CONFTEST = Path(__file__).resolve().parents[1] / "conftest.py"

TESTS = """
import pytest

@pytest.mark.skip(reason="Node is not installed; install nodejs 18 or later")
def test_a(): pass

@pytest.mark.parametrize("n", range(2))
def test_b(n): pytest.skip("Go is not installed; install golang")

@pytest.mark.long
def test_c(): pass

def test_d(): pass
"""


def run_pytest(folder: Path, tests: str, **environment: str) -> str:
    (folder / "conftest.py").write_text(CONFTEST.read_text())
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = long\n")
    (folder / "test_some.py").write_text(tests)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout


def test_skips_are_counted_by_reason_and_the_total_ends_the_table(tmp_path):
    lines = run_pytest(tmp_path, TESTS).splitlines()
    start = next(i for i, line in enumerate(lines) if "skips by reason" in line)
    assert lines[start + 1 : start + 4] == [
        "    2  Go is not installed; install golang",
        "    1  Node is not installed; install nodejs 18 or later",
        "skips: 3",
    ]


def test_a_run_without_skips_says_so_for_ci(tmp_path):
    assert "skips: none" in run_pytest(tmp_path, "def test_d(): pass\n").splitlines()


def test_a_long_test_is_left_to_the_long_run_and_is_no_skip(tmp_path):
    assert "1 deselected" in run_pytest(tmp_path, TESTS)


def test_the_long_run_has_every_test(tmp_path):
    assert "2 passed" in run_pytest(tmp_path, TESTS, PRESSROOM_LONG="1")
