"""`pressroom token` and `pressroom gateway`: what they print, and how a mistake reads."""

import json
import os
import signal
import subprocess
import sys

import pytest

from pressroom_host.cli.main import run

DEADLINE_S = 30


@pytest.fixture
def state(tmp_path):
    return str(tmp_path / "state")


def told(capsys, *args, code=0):
    assert run(args) == code
    return capsys.readouterr()


def one_line(text):
    assert text.count("\n") == 1
    return text.strip()


def test_create_prints_the_token_and_nothing_else_on_standard_output(capsys, state):
    out, err = told(capsys, "token", "create", "attic", "--state-dir", state)
    assert one_line(out).count(".") == 2
    assert "for attic in room pressroom" in err


def test_a_token_is_made_listed_and_revoked(capsys, state):
    made = json.loads(told(capsys, "token", "create", "attic", "--room", "hall", "--json", "--state-dir", state).out)
    assert (made["identity"], made["room"]) == ("attic", "hall")
    listed = json.loads(told(capsys, "token", "list", "--json", "--state-dir", state).out)["tokens"]
    assert [(each["jti"], each["is_revoked"]) for each in listed] == [(made["jti"], False)]
    assert "token" not in listed[0]
    assert made["jti"] in told(capsys, "token", "revoke", "attic", "--state-dir", state).out
    assert "before" in told(capsys, "token", "revoke", made["jti"], "--state-dir", state).out
    table = told(capsys, "token", "list", "--state-dir", state).out
    assert "revoked" in table
    assert made["jti"] in table


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("token", "revoke", "attic"), "`pressroom token list` shows them"),
        (("token", "create", " "), "a text of 1 to 128 characters is needed"),
        (("token", "create", "attic", "--days", "-1"), "choose more than 0"),
        (("gateway", "--plain"), "leave TLS on"),
        (("gateway", "--host", "nowhere"), "an IPv4 address of this machine is needed"),
        (("gateway", "--advertise", "a:b"), "HOST or HOST:PORT is needed"),
        (("gateway", "--port", "70000"), "--help"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(capsys, state, args, words):
    out, err = told(capsys, *args, "--state-dir", state, code=2)
    assert out == ""
    assert words in one_line(err)
    assert err.startswith("pressroom: ")


def test_a_state_folder_that_is_none_is_one_line_and_exit_code_2(capsys, tmp_path):
    (tmp_path / "file").touch()
    for command in (("token", "list"), ("token", "create", "attic"), ("gateway", "--port", "0")):
        err = told(capsys, *command, "--state-dir", str(tmp_path / "file" / "x"), code=2).err
        assert "choose another state folder with --state-dir" in one_line(err)


def start_gateway(state, *args):
    ports = ("--host", "127.0.0.1", "--port", "0", "--udp-port", "0", "--room-port", "0")
    return subprocess.Popen(
        [sys.executable, "-m", "pressroom_host.cli.main", "gateway", *ports, "--state-dir", state, *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_the_gateway_says_where_it_is_and_stops_in_order_when_told(state, number, code):
    process = start_gateway(state, "--json")
    where = json.loads(process.stdout.readline())
    assert where["device_url"].startswith("wss://127.0.0.1:")
    assert len(bytes.fromhex(where["certificate_pin"])) == 32
    assert set(where) == {"device_url", "certificate_pin", "udp_port", "room_url", "state_dir"}
    process.send_signal(number)
    out, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == code, err
    assert out == ""
    assert "Traceback" not in err
    for line in err.splitlines():
        assert line.startswith("event=")


def test_a_person_is_told_url_pin_and_room(state):
    process = start_gateway(state)
    lines = [process.stdout.readline() for _ in range(4)]
    process.terminate()
    process.communicate(timeout=DEADLINE_S)
    text = "".join(lines)
    assert "wss://127.0.0.1:" in text
    assert "ws://127.0.0.1:" in text
    assert state in text


def test_a_second_gateway_is_told_who_has_the_folder(state):
    first = start_gateway(state, "--json")
    first.stdout.readline()
    second = start_gateway(state, "--json")
    out, err = second.communicate(timeout=DEADLINE_S)
    assert second.returncode == 2
    assert f"(pid {first.pid})" in err
    assert json.loads(out)["error"]["kind"] == "StateLocked"
    first.terminate()
    first.communicate(timeout=DEADLINE_S)


def test_a_gateway_that_was_killed_leaves_the_folder_free(state):
    first = start_gateway(state, "--json")
    pin = json.loads(first.stdout.readline())["certificate_pin"]
    first.kill()
    first.communicate(timeout=DEADLINE_S)
    second = start_gateway(state, "--json")
    assert json.loads(second.stdout.readline())["certificate_pin"] == pin
    second.terminate()
    second.communicate(timeout=DEADLINE_S)


def test_no_file_of_a_running_gateway_is_readable_by_others(state):
    process = start_gateway(state, "--json")
    process.stdout.readline()
    assert os.stat(state).st_mode & 0o077 == 0
    for entry in os.scandir(state):
        assert entry.stat().st_mode & 0o077 == 0
    process.terminate()
    process.communicate(timeout=DEADLINE_S)
