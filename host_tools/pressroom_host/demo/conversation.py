"""The scripted conversation: the board says something, the parrot says it back, what the loudspeaker played is judged.

-150 ms   the recording begins to reach the microphone
   0      the button is pressed: the pre-roll must save the first 150 ms
          the recording ends; the button is released; the parrot answers
          the parrot has finished and the board is quiet again: the next turn
"""

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from pressroom_host.demo import codec_line, measure
from pressroom_host.demo.house import House
from pressroom_host.demo.parrot_process import ParrotFailed, ParrotProcess
from pressroom_host.demo.speech import Speech
from pressroom_host.demo.timeline import Tell
from pressroom_host.demo.turn import Turn
from pressroom_host.demo.witness import Witness
from pressroom_host.sim.board import LedTimeout
from pressroom_host.sim.process import BoardStopped
from pressroom_host.sim.sound import Recording

SPEECH_BEFORE_PRESS_S = 0.150
PARROT = "parrot"

_LEAD_S = 0.3  # from laying a recording before the microphone to its first sample
_READY_TIMEOUT_S = 15.0
_EVENT_TIMEOUT_S = 10.0
_QUIET_TIMEOUT_S = 3.0
_STATS_TIMEOUT_S = 12.0  # the board tells its counters every 10 s


@dataclass
class Conversation:
    """What came of it."""

    turns: list[Turn]
    counters: dict[str, int]  # the board's own
    codec: dict[str, dict[str, Any]]  # see codec_line.py
    began_s: float
    took_s: float

    @property
    def is_good(self) -> bool:
        return bool(self.turns) and all(turn.is_good for turn in self.turns)

    @property
    def allocated_bytes_per_frame(self) -> float | None:
        """What the board's audio path allocated per 20 ms; None if it has not counted."""
        n_frames = self.counters.get("n_metered", 0)
        return self.counters["n_alloc_bytes"] / n_frames if n_frames else None

    def as_json(self) -> dict[str, Any]:
        """Return what report.json holds."""
        return {
            "is_good": self.is_good,
            "seconds": round(self.took_s, 1),
            "codec": self.codec,
            "allocated_bytes_per_frame": self.allocated_bytes_per_frame,
            "board": self.counters,
            "turns": [turn.as_json(self.began_s) for turn in self.turns],
        }


async def hold(house: House, speeches: list[Speech], tell: Tell) -> Conversation:
    """Hold the conversation in a house that stands; `tell` hears of every event as it happens."""
    began_s = time.monotonic()
    async with AsyncExitStack() as stack:
        witness = Witness(house.identity, lambda at_s: tell(at_s, "room", "first packet"))
        await house.join("witness", witness)
        tell(time.monotonic(), "room", f"open at {house.room_url}")
        parrot = await ParrotProcess.start(house.room_url, house.room_token(PARROT), house.identity)
        stack.push_async_callback(parrot.stop)
        tell(await house.wait_ready(house.board), "board", "ready")
        subscribed = await parrot.wait_for("subscribed", _READY_TIMEOUT_S)
        tell(subscribed["at_s"], "parrot", "hears the board's track, which is muted")
        stage = _Stage(house, parrot, witness, tell)
        turns = []
        for number, speech in enumerate(speeches, 1):
            turns.append(await stage.play(Turn(number, speech)))
        counters = await house.next_counters(_STATS_TIMEOUT_S)
        bridge = house.bridge
        codec = codec_line.as_json(bridge.codec_up, bridge.codec_down, bridge.stats)
    return Conversation(turns, counters, codec, began_s, time.monotonic() - began_s)


class _Stage:
    """Who plays a turn together."""

    def __init__(self, house: House, parrot: ParrotProcess, witness: Witness, tell: Tell) -> None:
        self._house = house
        self._board = house.board
        self._parrot = parrot
        self._witness = witness
        self._tell = tell

    async def play(self, turn: Turn) -> Turn:
        """Play one turn to its end, whatever goes wrong in it."""
        self._witness.begin_turn()
        n_told = len(self._parrot.events)
        try:
            await self._speak(turn)
            await self._listen(turn, n_told)
        except (ParrotFailed, LedTimeout, BoardStopped) as error:
            turn.problems.append(str(error))
        self._note_what_others_saw(turn, n_told)
        turn.heard = self._heard_since(turn.times_s.get("release", time.monotonic()))
        await asyncio.to_thread(_judge, turn)
        if "back" in turn.times_s:
            after_ms = turn.ms_between("release", "back")
            self._tell(turn.times_s["back"], "board", f"first sample back, {after_ms:.0f} ms after the release")
        self._tell(time.monotonic(), "ear", "it came back whole" if turn.is_good else "; ".join(turn.reasons))
        return turn

    async def _speak(self, turn: Turn) -> None:
        speech_s = await self._board.mic(turn.speech.samples, at_s=time.monotonic() + _LEAD_S)
        turn.times_s["speech"] = speech_s
        self._tell(speech_s, "board", f"somebody begins to say {turn.speech.title}")
        await _sleep_until(speech_s + SPEECH_BEFORE_PRESS_S)
        turn.times_s["press"] = await self._board.press()
        late_ms = 1_000 * (turn.times_s["press"] - speech_s)
        self._tell(turn.times_s["press"], "board", f"button pressed, {late_ms:.0f} ms into the first word")
        await _sleep_until(speech_s + turn.speech.duration_s)
        turn.times_s["release"] = await self._board.release()
        self._tell(turn.times_s["release"], "board", "button released")

    async def _listen(self, turn: Turn, n_told: int) -> None:
        said = await self._parrot.wait_for("said", _EVENT_TIMEOUT_S, since=n_told)
        self._tell(said["at_s"], "parrot", "has seen the mute and answers")
        timeout_s = turn.speech.duration_s + _EVENT_TIMEOUT_S
        finished = await self._parrot.wait_for("finished", timeout_s, since=n_told)
        self._tell(finished["at_s"], "parrot", "has finished")
        await self._board.wait_led("ready", _QUIET_TIMEOUT_S)

    def _note_what_others_saw(self, turn: Turn, n_told: int) -> None:
        for name, fields in self._parrot.events[n_told:]:
            if name in ("heard", "muted", "said", "finished"):
                turn.times_s.setdefault(name, fields["at_s"])
        if self._witness.first_packet_s is not None:
            turn.times_s["packet"] = self._witness.first_packet_s
        turn.n_packets = self._witness.n_packets
        turn.n_lost = self._witness.n_lost

    def _heard_since(self, at_s: float) -> Recording:
        """Return what the loudspeaker has played since then."""
        speaker = self._board.speaker()
        begin = max(speaker.sample_at(at_s), 0)
        return Recording(speaker.samples[begin:], speaker.time_of(begin), speaker.rate_hz)


def _judge(turn: Turn) -> None:
    assert turn.heard is not None
    turn.judgement = measure.judge(turn.speech.samples, turn.heard.samples)
    back = measure.first_sample_back(turn.speech.samples, turn.heard.samples)
    if back is not None:
        turn.times_s["back"] = turn.heard.time_of(back)


async def _sleep_until(at_s: float) -> None:
    await asyncio.sleep(max(at_s - time.monotonic(), 0))
