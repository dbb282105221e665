"""The button as turns of an agent: which calls are made, and what the device is told."""

import pytest
from livekit.protocol import models

from pressroom_host.gateway import rpc
from pressroom_host.gateway.turns import CANCEL, END, FAILED, START, UNHEARD, Turns

Kind = models.ParticipantInfo.Kind


class Stage:
    """Turns, the calls that were made, and what the device was told."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.told: list[str] = []
        self.answers_at_once = True  # start_turn and cancel_turn
        self.turns = Turns(self._call, self.told.append)

    def _call(self, identity: str, method: str, timeout_ms: int) -> None:
        self.calls.append((identity, method))
        if self.answers_at_once and method != END:
            self.turns.answered(method, "", 0, 0)

    def join(self, identity: str, kind: int = Kind.AGENT, state: str = "listening") -> None:
        info = models.ParticipantInfo(sid=f"PA_{identity}", identity=identity, kind=kind)
        info.attributes["lk.agent.state"] = state
        self.turns.participant(info)

    def methods(self) -> list[str]:
        return [method for _, method in self.calls]


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_press_and_a_release_are_a_turn(stage):
    stage.join("agent")
    stage.turns.pressed(1_000)
    stage.turns.released(3_000)
    stage.turns.answered(END, "hello", 0, 3_300)
    stage.turns.poll(9_000)
    assert stage.calls == [("agent", START), ("agent", END)]
    assert stage.told == []


def test_a_press_of_less_than_200_ms_is_none(stage):
    stage.join("agent")
    stage.turns.pressed(1_000)
    stage.turns.released(1_199)
    assert stage.methods() == [START, CANCEL]


def test_press_release_press_is_a_turn_that_was_cancelled_and_another(stage):
    stage.join("agent")
    for now_ms in (1_000, 1_250):
        stage.turns.pressed(now_ms)
        if now_ms == 1_000:
            stage.turns.released(1_150)
    stage.turns.released(2_500)
    assert stage.methods() == [START, CANCEL, START, END]


def test_a_lost_link_cancels_a_turn_and_changes_nothing_without_one(stage):
    stage.join("agent")
    stage.turns.link_lost()
    stage.turns.pressed(1_000)
    stage.turns.link_lost()
    stage.turns.released(3_000)
    assert stage.methods() == [START, CANCEL]


def test_people_and_rooms_without_an_agent_are_called_by_nobody(stage):
    stage.join("somebody", Kind.STANDARD)
    stage.turns.pressed(1_000)
    stage.turns.released(3_000)
    assert stage.calls == []


def test_of_two_agents_the_first_has_the_turn_and_the_second_once_that_has_left(stage):
    stage.join("first")
    stage.join("second")
    stage.turns.pressed(1_000)
    stage.turns.participant_left("PA_first")
    stage.turns.released(2_000)
    stage.turns.pressed(3_000)
    assert stage.calls == [("first", START), ("second", START)]


def test_an_agent_whose_methods_come_a_moment_later_is_asked_again_while_the_button_is_held(stage):
    stage.join("agent")
    stage.answers_at_once = False
    stage.turns.pressed(1_000)
    stage.turns.answered(START, "", rpc.UNSUPPORTED_METHOD, 1_010)
    assert stage.turns.next_timeout_ms(1_010) == 200
    stage.turns.poll(1_209)
    assert stage.methods() == [START]
    stage.turns.poll(1_210)
    stage.turns.answered(START, "", 0, 1_220)
    stage.turns.released(3_000)
    assert stage.methods() == [START, START, END]


def test_an_agent_without_the_methods_just_hears_mute_and_unmute(stage):
    stage.join("agent")
    stage.answers_at_once = False
    now_ms = 1_000
    stage.turns.pressed(now_ms)
    for _ in range(6):
        stage.turns.answered(START, "", rpc.UNSUPPORTED_METHOD, now_ms)
        now_ms += 200
        stage.turns.poll(now_ms)
    assert stage.methods() == [START] * 6
    stage.turns.released(now_ms)
    stage.turns.pressed(now_ms + 1_000)
    stage.turns.released(now_ms + 2_000)
    assert stage.methods() == [START] * 6
    assert stage.told == []


def test_nothing_heard_is_told_unless_the_agent_begins_to_think(stage):
    stage.join("agent")
    for state in ("listening", "thinking"):
        stage.turns.pressed(1_000)
        stage.turns.released(2_000)
        stage.turns.answered(END, "", 0, 2_300)
        stage.join("agent", state=state)
        stage.turns.poll(3_799)
        assert stage.told in ([], [UNHEARD])
        stage.turns.poll(3_800)
    assert stage.told == [UNHEARD]


def test_another_press_takes_back_that_nothing_was_heard(stage):
    stage.join("agent")
    stage.turns.pressed(1_000)
    stage.turns.released(2_000)
    stage.turns.answered(END, "", 0, 2_300)
    stage.turns.pressed(2_500)
    stage.turns.poll(9_000)
    assert stage.told == []


@pytest.mark.parametrize("method", [START, END])
def test_a_call_that_fails_or_is_never_answered_is_told(stage, method):
    stage.join("agent")
    stage.answers_at_once = False
    stage.turns.pressed(1_000)
    stage.turns.answered(method, "", rpc.RESPONSE_TIMEOUT, 3_000)
    assert stage.told == [FAILED]


def test_an_agent_that_dies_in_the_middle_of_a_turn_ends_it(stage):
    stage.join("agent")
    stage.turns.pressed(1_000)
    stage.turns.participant_left("PA_agent")
    stage.turns.released(2_000)
    stage.turns.answered(START, "", rpc.RECIPIENT_DISCONNECTED, 2_001)
    assert stage.methods() == [START]


def test_a_turn_ends_only_after_the_agent_has_begun_it(stage):
    stage.join("agent")
    stage.answers_at_once = False
    stage.turns.pressed(1_000)
    stage.turns.released(1_100)
    stage.turns.pressed(1_200)
    stage.turns.released(2_000)
    assert stage.methods() == [START]
    for n_called, answered in enumerate((START, CANCEL, START, END), 2):
        stage.turns.answered(answered, "heard", 0, 2_100)
        assert stage.methods() == [START, CANCEL, START, END][:n_called]


def test_what_was_to_follow_a_start_that_failed_is_not_called(stage):
    stage.join("agent")
    stage.answers_at_once = False
    stage.turns.pressed(1_000)
    stage.turns.released(2_000)
    stage.turns.answered(START, "", rpc.RESPONSE_TIMEOUT, 3_000)
    assert (stage.methods(), stage.told) == ([START], [FAILED])


def test_there_is_nothing_to_wait_for_at_rest(stage):
    assert stage.turns.next_timeout_ms(1_000) == 60_000
