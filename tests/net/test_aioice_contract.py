"""The private names of aioice that webrtc/ice.py leans on: an upgrade that changes one fails here first."""

import inspect

import aioice
from aioice.ice import StunProtocol
from aioice.turn import TurnTransport

from pressroom_host.webrtc.ice import IceClient, TurnServer


def test_the_method_that_is_overridden_still_exists():
    parameters = inspect.signature(aioice.Connection.get_component_candidates).parameters
    assert list(parameters) == ["self", "component", "addresses", "timeout"]
    assert inspect.iscoroutinefunction(aioice.Connection.get_component_candidates)


def test_a_connection_keeps_its_protocols_and_its_nominated_pair_where_they_are_looked_for():
    connection = aioice.Connection(ice_controlling=True)
    assert connection._protocols == []
    assert connection._nominated == {}


def test_datagrams_come_in_where_they_are_taken_and_go_out_where_they_are_sent():
    assert list(inspect.signature(StunProtocol.datagram_received).parameters) == ["self", "data", "addr"]
    assert list(inspect.signature(TurnTransport.sendto).parameters) == ["self", "data", "addr"]


async def test_loopback_is_gathered_only_where_the_server_may_be_on_it():
    for has_loopback in (True, False):
        ice = IceClient(lambda _: None, lambda _: None, has_loopback=has_loopback)
        try:
            await ice.gather()
            assert any(" 127.0.0.1 " in candidate for candidate in ice.candidates()) == has_loopback
            for protocol in ice._aioice._protocols:
                assert "datagram_received" in vars(protocol)
        finally:
            await ice.close()


def test_no_credential_is_in_a_repr():
    assert "hunter2" not in repr(TurnServer("turn.example", 3478, "somebody", "hunter2"))
