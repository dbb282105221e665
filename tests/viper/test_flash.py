"""sim/flash.py: what a simulated board finds in its filesystem."""

import os
import time

import pytest

from pressroom_host import assets
from pressroom_host.sim.flash import lay_out
from pressroom_host.sim.viper64 import NotWidenable

VIPER = '''import micropython


@micropython.viper
def half(n: int) -> int:
    """Half."""
    return n >> 1
'''


@pytest.fixture
def firmware(tmp_path):
    folder = tmp_path / "firmware"
    for name in ("pressroom/dsp", "pressroom/plain", "__pycache__"):
        (folder / name).mkdir(parents=True)
    (folder / "main.py").write_text("print('main')\n")
    (folder / "pressroom/__init__.py").write_text("")
    (folder / "pressroom/app.py").write_text("APP = 1\n")
    (folder / "pressroom/plain/noise.py").write_text("NOISE = 1\n")
    (folder / "pressroom/dsp/half.py").write_text(VIPER)
    return folder


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def test_all_is_linked_but_viper_code_which_is_widened(firmware, tmp_path):
    flash = tmp_path / "flash"
    lay_out(firmware, flash)
    assert sorted(os.listdir(flash)) == ["main.py", "pressroom"]
    assert (flash / "main.py").resolve() == firmware / "main.py"
    assert (flash / "pressroom/plain").resolve() == firmware / "pressroom/plain"
    assert not (flash / "pressroom/dsp/half.py").is_symlink()
    assert "return n >> 1" in (flash / "pressroom/dsp/half.py").read_text()
    assert "n = n << 32 >> 32" in (flash / "pressroom/dsp/half.py").read_text()


def test_an_edit_shows_at_once_in_a_linked_file_and_at_the_next_boot_in_viper_code(firmware, tmp_path):
    flash = tmp_path / "flash"
    lay_out(firmware, flash)
    (firmware / "pressroom/app.py").write_text("APP = 2\n")
    (firmware / "pressroom/dsp/half.py").write_text(VIPER.replace("half", "third"))
    assert (flash / "pressroom/app.py").read_text() == "APP = 2\n"
    lay_out(firmware, flash)
    assert "def third" in (flash / "pressroom/dsp/half.py").read_text()


def test_what_the_firmware_no_longer_has_goes_and_what_the_board_wrote_stays(firmware, tmp_path):
    flash = tmp_path / "flash"
    lay_out(firmware, flash)
    (flash / "pressroom/dsp/calibration.json").write_text("{}")
    (firmware / "pressroom/dsp/half.py").rename(firmware / "pressroom/dsp/quarter.py")
    (firmware / "pressroom/app.py").unlink()
    lay_out(firmware, flash)
    assert sorted(os.listdir(flash / "pressroom/dsp")) == ["calibration.json", "quarter.py"]
    assert sorted(os.listdir(flash / "pressroom")) == ["__init__.py", "dsp", "plain"]


def test_code_that_becomes_viper_or_plain_is_laid_out_as_it_is_now(firmware, tmp_path):
    flash = tmp_path / "flash"
    lay_out(firmware, flash)
    (firmware / "pressroom/plain/noise.py").write_text(VIPER)
    (firmware / "pressroom/dsp/half.py").write_text("def half(n):\n    return n >> 1\n")
    lay_out(firmware, flash)
    assert not (flash / "pressroom/plain/noise.py").is_symlink()
    assert (flash / "pressroom/dsp/half.py").is_symlink()


def test_code_that_cannot_be_widened_is_named_with_its_line(firmware, tmp_path):
    half = firmware / "pressroom/dsp/half.py"
    half.write_text(VIPER.replace("n >> 1", "n / 2"))
    with pytest.raises(NotWidenable, match=f"^{half}:7: half: the operator Div"):
        lay_out(firmware, tmp_path / "flash")


def test_the_firmwares_own_viper_code_is_laid_out_without_delaying_a_boot(tmp_path):
    firmware = assets.firmware_folder()
    lay_out(firmware, tmp_path)
    started_s = time.process_time()
    lay_out(firmware, tmp_path)
    assert time.process_time() - started_s < 0.05  # about 3 ms; a boot takes 100
    viper = [name for name in names(tmp_path) if not (tmp_path / name).is_symlink()]
    assert "pressroom/wire/crypto_viper.py" in viper
    assert all("@micropython.viper" in (firmware / name).read_text() for name in viper)
