"""voice.room: what the gateway tells about the room is kept within bounds."""

from pressroom.voice.room import Room


def participant(n, state="ACTIVE", **more):
    return dict({"t": "participant", "identity": "p%d" % n, "sid": "PA_%d" % n, "state": state}, **more)


def track(n, subscribed=True):
    message = {"t": "track", "sid": "TR_%d" % n, "participant": "PA_1", "kind": "AUDIO", "muted": False}
    return dict(message, subscribed=subscribed)


def identities(room):
    return sorted(message["identity"] for message in room.participants())


def test_participants_come_change_and_go():
    room = Room()
    room.handle(participant(1))
    room.handle(participant(2))
    room.handle(participant(1, is_speaking=True))
    assert identities(room) == ["p1", "p2"]
    assert any(message.get("is_speaking") for message in room.participants())
    room.handle(participant(1, "DISCONNECTED"))
    room.handle(participant(9, "DISCONNECTED"))
    assert identities(room) == ["p2"]


def test_more_participants_than_fit_are_counted():
    room = Room()
    for n in range(1000):
        room.handle(participant(n))
    assert len(room.participants()) == 16
    assert room.n_left_out == 984


def test_tracks_come_and_go_within_a_bound():
    room = Room()
    for n in range(100):
        room.handle(track(n))
    assert len(room.tracks()) == 16
    room.handle(track(3, subscribed=False))
    assert len(room.tracks()) == 15


def test_a_welcome_forgets_whom_an_earlier_one_told_of():
    room = Room()
    room.handle(participant(1))
    room.handle(track(1))
    room.welcomed({"room": "kitchen", "identity": "attic"})
    assert room.participants() == []
    assert room.tracks() == []
    assert (room.name, room.identity) == ("kitchen", "attic")


def test_the_state_of_the_agent_is_kept():
    room = Room()
    room.handle({"t": "state", "agent": "thinking"})
    room.handle({"t": "state", "message": "one moment"})
    assert room.agent_state == "thinking"


def test_data_is_counted():
    room = Room()
    room.handle({"t": "data", "payload": "on", "topic": "lights"})
    assert room.n_data == 1


def test_the_room_is_away_until_it_is_connected_or_welcomed_again():
    room = Room()
    room.handle({"t": "state", "room": "reconnecting"})
    assert room.is_away
    room.handle({"t": "state", "agent": "thinking"})
    assert room.is_away
    room.handle({"t": "state", "room": "connected"})
    assert not room.is_away


def test_changes_of_the_agent_and_failed_turns_are_counted():
    room = Room()
    assert not room.has_agent
    for agent in ("listening", "listening", "thinking", "disconnected"):
        room.handle({"t": "state", "agent": agent})
    assert room.n_agent_changes == 3
    assert not room.has_agent
    room.handle({"t": "state", "turn": "unheard"})
    assert room.n_failed_turns == 1
