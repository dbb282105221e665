"""The demo as a newcomer runs it: the command, its exit code, and what it leaves behind."""

import asyncio
import json
import shutil
import subprocess
import sys
import wave
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from tests.livekit_server.server import LiveKitServer

from pressroom_host.demo import codec_line, speech

COMMAND = (sys.executable, "-m", "pressroom_host.cli.main", "demo")
RECORDINGS = Path(speech.__file__).parent / "recordings"
SHORT = RECORDINGS / "go-forward.wav"
TIMEOUT_S = 90


def start(folder, *arguments, before=()):
    return subprocess.Popen(
        [*before, *COMMAND, *map(str, arguments)], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process):
    stdout, stderr = process.communicate(timeout=TIMEOUT_S)
    return process.returncode, stdout, stderr


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return the folder, the exit code and the report of one whole demo."""
    folder = tmp_path_factory.mktemp("demo")
    code, stdout, stderr = finish(start(folder, "--json"))
    assert stdout, stderr
    return folder, code, json.loads(stdout)


def test_three_turns_come_back_as_they_were_said(run):
    _, code, report = run
    assert [turn["reasons"] for turn in report["turns"]] == [[], [], []]
    assert code == 0
    assert report["is_good"]


def test_every_turn_goes_from_press_to_packet_to_parrot_to_release_to_answer(run):
    _, _, report = run
    order = ["speech", "press", "packet", "heard", "release", "muted", "said", "back", "finished"]
    for turn in report["turns"]:
        assert sorted(turn["events_s"], key=turn["events_s"].get) == order
        assert turn["events_s"]["press"] - turn["events_s"]["speech"] == pytest.approx(0.150, abs=0.030)
        assert turn["n_packets"] * 0.02 == pytest.approx(turn["seconds"] + 0.05, abs=0.1)


def test_the_report_tells_losses_codec_and_memory(run):
    _, _, report = run
    assert codec_line.line(report["codec"]) == "opus 32 kbit/s: up passed through, down transcoded"
    up, dn = report["codec"]["up"], report["codec"]["dn"]
    assert (up["name"], dn["name"]) == ("opus", "opus")
    assert up["bitrate_bps"] == 32_000
    assert up["n_passed"] == report["board"]["n_sent"] and up["n_transcoded"] == 0
    assert dn["n_passed"] == 0 and dn["n_transcoded"] >= report["board"]["n_played"] > 500
    assert report["board"]["n_metered"] > 500
    assert report["allocated_bytes_per_frame"] < 1
    assert [turn["n_lost"] for turn in report["turns"]] == [0, 0, 0]


def test_what_was_heard_can_be_listened_to_and_looked_at(run):
    folder, _, report = run
    results = folder / "build" / "demo"
    assert json.loads((results / "report.json").read_text()) == report
    for turn in report["turns"]:
        with wave.open(str(folder / turn["heard"])) as file:
            assert file.getnframes() / file.getframerate() >= turn["seconds"]
    ElementTree.parse(results / "timeline.svg")


def test_no_secret_is_written_into_the_results(run):
    folder, _, _ = run
    results = folder / "build" / "demo"
    kept = json.loads((results / "state" / "api_key.json").read_text())
    assert len(kept["secret"]) > 30
    for path in results.iterdir():
        if path.is_file():
            text = path.read_bytes().decode(errors="replace")
            assert kept["secret"] not in text
            assert "eyJ" not in text  # how every JWT begins


def test_without_the_preroll_the_same_run_fails_because_the_first_word_is_gone(tmp_path):
    code, stdout, _ = finish(start(tmp_path, "--json", "--preroll-ms", 0, "--audio", SHORT))
    (turn,) = json.loads(stdout)["turns"]
    assert code == 1
    assert "the first 100 ms are missing" in turn["reasons"]
    assert turn["has_last_100_ms"]


def test_two_demos_at_once_do_not_disturb_each_other(tmp_path):
    both = [start(tmp_path, "--audio", SHORT) for _ in range(2)]
    for code, stdout, stderr in map(finish, both):
        assert code == 0, stdout + stderr
    assert sorted(path.name for path in (tmp_path / "build").iterdir()) == ["demo", "demo-2"]


def test_a_person_sees_the_timeline_and_the_table(tmp_path):
    code, stdout, stderr = finish(start(tmp_path, "--audio", SHORT, "--out", tmp_path / "here"))
    assert code == 0, stdout + stderr
    for shown in (
        "button pressed",
        "first packet",
        "button released",
        "first sample back",
        "release → first sample back",
        "whole",
    ):
        assert shown in stdout
    assert (tmp_path / "here" / "heard-1.wav").exists()


def mistake(*arguments, folder, before=()):
    """Run a command that cannot work; return the one line that says why."""
    code, stdout, stderr = finish(start(folder, *arguments, before=before))
    assert (code, stdout) == (2, "")
    assert stderr.count("\n") == 1
    return stderr


def test_an_audio_file_that_is_not_there_is_one_clear_line(tmp_path):
    assert "nothing.wav does not exist" in mistake("--audio", "nothing.wav", folder=tmp_path)


def test_an_audio_file_of_another_rate_is_one_clear_line(tmp_path):
    with wave.open(str(tmp_path / "cd.wav"), "wb") as file:
        file.setparams((2, 2, 44_100, 0, "NONE", ""))
        file.writeframes(np.zeros(88_200, dtype=np.int16).tobytes())
    assert "44100 Hz" in mistake("--audio", "cd.wav", folder=tmp_path)


def test_an_audio_file_that_is_no_wav_is_one_clear_line(tmp_path):
    (tmp_path / "song.wav").write_bytes(b"RIFF this is no music")
    assert "song.wav is not a WAV file" in mistake("--audio", "song.wav", folder=tmp_path)


def test_a_folder_in_use_is_one_clear_line(tmp_path):
    first = start(tmp_path, "--audio", SHORT, "--out", "mine")
    try:
        assert first.stdout.readline()  # it runs
        assert "another demo writes into mine" in mistake("--out", "mine", folder=tmp_path)
    finally:
        code, stdout, _ = finish(first)
    assert code == 0, stdout


def test_with_nothing_but_lo_it_is_one_clear_line(tmp_path):
    alone = ("unshare", "--map-root-user", "--net")
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"], capture_output=True).returncode:
        pytest.skip("no network namespace may be made; run as root")
    assert "no network interface besides lo" in mistake(folder=tmp_path, before=alone)


async def test_the_same_demo_is_held_in_a_livekit_server(tmp_path, monkeypatch):
    async with LiveKitServer.running() as server:
        monkeypatch.setenv("LIVEKIT_URL", server.url)
        monkeypatch.setenv("LIVEKIT_API_KEY", server.api_key)
        monkeypatch.setenv("LIVEKIT_API_SECRET", server.api_secret)
        code, stdout, stderr = await asyncio.to_thread(
            lambda: finish(start(tmp_path, "--livekit", "--audio", SHORT, "--json"))
        )
        assert code == 0, stdout + stderr
        report = json.loads(stdout)
        assert report["is_good"]
        assert codec_line.line(report["codec"]) == "opus 32 kbit/s: up passed through, down transcoded"
        assert server.api_secret not in (tmp_path / "build/demo/gateway.log").read_text()
        assert f"room_url={server.url}" in (tmp_path / "build/demo/gateway.log").read_text()
