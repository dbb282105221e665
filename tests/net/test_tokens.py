"""Access tokens: what opens the door, what does not, and what cannot be read."""

import datetime
import json

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit import api
from tests.net.mutations import fuzz, mutated

from pressroom_host.room import tokens

KEY, SECRET = "APItest", "a-secret-for-tests-of-at-least-32-bytes"
TOKEN = (
    api.AccessToken(KEY, SECRET)
    .with_identity("alice")
    .with_name("Alice")
    .with_metadata("m")
    .with_attributes({"a": "b"})
    .with_kind("agent")
    .with_grants(api.VideoGrants(room_join=True, room="hall"))
    .to_jwt()
)


def signed(secret: str = SECRET, algorithm: str = "HS256", **changes: object) -> str:
    claims = {"iss": KEY, "sub": "alice", "exp": 2**33, "video": {"roomJoin": True, "room": "hall"}}
    claims.update(changes)
    return jwt.encode({name: value for name, value in claims.items() if value is not None}, secret, algorithm=algorithm)


def test_a_token_of_the_official_library_is_read():
    claims = tokens.verify(TOKEN, KEY, SECRET)
    assert (claims.identity, claims.name, claims.room, claims.metadata) == ("alice", "Alice", "hall", "m")
    assert claims.attributes == {"a": "b"}
    assert claims.kind == "agent"
    assert claims.grants.room_join
    assert claims.grants.can_publish
    tokens.require_join(claims)


def test_the_identifier_of_a_token_is_kept():
    assert tokens.verify(signed(jti="7f3a"), KEY, SECRET).jti == "7f3a"


def test_the_agent_that_the_room_is_to_have_is_read():
    assert tokens.verify(signed(), KEY, SECRET).agent_name == ""
    config = {"agents": [{"agentName": "driver"}, {"agentName": "other"}]}
    assert tokens.verify(signed(roomConfig=config), KEY, SECRET).agent_name == "driver"
    for broken in (["x"], {"agents": "driver"}, {"agents": ["driver"]}, {"agents": [{"agentName": 7}]}):
        with pytest.raises(tokens.TokenInvalid):
            tokens.verify(signed(roomConfig=broken), KEY, SECRET)


def test_an_absent_grant_is_refused():
    grants = tokens.verify(signed(), KEY, SECRET).grants
    assert grants == tokens.Grants(room_join=True)


@pytest.mark.parametrize("value", [1, "true", None, [True]])
def test_only_true_grants(value):
    assert not tokens.verify(signed(video={"roomJoin": value, "room": "hall"}), KEY, SECRET).grants.room_join


@pytest.mark.parametrize(
    ("video", "what"), [({"room": "hall"}, "roomJoin"), ({"roomJoin": True}, "room is missing"), ({}, "roomJoin")]
)
def test_joining_needs_room_join_and_a_room(video, what):
    with pytest.raises(tokens.GrantMissing, match=what):
        tokens.require_join(tokens.verify(signed(video=video), KEY, SECRET))


def test_a_token_of_another_secret_is_invalid():
    with pytest.raises(tokens.TokenInvalid):
        tokens.verify(signed(secret="another-secret-of-at-least-32-bytes-long"), KEY, SECRET)


def test_a_token_of_another_key_is_invalid():
    with pytest.raises(tokens.TokenInvalid, match="another API key"):
        tokens.verify(signed(iss="APIother"), KEY, SECRET)


def test_no_algorithm_but_hs256_is_accepted():
    unsigned = jwt.encode({"iss": KEY, "sub": "alice", "exp": 2**33}, None, algorithm="none")
    for token in (unsigned, signed(algorithm="HS512", secret=SECRET * 2), signed(algorithm="HS384", secret=SECRET * 2)):
        with pytest.raises(tokens.TokenInvalid):
            tokens.verify(token, KEY, SECRET)


def test_an_expired_token_is_named_as_such():
    long_ago = int(datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC).timestamp())
    with pytest.raises(tokens.TokenExpired):
        tokens.verify(signed(exp=long_ago), KEY, SECRET)


def test_a_token_from_the_future_is_named_as_such():
    with pytest.raises(tokens.TokenNotYetValid):
        tokens.verify(signed(nbf=2**33), KEY, SECRET)


def test_a_token_without_an_end_is_invalid():
    with pytest.raises(tokens.TokenInvalid):
        tokens.verify(signed(exp=None), KEY, SECRET)


@pytest.mark.parametrize(
    "changes",
    [
        {"video": []},
        {"attributes": {"a": 1}},
        {"name": 7},
        {"sub": "x" * 300},
        {"video": {"room": {}}},
        {"video": {"canPublishSources": "microphone"}},
        {"exp": "soon"},
        {"exp": 1e400},
        {"name": "\ud800"},
        {"attributes": {"\ud800": ""}},
    ],
)
def test_a_claim_of_the_wrong_type_is_invalid(changes):
    with pytest.raises(tokens.TokenInvalid):
        tokens.verify(signed(**changes), KEY, SECRET)


def test_an_error_never_repeats_the_token():
    for token in (TOKEN[:-4], TOKEN + "AAAA", "A" * 20_000, signed(iss="APIother")):
        with pytest.raises(tokens.TokenError) as error:
            tokens.verify(token, KEY, SECRET)
        assert token not in str(error.value)
        assert SECRET not in str(error.value)


def test_deeply_nested_json_is_invalid():
    nested = jwt.utils.base64url_encode(b"[" * 8_000).decode()
    with pytest.raises(tokens.TokenInvalid):
        tokens.verify(f"{nested}.{nested}.AAAA", KEY, SECRET)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@fuzz
@given(token=mutated([TOKEN.encode()]).map(lambda data: data.decode("latin-1")) | st.text(max_size=500))
def test_a_hostile_token_is_a_token_error(token):
    if token != TOKEN:
        with pytest.raises(tokens.TokenError):
            tokens.verify(token, KEY, SECRET)


@fuzz
@given(name=st.sampled_from(("iss", "sub", "exp", "nbf", "iat", "video", "attributes", "jti", "kind")), value=_JSON)
def test_hostile_claims_under_a_good_signature_are_claims_or_a_token_error(name, value):
    claims = {"iss": KEY, "sub": "alice", "exp": 2**33, "video": {}, name: value}
    body = json.dumps(claims).encode()
    token = jwt.api_jws.encode(body, SECRET, algorithm="HS256")
    try:
        tokens.verify(token, KEY, SECRET)
    except tokens.TokenError:
        return
