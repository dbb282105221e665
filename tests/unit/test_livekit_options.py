"""--livekit: which server is meant, and how a mistake reads."""

import pytest

from pressroom_host.cli.livekit import LiveKitUnusable, server
from pressroom_host.cli.main import run


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.delenv("LIVEKIT_URL", raising=False)
    monkeypatch.setenv("LIVEKIT_API_KEY", "APIkey")
    monkeypatch.setenv("LIVEKIT_API_SECRET", "hunter2")


def test_the_server_is_named_by_the_option_and_its_key_by_the_environment():
    named = server("wss://livekit.example", False)
    assert named is not None
    assert (named.url, named.api_key, named.api_secret) == ("wss://livekit.example", "APIkey", "hunter2")
    assert "hunter2" not in repr(named)


def test_without_a_url_there_is_none():
    assert server(None, False) is None
    assert server("", False) is None


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("livekit.example", "wss://HOST"),
        ("ftp://livekit.example", "wss://HOST"),
        ("ws://livekit.example", "--livekit-plain"),
        ("http://192.0.2.7:7880", "--livekit-plain"),
    ],
)
def test_a_url_that_cannot_be_used_is_answered_with_what_to_do(url, says):
    with pytest.raises(LiveKitUnusable, match=says):
        server(url, False)


def test_in_the_clear_only_on_this_machine_or_where_it_is_allowed():
    for url in ("ws://127.0.0.1:7880", "ws://localhost:7880", "ws://[::1]:7880"):
        assert server(url, False) is not None
    assert server("ws://livekit.example", True) is not None


@pytest.mark.parametrize("name", ["LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"])
def test_a_missing_key_is_named(monkeypatch, name):
    monkeypatch.delenv(name)
    with pytest.raises(LiveKitUnusable, match=name):
        server("wss://livekit.example", False)


@pytest.mark.parametrize("command", ["gateway", "up", "demo"])
def test_without_a_url_the_environment_has_to_name_one(capsys, command):
    assert run([command, "--livekit"]) == 2
    assert "set LIVEKIT_URL" in capsys.readouterr().err


def test_the_environment_alone_is_enough(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("LIVEKIT_URL", "ftp://nowhere")
    assert run(["gateway", "--state-dir", str(tmp_path)]) == 2
    assert "ftp://nowhere" in capsys.readouterr().err
