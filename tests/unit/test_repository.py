"""What must hold of every file under version control, and of the files that describe the repository."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]

# Written in halves, so that this file is not the first to break its rule.
REGISTRY_HOSTS = [
    "pypi" + ".org",
    "python" + "hosted.org",
    "npm" + "js.",
    "crates" + ".io",
    "proxy.golang" + ".org",
    "maven" + ".org",
    "debian" + ".org",
]
MACHINE_PATH = re.compile(r"(?<![\w./-])/(?:root|work|Users|home)/[\w.]")


def tracked_files() -> list[Path]:
    names = subprocess.run(["git", "ls-files", "-z"], cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    return [CHECKOUT / name for name in names.split("\0") if name and (CHECKOUT / name).is_file()]


def lines_with_faults(text: str) -> list[str]:
    return [
        line.strip()[:100]
        for line in text.splitlines()
        if MACHINE_PATH.search(line) or any(host in line for host in REGISTRY_HOSTS)
    ]


def test_no_file_names_a_package_registry_or_a_path_of_one_machine():
    faults = {}
    for path in tracked_files():
        try:
            found = lines_with_faults(path.read_text())
        except UnicodeDecodeError:
            continue  # a recording or a picture
        if found:
            faults[str(path.relative_to(CHECKOUT))] = found
    assert faults == {}


@pytest.mark.parametrize("line", ["--index-url https://" + REGISTRY_HOSTS[0] + "/simple", "cd /ro" + "ot/pressroom"])
def test_such_a_line_is_caught(line):
    assert lines_with_faults(line) == [line]


def test_the_build_needs_nothing_that_the_lock_does_not_hold():
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    locked = (CHECKOUT / "requirements.lock").read_text()
    for requirement in project["build-system"]["requires"]:
        assert requirement in project["project"]["optional-dependencies"]["dev"]
        assert f"\n{requirement} \\\n" in locked


def test_the_firmware_and_the_distribution_have_one_version():
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    app = (CHECKOUT / "firmware" / "pressroom" / "app.py").read_text()
    assert f'\nFIRMWARE = "{project["version"]}"\n' in app
    assert f"\n## {project['version']}" in (CHECKOUT / "CHANGELOG.md").read_text()


def test_everything_in_the_lock_is_held_by_hashes():
    for block in re.split(r"\n(?=\S)", (CHECKOUT / "requirements.lock").read_text().strip()):
        assert "==" in block.split("\n")[0]
        assert "--hash=sha256:" in block


def test_every_make_command_of_the_documents_is_a_target():
    makefile = (CHECKOUT / "Makefile").read_text()
    for name in ("README.md", "AGENTS.md"):
        for target in re.findall(r"(?:`|^    .*)\bmake ([a-z-]+)", (CHECKOUT / name).read_text(), re.MULTILINE):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{name} names `make {target}`"


def test_the_links_of_the_documents_lead_somewhere():
    for document in [*CHECKOUT.glob("*.md"), *(CHECKOUT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name} points to {target}"


def test_make_help_explains_every_target():
    makefile = (CHECKOUT / "Makefile").read_text()
    shown = subprocess.run(["make", "help"], cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony is not None
    for target in phony[1].split():
        assert re.search(rf"^  make {target} +\S", shown, re.MULTILINE), shown


@pytest.mark.parametrize(
    ("python", "sentence"),
    [
        ("", "Pressroom needs Python 3.11, 3.12 or 3.13 and found none"),
        ("false", "PYTHON=false is not Python 3.11, 3.12 or 3.13"),
    ],
)
def test_without_a_python_that_fits_make_says_what_to_install(tmp_path, python, sentence):
    for name in ("Makefile", "pyproject.toml", "requirements.lock", "hatch_build.py"):
        (tmp_path / name).write_text((CHECKOUT / name).read_text())
    done = subprocess.run(["make", f"PYTHON={python}", "demo"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_without_the_module_venv_make_says_what_to_install(tmp_path):
    for name in ("Makefile", "pyproject.toml", "requirements.lock", "hatch_build.py"):
        (tmp_path / name).write_text((CHECKOUT / name).read_text())
    # A Python as Debian ships it without python3-venv: the right version, but importing ensurepip fails.
    python = tmp_path / "python-without-venv"
    python.write_text('#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; *) exit 0;; esac\n')
    python.chmod(0o755)
    done = subprocess.run(["make", f"PYTHON={python}", "demo"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert "apt-get install python3-venv" in done.stderr


@pytest.mark.parametrize(
    ("table", "is_root", "exit_code"),
    [("skips: none", True, 0), ("skips: 2", True, 1), ("skips: 2", False, 0), ("", True, 1)],
)
def test_ci_takes_no_skip_where_everything_is_present(tmp_path, table, is_root, exit_code):
    commands = {
        **dict.fromkeys(("go", "node", "gcc"), "exit 0"),
        "make": f'[ "$1" = test ] && echo "{table}"; exit 0',
        "id": f"echo {0 if is_root else 1000}",
    }
    for name, line in commands.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run([CHECKOUT / ".ci" / "run"], env={"PATH": path}, capture_output=True, text=True)
    assert done.returncode == exit_code, done.stdout + done.stderr


def test_ci_fails_when_a_test_does(tmp_path):
    (tmp_path / "make").write_text('#!/bin/sh\n[ "$1" = test ] && echo "skips: none" && exit 2\nexit 0\n')
    (tmp_path / "make").chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run([CHECKOUT / ".ci" / "run"], env={"PATH": path}, capture_output=True, text=True)
    assert done.returncode == 2
