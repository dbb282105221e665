"""The command line as its user meets it: help that teaches, one line for a mistake, exit codes, JSON for programs."""

import json
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest
import rich_click as click

from pressroom_host.cli import main as cli_main
from pressroom_host.cli.output import json_option, print_json, print_table
from pressroom_host.errors import UserError

PRESSROOM = str(Path(sys.executable).parent / "pressroom")


def pressroom(*args: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1"}
    return subprocess.run([PRESSROOM, *args], capture_output=True, text=True, timeout=60, env=environment)


class PortTaken(UserError):
    """A mistake with words of its own."""


class AnswerUnheard(UserError):
    """A mistake with an exit code of its own."""

    exit_code = 1


@pytest.fixture
def demo_command(monkeypatch):
    """Put a command in the place of `pressroom demo`, as the file cli/demo.py would."""

    def install(body, **options):
        module = types.ModuleType("pressroom_host.cli.demo")
        module.demo = click.command(**options)(json_option(body))
        monkeypatch.setitem(sys.modules, "pressroom_host.cli.demo", module)

    return install


def test_the_help_lists_every_command_with_what_it_is_for():
    done = pressroom("--help")
    assert done.returncode == 0, done.stderr
    for name in cli_main.COMMANDS:
        assert re.search(rf"^\W*{name} +\S+ \S+", done.stdout, re.MULTILINE), done.stdout
    assert "pressroom token create" in done.stdout


@pytest.mark.parametrize("name", cli_main.COMMANDS)
def test_the_help_of_every_command_shows_an_example(name):
    done = pressroom(name, "--help")
    assert done.returncode == 0, done.stderr
    assert len(re.findall(rf"pressroom {name}\b", done.stdout)) >= 2, "the usage line, and an example"


def test_no_command_at_all_shows_the_help():
    done = pressroom()
    assert "pressroom demo" in done.stdout + done.stderr


def test_the_version_is_that_of_the_distribution():
    assert re.fullmatch(r"pressroom \d+\.\d+\.\d+\n", pressroom("--version").stdout)


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["dmeo"], "there is no command 'dmeo'; choose one of demo, up,"),
        (["--colour"], "No such option"),
        (["demo", "--colour"], "No such option"),
    ],
)
def test_a_mistyped_line_is_answered_in_one_line_with_where_to_look(args, sentence):
    done = pressroom(*args)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("pressroom: ")
    assert sentence in done.stderr
    assert "--help" in done.stderr


def test_a_mistake_is_one_line_on_stderr_and_exit_2(demo_command, capsys):
    def demo(is_json):
        raise PortTaken("port 7880 is taken\n  by another program; choose one with --port")

    demo_command(demo)
    assert cli_main.run(["demo"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "pressroom: port 7880 is taken by another program; choose one with --port\n"


def test_a_mistake_can_name_its_exit_code(demo_command, capsys):
    def demo(is_json):
        raise AnswerUnheard("turn 2: a hole of 60 ms")

    demo_command(demo)
    assert cli_main.run(["demo"]) == 1


def test_a_program_that_asked_for_json_gets_the_mistake_as_json(demo_command, capsys):
    def demo(is_json):
        raise PortTaken("port 7880 is taken")

    demo_command(demo)
    assert cli_main.run(["demo", "--json"]) == 2
    out, err = capsys.readouterr()
    assert json.loads(out) == {"error": {"kind": "PortTaken", "message": "port 7880 is taken"}}
    assert err == "pressroom: port 7880 is taken\n"


def test_the_traceback_behind_a_mistake_is_there_for_who_asks(demo_command, capsys, monkeypatch):
    def demo(is_json):
        raise PortTaken("port 7880 is taken")

    demo_command(demo)
    monkeypatch.setenv("PRESSROOM_DEBUG", "1")
    cli_main.run(["demo"])
    assert "Traceback" in capsys.readouterr().err


def test_a_bug_keeps_its_traceback(demo_command):
    def demo(is_json):
        raise ZeroDivisionError

    demo_command(demo)
    with pytest.raises(ZeroDivisionError):
        cli_main.run(["demo"])


def test_ctrl_c_ends_quietly_with_130(demo_command, capsys):
    def demo(is_json):
        raise KeyboardInterrupt

    demo_command(demo)
    assert cli_main.run(["demo"]) == 130
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(("returned", "exit_code"), [(None, 0), (0, 0), (1, 1)])
def test_what_a_command_returns_is_the_exit_code(demo_command, returned, exit_code):
    demo_command(lambda is_json: returned)
    assert cli_main.run(["demo"]) == exit_code


def test_json_is_one_line_and_a_table_is_never_cut(demo_command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    token = "x" * 70

    def demo(is_json):
        if is_json:
            print_json({"token": token})
        else:
            print_table(["identity", "token"], [["kitchen", token]])

    demo_command(demo)
    cli_main.run(["demo", "--json"])
    assert json.loads(capsys.readouterr().out) == {"token": token}
    cli_main.run(["demo"])
    assert capsys.readouterr().out.count("x") == 70


def test_a_command_waits_only_for_its_own_libraries():
    code = "import sys, pressroom_host.cli.main; print([n for n in ('aiohttp', 'aiortc', 'numpy') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
