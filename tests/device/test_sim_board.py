"""The simulated board with a tiny firmware: what a test does to it, and what it tells."""

import asyncio
import os
import platform
import signal
import sys
import time
import wave
from pathlib import Path

import numpy as np
import pytest
import tiny_firmware

from pressroom_host import assets
from pressroom_host.sim.board import LedTimeout, NotSeen, SimulatedBoard
from pressroom_host.sim.process import BoardStopped, CommandRefused, PlatformUnsupported
from pressroom_host.sim.sound import SoundUnusable

CONFIG: dict[str, str | bytes | int] = {"token": "secret", "pin0": b"\x00\xff", "volume": -1}
NOISE = (np.random.default_rng(1).normal(size=8_000) * 3_000).astype(np.int16)


@pytest.fixture
def firmware(tmp_path: Path) -> Path:
    return tiny_firmware.make(tmp_path / "firmware", assets.firmware_folder() / "pressroom")


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    return tmp_path / "board"


def index_of(part: np.ndarray, whole: np.ndarray) -> int:
    """Return where the samples of part are in whole, every one of them as it is."""
    for start in np.flatnonzero(whole[: len(whole) - len(part) + 1] == part[0]):
        if np.array_equal(whole[start : start + len(part)], part):
            return int(start)
    raise AssertionError("it was not played as it was said")


async def until_played(board: SimulatedBoard, at_s: float) -> np.ndarray:
    """Return what the board has played, once it has played what it does at that time."""
    while True:
        recording = board.speaker()
        if recording.time_of(len(recording.samples)) >= at_s:
            return recording.samples
        await asyncio.sleep(0.01)


async def test_a_press_shows_on_the_led(firmware: Path, workdir: Path):
    async with SimulatedBoard(CONFIG, workdir=workdir, firmware=firmware) as board:
        await board.wait_led("ready")
        pressed_s = await board.press()
        assert pressed_s <= await board.wait_led("talking") < pressed_s + 0.1
        released_s = await board.release()
        assert released_s <= await board.wait_led("ready") < released_s + 0.1
        assert board.led() == "ready"
        moves = [(value, at_s) for at_s, kind, value in board.events if kind == "button"]
        assert moves == [("pressed", pressed_s), ("released", released_s)]


async def test_every_sample_is_heard_when_it_was_to_be(firmware: Path, workdir: Path):
    async with SimulatedBoard(CONFIG, workdir=workdir, firmware=firmware) as board:
        await board.wait_led("ready")
        wanted_s = time.monotonic() + 0.15
        said_s = await board.mic(NOISE, wanted_s)
        assert abs(said_s - wanted_s) <= 1 / 16_000
        samples = await until_played(board, said_s + 0.65)
        delay_s = board.speaker().time_of(index_of(NOISE, samples)) - said_s
        # One descriptor to be filled, 2 ms of the firmware's sleep, up to three that wait and the one being played.
        assert 0.016 < delay_s < 0.016 * 5 + 0.02


async def test_recordings_without_a_time_follow_one_another(firmware: Path, workdir: Path):
    async with SimulatedBoard(CONFIG, workdir=workdir, firmware=firmware) as board:
        await board.wait_led("ready")
        first_s = await board.mic(NOISE[:1600])
        second_s = await board.mic(NOISE[1600:3200])
        assert second_s == pytest.approx(first_s + 0.1, abs=2e-6)
        samples = await until_played(board, second_s + 0.3)
        index_of(NOISE[:3200], samples)


async def test_a_time_that_has_passed_is_refused(firmware: Path, workdir: Path):
    async with SimulatedBoard(CONFIG, workdir=workdir, firmware=firmware) as board:
        await board.wait_led("ready")
        with pytest.raises(CommandRefused, match="ms too early"):
            await board.mic(NOISE, time.monotonic() - 0.5)


