"""Device tokens: made, listed, revoked, and checked at the door."""

import json

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.net.mutations import fuzz, mutated

from pressroom_host.gateway.state import StateFolder, StateUnusable
from pressroom_host.gateway.tokens import (
    ApiKey,
    Refusal,
    TokenBook,
    TokenGate,
    TokenUnknown,
    TokenUnmakeable,
    load_or_make_api_key,
)
from pressroom_host.room.tokens import verify

KEY = ApiKey("APItest", "a-secret-for-tests-of-at-least-32-bytes")
DAY_S = 86_400
NOW_S = 1_750_000_000
GRANTS = {"roomJoin": True, "room": "kitchen"}


class Door:
    """A book and a gate over one folder."""

    def __init__(self, path):
        self.now_s = NOW_S
        self.folder = StateFolder.open(path)
        self.book = TokenBook(self.folder, KEY, lambda: self.now_s)
        self.gate = TokenGate(self.folder, KEY)

    def refusal(self, token, gate=None):
        with pytest.raises(Refusal) as caught:
            (gate or self.gate).admit(f"Bearer {token}")
        assert token not in caught.value.message
        assert "\n" not in caught.value.message
        return caught.value


@pytest.fixture
def door(tmp_path):
    return Door(tmp_path / "state")


def signed(secret=KEY.secret, **claims):
    full = {"iss": KEY.key, "sub": "attic", "jti": "j1", "exp": 2**32, "video": GRANTS, **claims}
    return jwt.encode({name: value for name, value in full.items() if value is not None}, secret, algorithm="HS256")


def test_a_token_lets_its_device_in_with_every_grant_and_a_jti(door):
    token, issued = door.book.create("attic", "kitchen", "Attic box")
    claims = door.gate.admit(f"Bearer {token}")
    assert (claims.identity, claims.room, claims.name, claims.jti) == ("attic", "kitchen", "Attic box", issued.jti)
    grants = claims.grants
    assert grants.can_publish and grants.can_subscribe and grants.can_publish_data and grants.can_update_own_metadata


def test_a_token_is_an_ordinary_livekit_token_with_a_long_life(door):
    token, issued = door.book.create("attic", "kitchen")
    assert verify(token, KEY.key, KEY.secret).identity == "attic"
    assert issued.expires_at_s - NOW_S > 9 * 365 * DAY_S


def test_no_file_holds_a_token(door):
    token, _ = door.book.create("attic", "kitchen")
    for path in door.folder.path.iterdir():
        assert token.encode() not in path.read_bytes()


def test_every_token_has_a_jti_of_its_own(door):
    assert door.book.create("attic", "kitchen")[1].jti != door.book.create("attic", "kitchen")[1].jti


@pytest.mark.parametrize(
    ("identity", "room", "days"), [("", "r", 1), (" ", "r", 1), ("i", "", 1), ("i" * 129, "r", 1), ("i", "r", 0)]
)
def test_a_token_nobody_could_use_is_not_made(door, identity, room, days):
    with pytest.raises(TokenUnmakeable):
        door.book.create(identity, room, days=days)
    assert door.book.issued() == []


def test_a_revoked_token_is_refused_once_the_list_was_read_again(door):
    token, issued = door.book.create("attic", "kitchen")
    assert door.book.revoke(issued.jti) == [issued.jti]
    assert door.gate.reload()
    refusal = door.refusal(token)
    assert (refusal.status, refusal.reason) == (403, "TOKEN_REVOKED")
    assert "pressroom token create" in refusal.message


def test_the_list_is_read_again_only_if_it_has_changed(door):
    _, issued = door.book.create("attic", "kitchen")
    assert not door.gate.reload()
    door.book.revoke(issued.jti)
    assert door.gate.reload()
    assert not door.gate.reload()


def test_revoking_an_identity_revokes_all_its_tokens_and_no_others(door):
    for identity in ("attic", "attic", "cellar"):
        door.book.create(identity, "kitchen")
    assert len(door.book.revoke("attic")) == 2
    assert door.book.revoke("attic") == []
    assert [is_revoked for _, is_revoked in door.book.issued()] == [True, True, False]


def test_revoking_what_is_not_there_says_how_to_look(door):
    with pytest.raises(TokenUnknown, match="pressroom token list"):
        door.book.revoke("attic")


