"""STUN: RFC 5769's vectors, real checks, and everything that is not one."""

import aioice.stun
import pytest
from hypothesis import given
from tests.net.mutations import captures, fuzz, hostile

from pressroom_host.webrtc.stun import StunError, parse_binding_request, write_binding_response

# RFC 5769 section 2.1: "Sample Request"; its password and user name stand beside it.
RFC_5769_REQUEST = bytes.fromhex(
    "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e2074657374"
    "20636c69656e74002400046e0001ff80290008932ff9b151263b36000600096576"
    "746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf"
)
RFC_5769_PASSWORD = "VOkJxbRl1RmTxUk/WvJxBt"
REAL_CHECKS = captures("stun")


def test_the_request_of_rfc_5769_is_read_and_its_signature_holds():
    request = parse_binding_request(RFC_5769_REQUEST)
    assert request.local_ufrag == "evtj"
    assert request.transaction_id == bytes.fromhex("b7e7a701bc34d686fa87dfae")
    assert not request.is_nominated
    assert request.is_signed_with(RFC_5769_PASSWORD)
    assert not request.is_signed_with(RFC_5769_PASSWORD + "x")


def test_any_flipped_bit_of_the_signed_part_breaks_the_signature():
    signed_bytes = len(RFC_5769_REQUEST) - 8 - 24  # before MESSAGE-INTEGRITY and FINGERPRINT
    for position in range(8 * signed_bytes):
        forged = bytearray(RFC_5769_REQUEST[:-8])  # without FINGERPRINT, which would notice first
        forged[3] -= 8
        forged[position // 8] ^= 1 << position % 8
        try:
            request = parse_binding_request(bytes(forged))
        except StunError:
            continue
        assert not request.is_signed_with(RFC_5769_PASSWORD)


def test_a_wrong_fingerprint_is_refused():
    with pytest.raises(StunError, match="fingerprint"):
        parse_binding_request(RFC_5769_REQUEST[:-1] + b"\x00")


@pytest.mark.parametrize("check", REAL_CHECKS)
def test_checks_of_libwebrtc_are_read(check):
    assert len(parse_binding_request(check).local_ufrag) == 8


def test_a_nomination_is_seen():
    message = aioice.stun.Message(aioice.stun.Method.BINDING, aioice.stun.Class.REQUEST)
    message.attributes["USERNAME"] = "ours:theirs"
    message.attributes["USE-CANDIDATE"] = None
    message.add_message_integrity(b"password")
    request = parse_binding_request(bytes(message))
    assert request.is_nominated
    assert request.is_signed_with("password")


def test_what_comes_after_the_signature_is_not_believed():
    message = aioice.stun.Message(aioice.stun.Method.BINDING, aioice.stun.Class.REQUEST)
    message.attributes["USERNAME"] = "ours:theirs"
    message.add_message_integrity(b"password")
    data = bytearray(bytes(message)[:-8] + bytes.fromhex("00250000"))
    data[2:4] = (len(data) - 20).to_bytes(2, "big")
    assert not parse_binding_request(bytes(data)).is_nominated


def test_our_response_is_understood_by_another_implementation():
    response = write_binding_response(b"\x01" * 12, ("192.0.2.1", 32853), RFC_5769_PASSWORD)
    message = aioice.stun.parse_message(response)
    assert message.check_message_integrity(RFC_5769_PASSWORD.encode())
    assert message.message_class == aioice.stun.Class.RESPONSE
    assert message.attributes["XOR-MAPPED-ADDRESS"] == ("192.0.2.1", 32853)


@fuzz
@given(datagram=hostile([*REAL_CHECKS, RFC_5769_REQUEST]))
def test_a_hostile_datagram_is_a_stun_error_or_a_request_of_its_own_size(datagram):
    try:
        request = parse_binding_request(datagram)
    except StunError:
        return
    assert len(request.signed) < len(datagram)
    assert len(request.signature) == 20
