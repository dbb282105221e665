"""The state folder: private, whole, and held by one."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pressroom_host.gateway.state import StateFolder, StateLocked, StateNotPrivate, StateUnusable

NOBODY = 65_534
CHILD_TIMEOUT_S = 30


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    return StateFolder.open(tmp_path / "state")


def test_folder_and_files_are_for_their_owner_only(tmp_path):
    previous = os.umask(0)
    try:
        folder = StateFolder.open(tmp_path / "a" / "state")
        folder.write("secret", b"s")
        with folder.changing():
            pass
        folder.lock("a test").release()
    finally:
        os.umask(previous)
    assert mode(folder.path) == 0o700
    assert {mode(path) for path in folder.path.iterdir()} == {0o600}


def test_an_empty_folder_is_made_private_and_one_in_use_is_refused(tmp_path):
    empty, used = tmp_path / "empty", tmp_path / "used"
    for path in (empty, used):
        path.mkdir(mode=0o755)
    (used / "letter").touch()
    assert mode(StateFolder.open(empty).path) == 0o700
    with pytest.raises(StateNotPrivate, match=f"chmod 700 {used}"):
        StateFolder.open(used)
    assert mode(used) == 0o755


def test_the_default_folder_is_where_the_system_keeps_state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tmp_path in StateFolder.open(None).path.parents


def test_a_file_is_replaced_whole_and_nothing_is_left_beside_it(folder):
    folder.write("file", b"old")
    folder.write("file", b"new")
    assert folder.read("file") == b"new"
    assert [path.name for path in folder.path.iterdir()] == ["file"]


def test_a_write_that_fails_leaves_the_old_file(folder, monkeypatch):
    folder.write("file", b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StateUnusable, match="No space left on device"):
        folder.write("file", b"new")
    assert folder.read("file") == b"old"
    assert [path.name for path in folder.path.iterdir()] == ["file"]


def test_a_file_that_is_not_there_is_none(folder):
    assert folder.read("file") is None


def test_a_locked_folder_names_its_holder(folder):
    lock = folder.lock("a pressroom gateway")
    with pytest.raises(StateLocked, match=rf"in use by a pressroom gateway \(pid {os.getpid()}\); .*--state-dir"):
        StateFolder.open(folder.path).lock("another")
    lock.release()
    lock.release()
    folder.lock("another").release()


def test_a_lock_ends_with_its_process(folder):
    code = (
        "import sys, pathlib\n"
        "from pressroom_host.gateway.state import StateFolder\n"
        "lock = StateFolder.open(pathlib.Path(sys.argv[1])).lock('a child')\n"
        "print('locked', flush=True)\n"
        "sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(folder.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "locked\n"
    with pytest.raises(StateLocked, match=f"a child .pid {child.pid}"):
        folder.lock("another")
    child.kill()
    child.communicate(timeout=CHILD_TIMEOUT_S)
    folder.lock("another").release()


def test_a_place_that_is_no_folder_is_one_clear_line(tmp_path):
    (tmp_path / "state").touch()
    with pytest.raises(StateUnusable, match=r"state cannot be made: .*--state-dir") as caught:
        StateFolder.open(tmp_path / "state")
    assert "\n" not in str(caught.value)


def test_a_read_only_folder_is_one_clear_line_for_who_is_not_root(tmp_path):
    """Root writes everywhere, so a child that has dropped it looks for us."""
    if os.geteuid() != 0:
        pytest.skip("not root; run as root to drop it")
    state = StateFolder.open(tmp_path / "state").path
    state.chmod(0o500)
    code = (
        "import os, sys, pathlib\n"
        "from pressroom_host.gateway.state import StateFolder, StateUnusable\n"
        f"path = pathlib.Path({str(state)!r})\n"
        f"os.chown(path, {NOBODY}, {NOBODY})\n"
        "open_folder = StateFolder(path)\n"
        f"os.chdir(path); os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
        "for use in (lambda: open_folder.lock('x'), lambda: open_folder.write('f', b'')):\n"
        "    open_folder.path = pathlib.Path('.')\n"
        "    try: use()\n"
        "    except StateUnusable as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=CHILD_TIMEOUT_S)
    lines = done.stdout.splitlines()
    assert len(lines) == 2, done.stderr
    for line in lines:
        assert "cannot be written: Permission denied" in line
        assert "--state-dir" in line
