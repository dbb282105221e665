"""The device on a simulated board, against a gateway without a room."""

import asyncio
import time
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from fake_gateway import FRAME_SAMPLES, FakeGateway, Refusal

from pressroom_host.sim.board import SimulatedBoard

RATE_HZ = 16_000
PREROLL_S = 0.2
WINDOW_SAMPLES = 4_800


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[FakeGateway]:
    gateway = await FakeGateway.start(tmp_path)
    yield gateway
    await gateway.stop()


async def board_of(gateway: FakeGateway, tmp_path: Path, **config: object) -> SimulatedBoard:
    """A board that is ready and sends over UDP."""
    board = await SimulatedBoard.start(gateway.config(**config), workdir=tmp_path / "board")
    await board.wait_led("ready")
    if not gateway.is_udp_blocked:
        await gateway.until_udp()
    return board


def voice(duration_s: float, seed: int = 1) -> np.ndarray:
    """Noise between 300 and 3000 Hz with the rhythm of syllables: it is loud, and alike only to itself."""
    n = int(duration_s * RATE_HZ)
    spectrum = np.fft.rfft(np.random.default_rng(seed).normal(size=n))
    hz = np.fft.rfftfreq(n, 1 / RATE_HZ)
    spectrum[(hz < 300) | (hz > 3000)] = 0
    noise = np.fft.irfft(spectrum, n)
    envelope = 0.6 + 0.4 * np.sin(2 * np.pi * 4 * np.arange(n) / RATE_HZ)
    return (8000 * noise / np.abs(noise).max() * envelope).astype(np.int16)


def find(part: np.ndarray, whole: np.ndarray) -> tuple[int, float]:
    """Return where part is in whole, and how alike it is there (1 is the same)."""
    n = 1 << (len(whole) + len(part)).bit_length()
    product = np.fft.irfft(np.fft.rfft(whole, n) * np.conj(np.fft.rfft(part.astype(float), n)), n)
    at = int(np.argmax(product[: max(1, len(whole) - len(part) + 1)]))
    found = whole[at : at + len(part)].astype(float)
    norm = np.linalg.norm(found) * np.linalg.norm(part.astype(float))
    return at, float(found @ part.astype(float) / norm) if norm else 0.0