def test_expired_tokens_are_forgotten_by_book_and_deny_list(door):
    _, old = door.book.create("attic", "kitchen", days=1)
    door.book.revoke("attic")
    door.now_s += 3 * DAY_S
    _, new = door.book.create("cellar", "kitchen")
    door.book.revoke("cellar")
    assert [token for token, _ in door.book.issued()] == [new]
    assert old.jti not in (door.folder.path / "denied.json").read_text()


@pytest.mark.parametrize(
    ("claims", "status", "reason", "words"),
    [
        ({"exp": 1_000_000_000}, 401, "TOKEN_EXPIRED", "expired"),
        (
            {"secret": "another-secret-of-at-least-32-bytes..."},
            401,
            "UNAUTHORIZED",
            "not signed with this server's secret",
        ),
        ({"iss": "APIother"}, 401, "UNAUTHORIZED", "another API key"),
        ({"jti": None}, 401, "UNAUTHORIZED", "no jti"),
        ({"exp": None}, 401, "UNAUTHORIZED", "not signed"),
        ({"nbf": 2**32}, 401, "UNAUTHORIZED", "not valid yet"),
        ({"video": {"room": "kitchen"}}, 403, "WRONG_ROOM", "roomJoin"),
        ({"video": {"roomJoin": True}}, 403, "WRONG_ROOM", "name the room"),
    ],
)
def test_a_wrong_token_is_refused_with_the_reason_and_what_to_do(door, claims, status, reason, words):
    refusal = door.refusal(signed(**claims))
    assert (refusal.status, refusal.reason) == (status, reason)
    assert words in refusal.message
    assert "pressroom token create" in refusal.message


def test_no_token_is_refused(door):
    for header in ("", "Bearer ", "Basic abc"):
        with pytest.raises(Refusal, match="the device sent no token; make one with `pressroom token create`"):
            door.gate.admit(header)


def test_a_room_that_is_not_served_is_refused_and_those_that_are_named(door):
    gate = TokenGate(door.folder, KEY, rooms=("kitchen", "hall"))
    token, _ = door.book.create("attic", "kitchen")
    assert gate.admit(f"Bearer {token}").room == "kitchen"
    refusal = door.refusal(door.book.create("attic", "cellar")[0], gate)
    assert (refusal.status, refusal.reason) == (403, "WRONG_ROOM")
    assert "'cellar' but hall, kitchen" in refusal.message


@fuzz
@given(data=mutated([signed().encode()]) | st.binary(max_size=2_000))
def test_hostile_tokens_are_refused(data, tmp_path_factory):
    gate = TokenGate(StateFolder(tmp_path_factory.getbasetemp()), KEY)
    token = data.decode("latin-1")
    try:
        identity = gate.admit(f"Bearer {token}").identity
    except Refusal:
        return
    assert identity == "attic"  # what has changed is not signed: the last bits of base64


def test_the_api_secret_is_random_kept_and_in_no_repr(tmp_path):
    folder = StateFolder.open(tmp_path / "state")
    key = load_or_make_api_key(folder)
    assert load_or_make_api_key(folder) == key
    assert load_or_make_api_key(StateFolder.open(tmp_path / "other")) != key
    assert len(key.secret) >= 32
    assert key.secret not in repr(key)


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff"])
@pytest.mark.parametrize("name", ["api_key.json", "tokens.json", "denied.json"])
def test_a_damaged_file_is_one_clear_line(tmp_path, name, content):
    folder = StateFolder.open(tmp_path / "state")
    folder.write(name, content)
    with pytest.raises(StateUnusable, match=f"{name} is damaged .*; bring back a copy of it, or remove it$"):
        use(folder)


def test_an_entry_that_is_none_is_forgotten(tmp_path):
    folder = StateFolder.open(tmp_path / "state")
    for name in ("tokens.json", "denied.json"):
        folder.write(name, b'{"a": 1, "b": {"expires_at_s": "soon"}}')
    use(folder)
    assert set(json.loads(folder.read("tokens.json"))) == set(json.loads(folder.read("denied.json")))


def use(folder):
    book = TokenBook(folder, load_or_make_api_key(folder))
    book.create("attic", "kitchen")
    book.revoke("attic")
    TokenGate(folder, KEY)