async def test_the_recording_goes_on_in_silence_and_knows_its_time(firmware: Path, workdir: Path):
    async with SimulatedBoard(CONFIG, workdir=workdir, firmware=firmware, clock_ppm=200) as board:
        await board.wait_led("ready")
        await until_played(board, time.monotonic() + 0.3)
        recording = board.speaker()
        assert recording.rate_hz == pytest.approx(16_003.2)
        lag_s = time.monotonic() - recording.time_of(len(recording.samples))
        assert 0 <= lag_s < 0.2
        assert recording.sample_at(recording.time_of(1234) + 1e-5) == 1234
        assert not recording.samples.any()
    with wave.open(str(workdir / "speaker.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        assert file.getnframes() >= len(recording.samples)


async def test_nvs_outlives_a_reset_and_the_board(firmware: Path, workdir: Path):
    async with SimulatedBoard(CONFIG, workdir=workdir, firmware=firmware) as board:
        await board.wait_log("n_boots=1")
        await board.wait_led("ready")
        await board.reset()
        await board.wait_log("n_boots=2")
        assert [value for _, kind, value in board.events if kind in ("boot", "reset")] == [1, "hard", 2]
    async with SimulatedBoard({"volume": 5}, workdir=workdir, firmware=firmware) as board:
        assert await board.wait_log("n_boots=") == "name=esp32-s3-devkitc-inmp441-max98357a n_boots=3"
        assert board.nvs() == {"token": b"secret", "pin0": b"\x00\xff", "volume": 5, "n_boots": 3}


async def test_a_reset_of_the_firmware_boots_it_again(firmware: Path, workdir: Path):
    async with SimulatedBoard({**CONFIG, "restart": 1}, workdir=workdir, firmware=firmware) as board:
        await board.wait_led("ready")
        await board.press()
        await board.wait_event("boot", 2)
        assert await board.wait_event("reset", "soft")
        await board.wait_led("ready")


async def test_a_firmware_that_fails_is_told_with_its_last_words(tmp_path: Path, workdir: Path):
    firmware = tiny_firmware.make(tmp_path / "broken", assets.firmware_folder() / "pressroom", "print('hm')\n1 / 0\n")
    async with SimulatedBoard(CONFIG, workdir=workdir, firmware=firmware) as board:
        with pytest.raises(BoardStopped, match="ZeroDivisionError"):
            await board.wait_led("ready")
        with pytest.raises(BoardStopped):
            await board.press()
        assert await board.wait_event("exit", 1)
        assert board.log_lines[0] == "hm"


async def test_waiting_in_vain_says_what_was_seen(firmware: Path, workdir: Path):
    async with SimulatedBoard(CONFIG, workdir=workdir, firmware=firmware) as board:
        await board.wait_led("ready")
        with pytest.raises(LedTimeout, match="'error'; the LED shows 'ready'"):
            await board.wait_led("error", timeout_s=0.05)
        with pytest.raises(NotSeen, match="a log line with 'moon'"):
            await board.wait_log("moon", timeout_s=0.05)


async def test_firmware_without_an_event_loop_sees_the_button(tmp_path: Path, workdir: Path):
    firmware = tiny_firmware.make(tmp_path / "loop", assets.firmware_folder() / "pressroom", tiny_firmware.BLOCKING)
    async with SimulatedBoard(CONFIG, workdir=workdir, firmware=firmware) as board:
        await board.press()
        await board.wait_log("pressed")


async def test_two_boards_run_side_by_side(firmware: Path, tmp_path: Path):
    async with (
        SimulatedBoard(CONFIG, workdir=tmp_path / "a", firmware=firmware) as first,
        SimulatedBoard(CONFIG, workdir=tmp_path / "b", firmware=firmware) as second,
    ):
        await first.wait_led("ready")
        await second.wait_led("ready")
        await first.press()
        await first.wait_led("talking")
        assert second.led() == "ready"


async def test_stopping_is_safe_to_repeat_and_leaves_no_process(firmware: Path, workdir: Path):
    board = await SimulatedBoard.start(CONFIG, workdir=workdir, firmware=firmware)
    pid = board.pid
    await board.stop()
    await board.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


_ORPHANING = """
import asyncio, sys
from pathlib import Path
from pressroom_host.sim.board import SimulatedBoard

async def main():
    board = await SimulatedBoard.start({}, workdir=Path(sys.argv[1]), firmware=Path(sys.argv[2]))
    print(board.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize("main", [tiny_firmware.MAIN, "while True: pass\n"], ids=["asyncio", "busy"])
async def test_a_board_ends_with_the_process_that_started_it(main: str, tmp_path: Path, workdir: Path):
    firmware = tiny_firmware.make(tmp_path / "orphan", assets.firmware_folder() / "pressroom", main)
    parent = await asyncio.create_subprocess_exec(
        *[sys.executable, "-c", _ORPHANING, str(workdir), str(firmware)], stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    await parent.wait()
    deadline_s = time.monotonic() + 5
    while is_alive(pid) and time.monotonic() < deadline_s:  # noqa: ASYNC110 (a process of another tells no event)
        await asyncio.sleep(0.01)
    assert not is_alive(pid)


def is_alive(pid: int) -> bool:
    """Return whether that process runs; one that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(("system", "machine"), [("darwin", "arm64"), ("linux", "aarch64"), ("win32", "AMD64")])
async def test_elsewhere_one_sentence_says_what_does_run(
    system: str, machine: str, workdir: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    with pytest.raises(PlatformUnsupported) as caught:
        await SimulatedBoard.start(CONFIG, workdir=workdir)
    assert f"this is {system} {machine}" in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_recording_that_does_not_fit_says_what_would(firmware: Path, workdir: Path, tmp_path: Path):
    stereo = tmp_path / "stereo.wav"
    with wave.open(str(stereo), "wb") as file:
        file.setparams((2, 2, 44_100, 0, "NONE", ""))
        file.writeframes(bytes(400))
    (tmp_path / "text.wav").write_text("no sound")
    async with SimulatedBoard(CONFIG, workdir=workdir, firmware=firmware) as board:
        with pytest.raises(SoundUnusable, match="44100 Hz, 2 channels, 16 bits; the microphone hears 16000 Hz"):
            await board.mic(stereo)
        with pytest.raises(SoundUnusable, match="does not exist"):
            await board.mic(tmp_path / "none.wav")
        with pytest.raises(SoundUnusable, match="is not a WAV file"):
            await board.mic(tmp_path / "text.wav")


async def test_a_board_boots_however_long_the_path_of_its_folder_is(firmware: Path, workdir: Path):
    folder = workdir.joinpath(*["a folder with a long name, as tests and people make them"] * 8)
    async with SimulatedBoard(CONFIG, workdir=folder, firmware=firmware) as board:
        await board.wait_event("led")


async def test_a_wait_that_is_cancelled_while_something_happens_ends(firmware: Path, workdir: Path):
    async with SimulatedBoard(CONFIG, workdir=workdir, firmware=firmware) as board:
        waiting = asyncio.create_task(board.wait_event("never", timeout_s=60))
        await asyncio.sleep(0)
        await board.press()  # an event, yet another one
        board._note(time.monotonic(), "something", None)
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting], timeout=5)
        assert waiting.cancelled()
