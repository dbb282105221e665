import os
import subprocess
import sys

import pytest

from pressroom_host.demo import folder
from pressroom_host.demo.folder import FolderBusy, FolderUnusable, held


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_second_demo_at_once_gets_a_folder_of_its_own():
    with held(None) as first, held(None) as second:
        assert (str(first), str(second)) == ("build/demo", "build/demo-2")
    with held(None) as third:
        assert third == folder.DEFAULT


def test_a_folder_that_was_asked_for_is_not_shared(tmp_path):
    with held(tmp_path / "mine"), pytest.raises(FolderBusy, match="another demo writes into"), held(tmp_path / "mine"):
        pass


def test_results_of_an_earlier_run_are_removed_and_nothing_else(tmp_path):
    for name in ("heard-1.wav", "heard-9.wav", "report.json", "timeline.svg", "notes.txt"):
        (tmp_path / name).write_text("old")
    with held(tmp_path):
        assert sorted(path.name for path in tmp_path.iterdir() if path.name != ".lock") == ["notes.txt"]


def test_a_folder_that_is_a_file_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderUnusable, match="--out"), held(tmp_path / "file" / "demo"):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody without rights; run as root")
def test_a_folder_without_the_right_to_write_is_one_clear_line(tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    code = f"""
import os
from pathlib import Path
from pressroom_host.demo.folder import FolderUnusable, held
os.setuid(65534)
try:
    with held(Path({str(locked)!r})):
        print("held")
except FolderUnusable as error:
    print(error)
"""
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(0o755)
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert "Permission denied" in shown.stdout, shown.stderr
