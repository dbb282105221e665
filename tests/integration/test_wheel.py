"""What a user gets who has no checkout: the wheel, alone in a fresh environment in another folder."""

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
UV = Path(sys.executable).parent / "uv"
OFFLINE = "no package index answers; connect this machine to the network"


def run(*command: object, folder: Path, timeout_s: float = 100, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    environment |= variables
    return subprocess.run(
        [str(word) for word in command], cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout_s
    )


def checked(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(target: str, source: Path, folder: Path) -> Path:
    folder.mkdir()
    checked(run(sys.executable, "-m", "hatchling", "build", "-t", target, "-d", folder, folder=source))
    return next(folder.iterdir())


def skip_if_offline(done: subprocess.CompletedProcess[str]) -> None:
    """Skip the test if the command failed because it reached nobody."""
    if done.returncode and any(sign in done.stderr for sign in ("dns error", "error sending request", "tcp connect")):
        pytest.skip(OFFLINE)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build("wheel", CHECKOUT, tmp_path_factory.mktemp("wheel") / "dist")


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Return the bin folder of an environment that holds the wheel, its extra `demo`, and the versions of the lock."""
    venv = tmp_path_factory.mktemp("elsewhere") / "venv"
    checked(run(sys.executable, "-m", "venv", "--without-pip", venv, folder=venv.parent))
    python = venv / "bin" / "python"
    done = run(
        *(UV, "pip", "install", "--python", python, "--no-build", "--constraint", CHECKOUT / "requirements.lock"),
        f"pressroom[demo] @ {wheel.as_uri()}",
        folder=venv.parent,
        timeout_s=250,
    )
    skip_if_offline(done)
    checked(done)
    return venv / "bin"


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def unpacked_source(folder: Path) -> Path:
    """Return the checkout as its source archive has it, in a folder."""
    archive = build("sdist", CHECKOUT, folder / "sdist")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")


def tar_names(archive: Path) -> set[str]:
    with tarfile.open(archive) as tar:
        return set(tar.getnames())


def test_the_wheel_carries_the_firmware_and_the_boards_as_they_stand_in_the_checkout(wheel):
    with zipfile.ZipFile(wheel) as archive:
        for folder in ("firmware", "boards"):
            files = [path for path in (CHECKOUT / folder).rglob("*") if path.is_file() and path.suffix != ".pyc"]
            assert files
            for path in files:
                name = f"pressroom_host/_assets/{path.relative_to(CHECKOUT)}"
                assert archive.read(name) == path.read_bytes()


def test_the_wheel_holds_two_packages_and_nothing_beside_them(wheel):
    top = {name.split("/")[0] for name in names(wheel)}
    assert {name for name in top if not name.endswith(".dist-info")} == {"pressroom", "pressroom_host"}
    assert "pressroom_host/py.typed" in names(wheel)
    assert [name for name in names(wheel) if name.endswith((".pyc", ".orig"))] == []


def test_a_wheel_built_from_the_source_archive_is_the_same(wheel, tmp_path):
    source = unpacked_source(tmp_path)
    assert names(build("wheel", source, tmp_path / "dist")) == names(wheel)


def test_what_a_demo_left_in_build_takes_nothing_out_of_the_source_archive(tmp_path):
    source = unpacked_source(tmp_path)
    before = tar_names(build("sdist", source, tmp_path / "before"))
    flash = source / "build" / "demo" / "flash"  # of a simulated board: it links to firmware/pressroom
    flash.mkdir(parents=True)
    (flash / "pressroom").symlink_to(source / "firmware" / "pressroom")
    assert tar_names(build("sdist", source, tmp_path / "after")) == before


def test_an_editable_wheel_carries_no_file_of_ours(tmp_path):
    code = f"from hatchling.build import build_editable; build_editable({str(tmp_path)!r})"
    checked(run(sys.executable, "-c", code, folder=CHECKOUT))
    held = [name for name in names(next(tmp_path.iterdir())) if ".dist-info/" not in name]
    assert sorted(held) == ["_editable_impl_pressroom.pth", "_editable_impl_pressroom.py"]


@pytest.mark.timeout(300)
def test_installed_elsewhere_the_assets_are_the_wheels_own(installed, tmp_path):
    code = "from pressroom_host import assets; print(assets.firmware_folder(), assets.board_names())"
    shown = checked(run(installed / "python", "-c", code, folder=tmp_path))
    assert shown.startswith(str(installed.parent))
    assert "esp32-s3-devkitc-inmp441-max98357a" in shown


@pytest.mark.timeout(300)
def test_installed_elsewhere_the_firmwares_main_cannot_be_imported(installed, tmp_path):
    code = "import importlib.util as u, pressroom.wire; print([n for n in ('main', 'boot', 'hal') if u.find_spec(n)])"
    assert checked(run(installed / "python", "-c", code, folder=tmp_path)) == "[]\n"


@pytest.mark.timeout(300)
def test_installed_elsewhere_the_demo_runs(installed, tmp_path):
    done = run(installed / "pressroom", "demo", "--json", folder=tmp_path, timeout_s=120)
    report = json.loads(checked(done))
    assert len(report["turns"]) == 3


@pytest.mark.timeout(200)
def test_pressroom_resolves_beside_livekit_agents(tmp_path):
    # The agents framework pins an older official client than our extra `demo` asks for; without it both must fit.
    (tmp_path / "agents.in").write_text("livekit-agents>=1.8\n")
    done = run(
        *(UV, "pip", "compile", "--universal", "--python-version", "3.11", "--no-header", "--no-annotate"),
        *(CHECKOUT / "pyproject.toml", "agents.in"),
        folder=tmp_path,
        timeout_s=180,
    )
    skip_if_offline(done)
    resolved = checked(done)
    for name in ("livekit-agents", "livekit", "livekit-api", "aiortc"):
        assert f"\n{name}==" in resolved


@pytest.mark.timeout(200)
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize("system", ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu", "aarch64-apple-darwin"])
def test_the_lock_installs_without_a_compiler_wherever_the_readme_says(tmp_path, system, python):
    done = run(
        *(UV, "pip", "install", "--dry-run", "--target", tmp_path, "--only-binary", ":all:", "--require-hashes"),
        *("--python-platform", system, "--python-version", python, "--requirement", CHECKOUT / "requirements.lock"),
        folder=tmp_path,
        MACOSX_DEPLOYMENT_TARGET="14.0",
    )
    skip_if_offline(done)
    checked(done)


def test_the_lock_is_what_pyproject_asks_for(tmp_path):
    lock = tmp_path / "requirements.lock"
    lock.write_text((CHECKOUT / "requirements.lock").read_text())  # `make lock` without its --upgrade keeps what fits
    done = run(
        *(UV, "pip", "compile", "--universal", "--python-version", "3.11", "--all-extras", "--generate-hashes"),
        *("--no-header", "--no-emit-index-url", "--no-annotate", "--output-file", lock, CHECKOUT / "pyproject.toml"),
        folder=tmp_path,
    )
    skip_if_offline(done)
    checked(done)
    assert lock.read_text() == (CHECKOUT / "requirements.lock").read_text(), "run `make lock`"
