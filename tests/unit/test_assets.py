"""Where the host finds the firmware and the boards, in a checkout with an editable install."""

import importlib.metadata
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from pressroom_host import assets

CHECKOUT = Path(__file__).resolve().parents[2]


def test_in_a_checkout_the_assets_are_the_checkouts_own_files():
    assert assets.root() == CHECKOUT
    assert assets.firmware_folder() == CHECKOUT / "firmware"
    assert (assets.firmware_folder() / "main.py").is_file()


def test_every_board_is_found_by_its_name():
    assert "esp32-s3-devkitc-inmp441-max98357a" in assets.board_names()
    for name in assets.board_names():
        assert assets.board_file(name).is_file()


def test_an_unknown_board_is_refused_with_the_names_that_exist():
    with pytest.raises(assets.BoardUnknown, match=r"'attic' is unknown; choose one of: .*esp32-s3"):
        assets.board_file("attic")


@pytest.mark.parametrize("name", ["../pyproject", "/etc/passwd", "", "."])
def test_a_board_name_is_never_a_path(name):
    with pytest.raises(assets.BoardUnknown):
        assets.board_file(name)


def test_an_editable_install_copies_nothing():
    files = importlib.metadata.files("pressroom") or []
    installed = [str(file) for file in files if ".dist-info" not in str(file)]
    assert [name for name in installed if name.endswith((".json", ".wav")) or "_assets" in name] == []
    assert not (CHECKOUT / "host_tools" / "pressroom_host" / "_assets").exists()


def test_only_the_packages_of_the_firmware_can_be_imported_on_the_host(tmp_path):
    # In an empty folder: Python looks into the current one too.
    code = "import importlib.util as u; print([n for n in ('main', 'boot', 'app', 'hal', 'wire') if u.find_spec(n)])"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    found = importlib.util.find_spec("pressroom.wire")
    assert found is not None
    assert found.origin is not None
    assert Path(found.origin).is_relative_to(CHECKOUT / "firmware")