def likeness(said: np.ndarray, heard: np.ndarray) -> float:
    """How alike the windows of 300 ms are, each where it is found: the worst but one in ten.

    A frame may be inserted or left out between them, when this machine was busy; it must not be noticed elsewhere.
    """
    starts = range(0, len(said) - WINDOW_SAMPLES + 1, WINDOW_SAMPLES // 3)
    return float(np.percentile([find(said[start : start + WINDOW_SAMPLES], heard)[1] for start in starts], 10))


def longest_hole_s(samples: np.ndarray) -> float:
    """The longest silence within samples."""
    loud = np.flatnonzero(np.abs(samples.astype(int)) > 100)
    return float(np.diff(loud).max() / RATE_HZ) if len(loud) > 1 else len(samples) / RATE_HZ


async def talk(board: SimulatedBoard, gateway: FakeGateway, said: np.ndarray, before_press_s: float = 0.15) -> float:
    """Say something into the microphone, from a little before the press to the release; returns when it began."""
    n_events = len(gateway.events)
    started_s = await board.mic(said, at_s=time.monotonic() + 0.1)
    await asyncio.sleep(started_s + before_press_s - time.monotonic())
    await board.press()
    await asyncio.sleep(started_s + len(said) / RATE_HZ - time.monotonic())
    await board.release()
    await gateway.until_event("muted", n_events)
    return started_s


async def test_the_device_greets_with_what_it_is(gateway: FakeGateway, tmp_path: Path):
    async with await board_of(gateway, tmp_path):
        hello = gateway.hellos[0]
    assert hello["board"] == "esp32-s3-devkitc-inmp441-max98357a"
    assert hello["caps"]["up"] == hello["caps"]["dn"] == ["opus", "l16"]
    assert (hello["caps"]["max_message_bytes"], hello["caps"]["full_duplex"]) == (2048, False)
    assert hello["muted"] is True
    assert "resume" not in hello


async def test_what_is_said_is_heard_from_before_the_press_to_the_release(gateway: FakeGateway, tmp_path: Path):
    said = voice(2.0)
    async with await board_of(gateway, tmp_path) as board:
        await talk(board, gateway, said)
        leds = [value for _, kind, value in board.events if kind == "led"]
    heard = gateway.audio()
    at, alike = find(said, heard)
    assert alike > 0.98
    assert at <= PREROLL_S * RATE_HZ
    assert {packet.way for packet in gateway.heard} == {"udp"}
    assert leds[-3:] == ["ready", "talking", "ready"]


async def test_a_talk_is_named_by_its_timestamps(gateway: FakeGateway, tmp_path: Path):
    async with await board_of(gateway, tmp_path) as board:
        await talk(board, gateway, voice(1.0))
        first_end = len(gateway.heard)
        await talk(board, gateway, voice(1.0))
    begins = [value for _, kind, value in gateway.events if kind == "unmuted"]
    for begin, packets in zip(begins, (gateway.heard[:first_end], gateway.heard[first_end:]), strict=True):
        assert packets[0].timestamp == begin
        assert [packet.is_marked for packet in packets] == [True] + [False] * (len(packets) - 1)
        steps = {(b.timestamp - a.timestamp) % (1 << 32) for a, b in pairwise(packets)}
        assert steps == {FRAME_SAMPLES}
    spoken_s = (gateway.heard[first_end].timestamp - gateway.heard[0].timestamp) % (1 << 32) / RATE_HZ
    elapsed_s = gateway.heard[first_end].at_s - gateway.heard[0].at_s
    assert abs(spoken_s - elapsed_s) < 0.1  # time passes while muted


async def test_the_preroll_is_a_burst(gateway: FakeGateway, tmp_path: Path):
    async with await board_of(gateway, tmp_path) as board:
        await talk(board, gateway, voice(1.0))
    burst = gateway.heard[:10]
    assert burst[-1].at_s - burst[0].at_s < 0.1  # 200 ms of speech


async def test_without_preroll_the_first_word_is_lost(gateway: FakeGateway, tmp_path: Path):
    said = voice(1.0)
    async with await board_of(gateway, tmp_path, preroll_ms=0) as board:
        await talk(board, gateway, said)
    assert find(said[:1600], gateway.audio())[1] < 0.5


async def test_what_the_gateway_sends_is_played_without_a_hole(gateway: FakeGateway, tmp_path: Path):
    said = voice(2.0)
    async with await board_of(gateway, tmp_path) as board:
        await gateway.speak(said)
        await board.wait_event("led", "agent_speaking")
        await board.wait_event("led", "ready", since=len(board.events) - 1)
        played = board.speaker().samples
    at, _ = find(said[:WINDOW_SAMPLES], played)
    assert likeness(said, played) > 0.8
    assert longest_hole_s(played[at : at + len(said)]) < 0.02


async def test_a_lost_frame_is_no_hole(gateway: FakeGateway, tmp_path: Path):
    said = voice(1.5)
    async with await board_of(gateway, tmp_path) as board:
        await gateway.speak(said, lost=(30, 50))
        await board.wait_event("led", "ready", since=len(board.events))
        played = board.speaker().samples
    at, _ = find(said[:WINDOW_SAMPLES], played)
    assert likeness(said, played) > 0.8
    assert longest_hole_s(played[at : at + len(said)]) < 0.02


@pytest.mark.parametrize("full_duplex", [0, 1])
async def test_while_the_button_is_held_playback_is_silent_unless_full_duplex(
    gateway: FakeGateway, tmp_path: Path, full_duplex: int
):
    async with await board_of(gateway, tmp_path, full_duplex=full_duplex) as board:
        await board.press()
        await gateway.until_event("unmuted")
        await gateway.speak(voice(1.0))
        await board.release()
        await gateway.until_event("muted")
        loudest = int(np.abs(board.speaker().samples.astype(int)).max())
    assert (loudest > 1000) == bool(full_duplex)


async def test_a_press_while_somebody_speaks_silences_them_and_says_so(gateway: FakeGateway, tmp_path: Path):
    async with await board_of(gateway, tmp_path) as board:
        speaking = asyncio.create_task(gateway.speak(voice(3.0)))
        await board.wait_led("agent_speaking")
        pressed_s = await board.press()
        await gateway.until_event("flushed")
        await speaking
        recording = board.speaker()
    after = recording.samples[recording.sample_at(pressed_s + 0.15) :]
    assert int(np.abs(after.astype(int)).max()) == 0
    kinds = [kind for _, kind, _ in gateway.events]
    assert kinds.index("flushed") < kinds.index("unmuted")


async def test_a_press_in_silence_flushes_nothing(gateway: FakeGateway, tmp_path: Path):
    async with await board_of(gateway, tmp_path) as board:
        await talk(board, gateway, voice(1.0))
    assert "flushed" not in [kind for _, kind, _ in gateway.events]


async def test_a_bouncing_button_is_one_press(gateway: FakeGateway, tmp_path: Path):
    async with await board_of(gateway, tmp_path) as board:
        for level in (0, 1, 0, 1, 0):
            await board.set_pin(0, level)
        await gateway.until(lambda: len(gateway.heard) > 20, "audio")
        for level in (1, 0, 1, 0, 1):
            await board.set_pin(0, level)
        await gateway.until_event("muted")
    kinds = [kind for _, kind, _ in gateway.events if kind in ("muted", "unmuted")]
    assert kinds == ["unmuted", "muted"]


async def test_where_udp_is_blocked_the_websocket_carries_the_voice_both_ways(gateway: FakeGateway, tmp_path: Path):
    gateway.is_udp_blocked = True
    said, answer = voice(1.0, seed=1), voice(1.0, seed=2)
    async with await board_of(gateway, tmp_path) as board:
        await talk(board, gateway, said)
        await gateway.speak(answer)
        await board.wait_event("led", "ready", since=len(board.events))
        played = board.speaker().samples
    assert {packet.way for packet in gateway.heard} == {"websocket"}
    assert find(said, gateway.audio())[1] > 0.98
    assert likeness(answer, played) > 0.8


async def test_udp_that_stops_in_the_middle_of_a_talk_is_left(gateway: FakeGateway, tmp_path: Path):
    async with await board_of(gateway, tmp_path) as board:
        await board.press()
        await gateway.until(lambda: len(gateway.heard) > 20, "audio over UDP")
        gateway.is_udp_blocked = True
        await gateway.until(lambda: gateway.heard[-1].way == "websocket", "audio over the WebSocket", timeout_s=5)
        await board.release()
        await gateway.until_event("muted")


async def test_a_cut_in_a_talk_is_resumed_unaided(gateway: FakeGateway, tmp_path: Path):
    said = voice(6.0)
    async with await board_of(gateway, tmp_path) as board:
        await board.mic(said)
        await board.press()
        await gateway.until(lambda: len(gateway.heard) > 30, "audio")
        session_id = gateway._session.session_id
        n_events, n_heard = len(gateway.events), len(gateway.heard)
        await gateway.cut()
        cut_s = time.monotonic()
        await gateway.until_event("unmuted", n_events)
        await gateway.until(lambda: len(gateway.heard) > n_heard + 30, "audio after the cut")
        await board.release()
        await gateway.until_event("muted", n_events)
    assert gateway.hellos[1]["resume"] == session_id
    assert gateway.hellos[1]["muted"] is False
    again = next(i for i, packet in enumerate(gateway.heard) if i >= n_heard and packet.is_marked)
    assert gateway.heard[again].at_s - cut_s < 2
    assert find(gateway.audio(again)[:8000], said)[1] > 0.98
    assert [value for _, kind, value in gateway.events if kind == "welcome"] == [False, True]


async def test_after_reconnect_a_new_session_is_begun(gateway: FakeGateway, tmp_path: Path):
    async with await board_of(gateway, tmp_path) as board:
        n_events = len(gateway.events)
        gateway.leave("RECONNECT", "SERVER_SHUTDOWN", "the gateway is restarting")
        await gateway.until_event("welcome", n_events)
        await board.wait_led("ready")
    assert "resume" not in gateway.hellos[1]


async def test_a_gateway_that_comes_late_is_found(gateway: FakeGateway, tmp_path: Path):
    await gateway.stop()
    async with await SimulatedBoard.start(gateway.config(), workdir=tmp_path / "board") as board:
        await board.wait_log("state=connecting")
        assert board.led() == "connecting"
        late = await FakeGateway.start(tmp_path, gateway.port)
        await board.wait_led("ready")
        await late.stop()
        await board.wait_led("connecting")


async def test_a_refused_token_is_told_and_not_tried_again_until_somebody_presses(gateway: FakeGateway, tmp_path: Path):
    gateway.refusal = Refusal(401, "TOKEN_EXPIRED", "this token ended in May; make a new one")
    async with await SimulatedBoard.start(gateway.config(), workdir=tmp_path / "board") as board:
        await board.wait_led("error")
        line = await board.wait_log("state=refused")
        await asyncio.sleep(1.2)  # twice as long as an eager device waits
        assert gateway.n_upgrades == 1
        gateway.refusal = None
        await board.press()
        await board.wait_led("talking")
        await board.release()
    assert "reason=TOKEN_EXPIRED" in line
    assert "make a new one" in line
    assert gateway.n_upgrades == 2


async def test_a_token_that_cannot_stand_in_a_request_is_told(gateway: FakeGateway, tmp_path: Path):
    async with await SimulatedBoard.start(gateway.config(token="two words"), workdir=tmp_path / "board") as board:
        await board.wait_led("error")
        line = await board.wait_log("state=refused")
    assert "reason=BAD_SETTING" in line
    assert "two words" not in line


async def test_another_certificate_than_the_pinned_one_is_refused(gateway: FakeGateway, tmp_path: Path):
    config = gateway.config(pin0=bytes(32))
    async with await SimulatedBoard.start(config, workdir=tmp_path / "board") as board:
        await board.wait_led("error")
        line = await board.wait_log("state=refused")
        await asyncio.sleep(1.2)
    assert "pin" in line
    assert gateway.n_upgrades == 0


async def test_the_second_pin_is_as_good_as_the_first(gateway: FakeGateway, tmp_path: Path):
    config = gateway.config(pin0=bytes(32), pin1=gateway.pin)
    async with await SimulatedBoard.start(config, workdir=tmp_path / "board") as board:
        await board.wait_led("ready")


@pytest.mark.parametrize("reason", ["UPGRADE_REQUIRED", "DUPLICATE_IDENTITY"])
async def test_a_gateway_that_says_disconnect_is_believed(gateway: FakeGateway, tmp_path: Path, reason: str):
    async with await board_of(gateway, tmp_path) as board:
        gateway.leave("DISCONNECT", reason, "do this and that")
        await board.wait_led("error")
        line = await board.wait_log("state=refused")
        await asyncio.sleep(1.2)
    assert f"reason={reason}" in line
    assert "do this and that" in line
    assert gateway.n_upgrades == 1


async def test_the_room_may_mute_a_talk_but_not_open_the_microphone(gateway: FakeGateway, tmp_path: Path):
    async with await board_of(gateway, tmp_path) as board:
        gateway.say({"t": "mute", "muted": False})
        await board.press()
        await gateway.until_event("unmuted")
        n_events = len(gateway.events)
        gateway.say({"t": "mute", "muted": True})
        await gateway.until_event("muted", n_events)
        await board.wait_led("ready")
        await board.release()
        await talk(board, gateway, voice(1.0))  # the next press talks again
    kinds = [kind for _, kind, _ in gateway.events if kind in ("muted", "unmuted")]
    assert kinds == ["unmuted", "muted"] * 2


async def test_the_gateway_may_flush_what_is_played(gateway: FakeGateway, tmp_path: Path):
    async with await board_of(gateway, tmp_path) as board:
        speaking = asyncio.create_task(gateway.speak(voice(1.0)))
        await board.wait_led("agent_speaking")
        await speaking
        gateway.say({"t": "flush"})
        await board.wait_led("ready")


async def test_a_remote_call_is_answered(gateway: FakeGateway, tmp_path: Path):
    async with await board_of(gateway, tmp_path):
        gateway.say({"t": "rpc", "id": "r1", "method": "dance", "payload": "{}", "caller_identity": "parrot"})
        await gateway.until(lambda: bool(gateway.messages), "an answer")
    assert gateway.messages[0]["t"] == "rpc_result"
    assert gateway.messages[0]["error"]["code"] == 1400


async def test_messages_nobody_needs_do_no_harm(gateway: FakeGateway, tmp_path: Path):
    async with await board_of(gateway, tmp_path) as board:
        for n in range(200):
            gateway.say(
                {"t": "participant", "identity": f"p{n}", "sid": f"PA_{n}", "state": "ACTIVE", "name": "x" * 200}
            )
            gateway.say({"t": "data", "payload": "x" * 1500, "topic": "noise"})
            await asyncio.sleep(0)
        gateway._outgoing.put_nowait('{"t": "not_yet_invented"}')
        gateway._outgoing.put_nowait("{" * 500)
        gateway._outgoing.put_nowait(b"\x07unknown kind")
        gateway._outgoing.put_nowait(b"\x01no rtp")
        await talk(board, gateway, voice(1.0))
    assert gateway.n_upgrades == 1


async def test_a_config_sets_volume_and_gain_within_bounds(gateway: FakeGateway, tmp_path: Path):
    async with await board_of(gateway, tmp_path) as board:
        gateway.say({"t": "config", "values": {"volume": 25, "mic_gain": 3, "dance": True}})
        gateway.say({"t": "config", "values": {"volume": "loud", "mic_gain": None}})
        gateway.say({"t": "config", "values": {"volume": 25}})
        await talk(board, gateway, voice(1.0))
        await gateway.speak(voice(1.0, seed=2))
        await board.wait_event("led", "ready", since=len(board.events))
        played = board.speaker().samples
    assert np.abs(gateway.audio().astype(int)).max() == pytest.approx(
        np.abs(voice(1.0).astype(int)).max() / 2, rel=0.05
    )
    loudest = np.abs(voice(1.0, seed=2).astype(int)).max()
    assert np.abs(played.astype(int)).max() == pytest.approx(loudest / 4, rel=0.05)


async def test_no_byte_is_allocated_for_a_frame_and_the_counters_say_so(gateway: FakeGateway, tmp_path: Path):
    async with await board_of(gateway, tmp_path, full_duplex=1) as board:
        await board.press()
        await gateway.speak(voice(21.0))
        await gateway.until(lambda: any(m["t"] == "stats" for m in gateway.messages), "stats", timeout_s=15)
        await board.release()
        await gateway.until_event("muted")
    values = [message["values"] for message in gateway.messages if message["t"] == "stats"][-1]
    assert values["n_sent"] >= 500
    assert values["n_played"] >= 500
    assert values["n_metered"] >= 1_000
    assert values["n_alloc_bytes"] == 0


# The light of a talk with an agent.


async def test_the_light_follows_the_agent_from_the_release_on(gateway: FakeGateway, tmp_path: Path):
    async with await board_of(gateway, tmp_path) as board:
        gateway.say({"t": "state", "agent": "listening"})
        n_events = len(board.events)
        await talk(board, gateway, voice(0.5))
        await board.wait_led("thinking")  # nobody has said so yet
        gateway.say({"t": "state", "agent": "thinking"})
        await gateway.speak(voice(1.0))
        gateway.say({"t": "state", "agent": "speaking"})
        await board.wait_led("agent_speaking")
        gateway.say({"t": "state", "agent": "listening"})
        await board.wait_led("ready")
        leds = [value for _, kind, value in board.events[n_events:] if kind == "led"]
    assert leds == ["talking", "thinking", "agent_speaking", "ready"]


async def test_a_turn_that_failed_is_an_error_for_a_second(gateway: FakeGateway, tmp_path: Path):
    async with await board_of(gateway, tmp_path) as board:
        gateway.say({"t": "state", "agent": "listening"})
        await talk(board, gateway, voice(0.5))
        await board.wait_led("thinking")
        gateway.say({"t": "state", "turn": "unheard"})
        failed_s = await board.wait_led("error")
        assert 0.9 < await board.wait_led("ready") - failed_s < 1.5


async def test_a_press_ends_the_error_of_the_turn_before(gateway: FakeGateway, tmp_path: Path):
    async with await board_of(gateway, tmp_path) as board:
        gateway.say({"t": "state", "agent": "listening"})
        await talk(board, gateway, voice(0.3))
        gateway.say({"t": "state", "turn": "failed"})
        await board.wait_led("error")
        await board.press()
        await board.wait_led("talking", 0.5)
        await board.release()
        await board.wait_led("thinking", 0.5)


async def test_without_an_agent_nobody_is_thought_to_think(gateway: FakeGateway, tmp_path: Path):
    async with await board_of(gateway, tmp_path) as board:
        gateway.say({"t": "state", "agent": "disconnected"})
        await talk(board, gateway, voice(0.3))
        await asyncio.sleep(0.3)
        leds = [value for _, kind, value in board.events if kind == "led"]
    assert leds[-2:] == ["talking", "ready"]
