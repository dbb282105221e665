"""SimulatedBoard: real firmware under real MicroPython, with a microphone, speaker, button and LED to test by."""

import asyncio
import json
import runpy
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from pressroom_host import assets
from pressroom_host.sim.flash import lay_out
from pressroom_host.sim.process import BoardProcess, BoardStopped, Message
from pressroom_host.sim.sound import RATE_HZ, Recording, Samples, i2s_words, read_wav

DEFAULT_BOARD = "esp32-s3-devkitc-inmp441-max98357a"
NVS_NAMESPACE = "pressroom"

_SILENT_BLOCK = bytes(4 * 256)  # the stand-in reads whole blocks, past the end of a recording too
_BOOT_TIMEOUT_S = 10.0
_MAX_LOG_LINES = 100_000
_LAST_LINES = 5


class NotSeen(AssertionError):
    """What a test waited for did not happen in time."""


class LedTimeout(NotSeen):
    """The LED did not show what was waited for."""


class SimulatedBoard:
    """A board with nothing but its firmware, its flash (in workdir) and the outside world that a test gives it.

    config: what lies in its NVS: text and bytes as blobs, numbers as i32; added to what workdir holds from before.
    workdir: a folder of its own; afterwards it holds nvs.json, speaker.raw and speaker.wav.
    clock_ppm: how much faster than nominal its crystal is.
    heap: of MicroPython, as its `-X heapsize` takes it.
    firmware: the folder whose content is the board's filesystem, as sim/flash.py lays it out; Pressroom's own if None.
    mic_shift: a sample reaches the firmware as an I2S word shifted this far left: 12 is as quiet as a real microphone,
        24 dB below full scale, which the firmware's default gain makes up for; 16 is the loudest.

    Every time is in seconds on the clock of time.monotonic(). `events` is a list of (time, kind, value):
        boot n, led state, button pressed|released, mic n_samples, speaker rate_hz, reset hard|soft, exit code
    """

    def __init__(
        self,
        config: dict[str, str | bytes | int],
        *,
        workdir: Path,
        board: str = DEFAULT_BOARD,
        clock_ppm: int = 0,
        heap: str = "4M",
        firmware: Path | None = None,
        wifi_delay_ms: int = 50,
        mic_shift: int = 12,
    ) -> None:
        self.events: list[tuple[float, str, Any]] = []
        self.log_lines: list[str] = []
        self._config = config
        self._workdir = workdir.resolve()
        self._firmware = (firmware or assets.firmware_folder()).resolve()
        self._board_file = assets.board_file(board).resolve()
        self._board: Message = json.loads(self._board_file.read_text())
        self._clock_ppm = clock_ppm
        self._heap = heap
        self._wifi_delay_ms = wifi_delay_ms
        self._mic_shift = mic_shift
        self._led_names = _led_names(self._firmware)
        self._led = "off"
        self._speaker_started_s: float | None = None
        self._n_clips = 0
        self._n_boots = 0
        self._exit_code: int | None = None
        self._is_wanted = False
        self._changed = asyncio.Event()
        self._process: BoardProcess | None = None
        self._restart: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, config: dict[str, str | bytes | int], *, workdir: Path, **settings: Any) -> Self:
        """Make a board and switch it on; the arguments are those of the class."""
        board = cls(config, workdir=workdir, **settings)
        await board.power_on()
        return board

    async def __aenter__(self) -> Self:
        if not self._is_wanted:
            await self.power_on()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def pid(self) -> int:
        """The process of the present boot."""
        assert self._process is not None
        return self._process.pid

    async def power_on(self) -> None:
        """Write NVS, and boot. Returns when the firmware's main.py is about to run."""
        self._prepare_nvs()
        self._is_wanted = True
        await self._boot()

    async def stop(self) -> None:
        """Switch it off and write speaker.wav. Safe to call twice."""
        self._is_wanted = False
        if self._restart is not None:
            await self._restart
            self._restart = None
        if self._process is not None:
            await self._process.stop()
        if self._speaker_started_s is not None:
            self.speaker().write_wav(self._workdir / "speaker.wav")

    async def reset(self) -> None:
        """Press the reset button: NVS and flash stay, everything else is gone. The speaker's recording starts anew."""
        self._note(time.monotonic(), "reset", "hard")
        await self._reboot()

    async def press(self) -> float:
        """Press the button; returns when its pin moved."""
        return await self._drive_button(is_pressed=True)

    async def release(self) -> float:
        """Let the button go; returns when its pin moved."""
        return await self._drive_button(is_pressed=False)

    async def set_pin(self, pin: int, level: int) -> float:
        """Put a level on any pin; returns when."""
        answer = await self._running().ask("pin", pin=pin, level=level)
        return float(answer["us"] / 1e6)

    async def mic(self, sound: Path | str | Samples, at_s: float | None = None) -> float:
        """Let the microphone hear a recording; returns when its first sample is captured, to the sample.

        sound: a WAV file of 16 kHz, mono, 16 bit, or its samples.
        at_s: when it is to begin; at once, or after the one that plays, if None.
        Raises SoundUnusable, and CommandRefused if at_s lies in the past or in another recording.
        """
        samples = read_wav(Path(sound)) if isinstance(sound, (Path, str)) else np.asarray(sound, dtype=np.int16)
        self._n_clips += 1
        path = self._workdir / f"clip-{self._n_clips}.raw"
        path.write_bytes(i2s_words(samples, self._mic_shift) + _SILENT_BLOCK)
        at_us = None if at_s is None else round(at_s * 1e6)
        answer = await self._running().ask("mic", file=path.name, n_frames=len(samples), at_us=at_us)
        started_s = float(answer["us"] / 1e6)
        self._note(started_s, "mic", len(samples))
        return started_s

    def speaker(self) -> Recording:
        """Return what the loudspeaker has played since the last boot, up to about 50 ms ago."""
        if self._speaker_started_s is None:
            raise BoardStopped(f"the firmware has not started its loudspeaker{self._last_words()}")
        data = (self._workdir / "speaker.raw").read_bytes()
        samples = np.frombuffer(data[: len(data) // 2 * 2], dtype="<i2")
        return Recording(samples, self._speaker_started_s, RATE_HZ * (1 + self._clock_ppm / 1e6))

    def led(self) -> str:
        """Return the state the LED shows, by its name in voice/led_states.py; other colours as `rgb(r, g, b)`."""
        return self._led

    async def wait_led(self, state: str, timeout_s: float = 5.0) -> float:
        """Wait until the LED shows that state; returns at once if it does. Returns when it began to."""
        try:
            await self._wait_until(lambda: self._led == state, timeout_s, f"the LED to show {state!r}")
        except NotSeen as error:
            raise LedTimeout(str(error)) from None
        return next((at_s for at_s, kind, value in reversed(self.events) if (kind, value) == ("led", state)), 0.0)

    async def wait_event(self, kind: str, value: Any = None, *, since: int = 0, timeout_s: float = 5.0) -> float:
        """Wait for an event at index `since` of `events` or later (of any value, if None); returns its time."""

        def found() -> float | None:
            events = self.events[since:]
            return next((at_s for at_s, k, v in events if k == kind and value in (None, v)), None)

        await self._wait_until(lambda: found() is not None, timeout_s, f"the event {kind} {value or ''}")
        at_s = found()
        assert at_s is not None
        return at_s

    async def wait_log(self, text: str, *, since: int = 0, timeout_s: float = 5.0) -> str:
        """Wait for a line with that text at index `since` of `log_lines` or later; returns it."""

        def found() -> str | None:
            return next((line for line in self.log_lines[since:] if text in line), None)

        await self._wait_until(lambda: found() is not None, timeout_s, f"a log line with {text!r}")
        line = found()
        assert line is not None
        return line

    def nvs(self) -> dict[str, str | bytes | int]:
        """Return what is committed in the firmware's NVS: blobs as bytes, numbers as int."""
        entries = json.loads((self._workdir / "nvs.json").read_text()).get(NVS_NAMESPACE, {})
        return {key: entry["i32"] if "i32" in entry else bytes.fromhex(entry["blob"]) for key, entry in entries.items()}

    def _running(self) -> BoardProcess:
        if self._process is None or not self._process.is_running:
            raise BoardStopped(f"the simulated board does not run{self._last_words()}")
        return self._process

    async def _drive_button(self, is_pressed: bool) -> float:
        button = self._board["button"]
        is_high = is_pressed == (button["active"] == "high")
        at_s = await self.set_pin(button["pin"], int(is_high))
        self._note(at_s, "button", "pressed" if is_pressed else "released")
        return at_s

    def _prepare_flash(self) -> None:
        flash = self._workdir / "flash"
        lay_out(self._firmware, flash)
        board_json = flash / "board.json"
        board_json.unlink(missing_ok=True)
        board_json.symlink_to(self._board_file)

    def _prepare_nvs(self) -> None:
        self._workdir.mkdir(parents=True, exist_ok=True)
        path = self._workdir / "nvs.json"
        namespaces = json.loads(path.read_text()) if path.exists() else {}
        namespaces.setdefault(NVS_NAMESPACE, {}).update({key: _nvs_entry(value) for key, value in self._config.items()})
        path.write_text(json.dumps(namespaces))

    async def _boot(self) -> None:
        self._prepare_flash()  # every time: a copy of viper code is as old as the boot
        self._led = "off"
        self._speaker_started_s = None
        self._exit_code = None
        n_boots = self._n_boots
        self._process = BoardProcess(self._on_message, self._on_line, self._on_exit)
        options = {
            "flash_folder": str(self._workdir / "flash"),
            "work_folder": str(self._workdir),
            "clock_ppm": self._clock_ppm,
            "wifi_delay_ms": self._wifi_delay_ms,
        }
        await self._process.start(options, self._heap)
        await self._wait_until(lambda: self._n_boots > n_boots, _BOOT_TIMEOUT_S, "the board to boot")

    async def _reboot(self) -> None:
        if self._process is not None:
            await self._process.stop()
        if self._is_wanted:
            await self._boot()

    def _on_message(self, message: Message) -> None:
        at_s = message["us"] / 1e6
        match message["kind"]:
            case "boot":
                self._n_boots += 1
                self._note(at_s, "boot", self._n_boots)
            case "led":
                red, green, blue = message["rgb"]
                self._show_led(at_s, (red, green, blue))
            case "pin":
                self._show_pin(at_s, message["pin"], message["level"])
            case "speaker":
                self._speaker_started_s = at_s
                self._note(at_s, "speaker", message["rate_hz"])
            case "reset":
                self._note(at_s, "reset", message["how"])
                self._restart = asyncio.create_task(self._reboot())
            case kind:
                self._note(at_s, kind, message)

    def _show_led(self, at_s: float, rgb: tuple[int, int, int]) -> None:
        name = self._led_names.get(rgb, "off" if not any(rgb) else f"rgb{rgb}")
        self._led = name
        self._note(at_s, "led", name)

    def _show_pin(self, at_s: float, pin: int, level: int) -> None:
        led = self._board["led"]
        if led["kind"] == "gpio" and pin == led["pin"]:
            self._led = "on" if level == int(led["active"] == "high") else "off"
            self._note(at_s, "led", self._led)

    def _on_line(self, line: str) -> None:
        if len(self.log_lines) < _MAX_LOG_LINES:
            self.log_lines.append(line)
        self._changed.set()

    def _on_exit(self, code: int) -> None:
        self._exit_code = code
        self._note(time.monotonic(), "exit", code)

    def _note(self, at_s: float, kind: str, value: Any) -> None:
        self.events.append((at_s, kind, value))
        self._changed.set()

    async def _wait_until(self, is_so: Callable[[], bool], timeout_s: float, what: str) -> None:
        deadline_s = time.monotonic() + timeout_s
        while not is_so():
            if self._exit_code is not None and (self._restart is None or self._restart.done()):
                raise BoardStopped(f"the board ended while a test waited for {what}{self._last_words()}")
            self._changed.clear()
            try:
                async with asyncio.timeout(deadline_s - time.monotonic()):  # wait_for may swallow a cancellation
                    await self._changed.wait()
            except TimeoutError:
                text = f"waited {timeout_s} s in vain for {what}; the LED shows {self._led!r}{self._last_words()}"
                raise NotSeen(text) from None

    def _last_words(self) -> str:
        lines = self.log_lines[-_LAST_LINES:]
        return "; its last log lines: " + " | ".join(lines) if lines else ""


def _nvs_entry(value: str | bytes | int) -> Message:
    if isinstance(value, int):
        return {"i32": value}
    return {"blob": (value.encode() if isinstance(value, str) else value).hex()}


def _led_names(firmware: Path) -> dict[tuple[int, int, int], str]:
    """Read the colours of the LED's states from the firmware itself."""
    path = firmware / "pressroom" / "voice" / "led_states.py"
    if not path.is_file():
        return {}
    names: dict[tuple[int, int, int], str] = {}
    for value in runpy.run_path(str(path)).values():
        if isinstance(value, dict):
            names.update({tuple(rgb): name for name, rgb in value.items() if isinstance(rgb, tuple)})
    return names
