"""voice.answer: what became of the last talk."""

from pressroom.voice.answer import Answer
from pressroom.voice.room import Room


def scene(agent="listening"):
    room = Room()
    if agent:
        room.handle({"t": "state", "agent": agent})
    return room, Answer(room)


def seen(answer):
    return answer.is_awaited, answer.has_failed


def test_an_answer_is_awaited_until_the_agent_changes_what_it_does():
    room, answer = scene()
    answer.talk_began()
    answer.talk_ended(1_000)
    assert not answer.poll(False, 1_010) and seen(answer) == (True, False)
    room.handle({"t": "state", "agent": "thinking"})
    assert not answer.poll(False, 1_400) and seen(answer) == (False, False)


def test_or_until_something_is_played():
    _, answer = scene()
    answer.talk_ended(1_000)
    assert not answer.poll(True, 1_400) and seen(answer) == (False, False)


def test_of_nobody_no_answer_is_awaited():
    for agent in ("", "disconnected"):
        _, answer = scene(agent)
        answer.talk_ended(1_000)
        assert seen(answer) == (False, False)


def test_a_failed_turn_is_shown_for_a_second():
    room, answer = scene()
    answer.talk_ended(1_000)
    room.handle({"t": "state", "turn": "unheard"})
    assert answer.poll(False, 2_000) and seen(answer) == (False, True)
    assert not answer.poll(False, 3_000) and seen(answer) == (False, True)
    assert not answer.poll(False, 3_001) and seen(answer) == (False, False)


def test_no_sign_of_life_for_ten_seconds_is_a_failure_too():
    _, answer = scene()
    answer.talk_ended(1_000)
    assert not answer.poll(False, 11_000)
    assert answer.poll(False, 11_001) and seen(answer) == (False, True)
    assert not answer.poll(False, 20_000) and seen(answer) == (False, False)


def test_another_talk_forgets_what_became_of_the_last():
    room, answer = scene()
    answer.talk_ended(1_000)
    room.handle({"t": "state", "turn": "failed"})
    answer.poll(False, 1_500)
    answer.talk_began()
    assert seen(answer) == (False, False)
    assert not answer.poll(False, 1_600)


def test_what_failed_during_a_talk_is_of_the_talk_before():
    room, answer = scene()
    room.handle({"t": "state", "turn": "failed"})
    answer.talk_began()
    answer.talk_ended(2_000)
    assert not answer.poll(False, 2_010) and seen(answer) == (True, False)
