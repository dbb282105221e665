"""Audio over UDP and inside the WebSocket: what is believed, where it goes, which way is taken."""

import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pylibsrtp import Policy, Session
from tests.net.mutations import examples, fuzz, mutated

from pressroom.wire import rtp
from pressroom.wire.messages import key_bytes, ssrc_bytes
from pressroom.wire.srtp import SrtpIn, SrtpOut
from pressroom_host.gateway.downlink_codecs import DOWNLINK_CODECS
from pressroom_host.gateway.media import UDP, WEBSOCKET, Leg, MediaPort
from pressroom_host.gateway.stats import SessionStats

HERE, THERE = ("192.0.2.1", 5_000), ("192.0.2.2", 6_000)
OPUS = bytes((0xB8,)) + bytes(79)
FRAME = bytes(640)


class Port:
    """A MediaPort without a socket."""

    def __init__(self):
        self.legs = []
        self.sent = []

    def add(self, leg):
        self.legs.append(leg)

    def remove(self, leg):
        self.legs.remove(leg)

    def has(self, ssrc):
        return any(leg.ssrc_up == ssrc for leg in self.legs)

    def send(self, datagram, address):
        self.sent.append((datagram, address))
        return True


class Owner:
    def __init__(self):
        self.audio, self.keepalives, self.inside = [], [], []
        self.takes = True

    def audio_came(self, packet):
        self.audio.append(packet)

    def keepalive_came(self, packet):
        self.keepalives.append(packet)

    def send_inside(self, packet):
        self.inside.append(packet)
        return self.takes


class Desk:
    """A Leg, and the device's end of it, in the device's own code."""

    def __init__(self, codec_up="opus", codec_dn="l16", port=None):
        self.port, self.owner, self.stats = port or Port(), Owner(), SessionStats()
        self.leg = Leg(self.port, self.owner, codec_up, DOWNLINK_CODECS[codec_dn](), self.stats, os.urandom)
        self.settings = self.leg.settings(*HERE)
        payload_type = rtp.PT_OPUS if codec_up == "opus" else rtp.PT_L16
        self.out = rtp.RtpOut(ssrc_bytes(self.settings["ssrc_up"]), payload_type, 65_530, b"\xff\xff\xff\0", 960)
        self.srtp_out = SrtpOut(key_bytes(self.settings["key_up"]))
        self.srtp_in = SrtpIn(key_bytes(self.settings["key_dn"]))

    def plain(self, payload=OPUS):
        packet = bytearray(12)
        self.out.write_header_into(packet, False)
        return bytes(packet) + payload

    def protected(self, packet):
        buffer = bytearray(packet) + bytes(10)
        return bytes(buffer[: self.srtp_out.protect_in_place(buffer, len(packet))])

    def audio(self, payload=OPUS):
        return self.protected(self.plain(payload))

    def keepalive(self, byte):
        packet = bytearray(13)
        self.out.write_keepalive_into(packet)
        packet[12] = byte
        return self.protected(packet)

    def opened(self, datagram):
        """A datagram as the device reads it: one size, or nothing."""
        assert len(datagram) == self.settings["dn_len"]
        buffer = bytearray(datagram)
        n_bytes = self.srtp_in.unprotect_in_place(buffer, len(buffer))
        assert n_bytes
        return bytes(buffer[:n_bytes])


@pytest.fixture
def desk():
    return Desk()


def test_audio_over_udp_is_handed_on_in_plain_and_takes_the_way_to_udp(desk):
    plain = desk.plain()
    desk.leg.datagram_came(desk.protected(plain), HERE)
    assert desk.owner.audio == [plain]
    assert (desk.leg.way, desk.leg.address) == (UDP, HERE)


def test_every_keepalive_is_answered_where_it_came_from_in_the_one_size(desk):
    for _ in range(3):
        desk.leg.datagram_came(desk.keepalive(0), THERE)
    assert [address for _, address in desk.port.sent] == [THERE] * 3
    for datagram, _ in desk.port.sent:
        assert rtp.payload_type(desk.opened(datagram)) == rtp.PT_KEEPALIVE
    assert len(desk.owner.keepalives) == desk.stats.n_keepalives == 3


def test_a_keepalive_takes_the_way_to_udp_only_if_the_device_says_so(desk):
    desk.leg.datagram_came(desk.keepalive(0), HERE)
    assert desk.leg.way == WEBSOCKET
    desk.leg.datagram_came(desk.keepalive(1), HERE)
    assert desk.leg.way == UDP


def test_audio_inside_the_websocket_takes_the_way_back(desk):
    desk.leg.datagram_came(desk.audio(), HERE)
    plain = desk.plain()
    desk.leg.packet_came_inside(plain)
    assert desk.owner.audio[-1] == plain
    assert desk.leg.way == WEBSOCKET
    assert desk.stats.n_up_inside == 1
    desk.leg.send_frame(FRAME, False)
    assert len(desk.owner.inside) == 1
    assert desk.port.sent == []


def test_frames_go_the_way_the_device_hears_them_under_rising_numbers(desk):
    desk.leg.send_frame(FRAME, True)
    desk.leg.datagram_came(desk.audio(), HERE)
    desk.leg.send_frame(FRAME, False)
    desk.leg.skip_frames(10)
    desk.leg.send_frame(FRAME, True)
    first, (second, _), (third, _) = desk.owner.inside[0], *desk.port.sent
    packets = [first, desk.opened(second), desk.opened(third)]
    assert [(rtp.seq(packet) - rtp.seq(first)) & 0xFFFF for packet in packets] == [0, 1, 2]
    assert [(rtp.timestamp(packet) - rtp.timestamp(first)) & 0xFFFFFFFF for packet in packets] == [0, 320, 320 * 12]
    assert [rtp.is_marked(packet) for packet in packets] == [True, False, True]
    assert all(rtp.payload_type(packet) == rtp.PT_L16 and len(packet) == 652 for packet in packets)


def test_opus_down_has_one_size_too():
    desk = Desk(codec_dn="opus")
    desk.leg.datagram_came(desk.audio(), HERE)
    for _ in range(5):
        desk.leg.send_frame(os.urandom(640), False)
    packets = [desk.opened(datagram) for datagram, _ in desk.port.sent]
    assert {rtp.payload_type(packet) for packet in packets} == {rtp.PT_OPUS}
    assert {len(datagram) for datagram, _ in desk.port.sent} == {desk.settings["dn_len"]} == {12 + 160 + 10}
    assert {rtp.payload_end(packet, len(packet)) for packet in packets} == {12 + 120}  # 48 kbit/s, and padding
    assert (desk.stats.n_dn_transcoded, desk.stats.n_dn_passed) == (5, 0)


@pytest.mark.parametrize("n_bytes", [3, 80, 159, 160])
def test_opus_that_the_device_can_take_is_sent_as_it_is_and_padded(n_bytes):
    desk = Desk(codec_dn="opus")
    desk.leg.datagram_came(desk.audio(), HERE)
    opus = bytes((0xF8,)) + os.urandom(n_bytes - 1)
    assert desk.leg.takes(opus)
    desk.leg.send_opus(opus, True)
    ((datagram, _),) = desk.port.sent
    packet = desk.opened(datagram)
    assert len(datagram) == desk.settings["dn_len"]
    assert packet[rtp.payload_start(packet, len(packet)) : rtp.payload_end(packet, len(packet))] == opus
    assert (desk.stats.n_dn_transcoded, desk.stats.n_dn_passed) == (0, 1)


def test_only_mono_celt_of_one_frame_of_20_ms_is_sent_as_it_is():
    desk = Desk(codec_dn="opus")
    taken = [toc for toc in range(256) if desk.leg.takes(bytes((toc,)) + bytes(79))]
    assert taken == [0x98, 0xB8, 0xD8, 0xF8]  # RFC 6716 table 2: configurations 19, 23, 27, 31
    assert not desk.leg.takes(bytes((0xF8,)) + bytes(160))  # longer than the constant size
    assert not Desk(codec_dn="l16").leg.takes(OPUS)


def test_a_packet_that_a_talker_lost_is_missing_at_the_device_too():
    desk = Desk(codec_dn="opus")
    desk.leg.datagram_came(desk.audio(), HERE)
    desk.leg.send_opus(OPUS, True)
    desk.leg.skip_packet()
    desk.leg.send_opus(OPUS, False)
    first, second = [desk.opened(datagram) for datagram, _ in desk.port.sent]
    assert (rtp.seq(second) - rtp.seq(first)) & 0xFFFF == 2
    assert (rtp.timestamp(second) - rtp.timestamp(first)) & 0xFFFFFFFF == 2 * 960


def test_a_forged_packet_is_dropped_counted_and_moves_nothing(desk):
    desk.leg.datagram_came(desk.audio(), HERE)
    forged = bytearray(desk.audio())
    forged[-1] ^= 1
    desk.leg.datagram_came(bytes(forged), THERE)
    assert desk.stats.n_forged == 1
    assert len(desk.owner.audio) == 1
    assert desk.leg.address == HERE


def test_a_forged_packet_before_all_others_latches_no_address(desk):
    other = Session(Policy(key=os.urandom(30), ssrc_type=Policy.SSRC_ANY_OUTBOUND))
    desk.leg.datagram_came(other.protect(desk.plain()), THERE)
    assert desk.leg.address is None
    assert desk.leg.way == WEBSOCKET


def test_a_replayed_packet_is_dropped_counted_and_moves_nothing(desk):
    datagram = desk.audio()
    desk.leg.datagram_came(datagram, HERE)
    desk.leg.datagram_came(datagram, THERE)
    assert desk.stats.n_replayed == 1
    assert len(desk.owner.audio) == 1
    assert desk.leg.address == HERE


def test_an_authentic_packet_from_elsewhere_moves_the_address(desk):
    desk.leg.datagram_came(desk.audio(), HERE)
    desk.leg.datagram_came(desk.audio(), THERE)
    desk.leg.send_frame(FRAME, False)
    assert desk.port.sent[-1][1] == THERE
    assert desk.stats.n_relatched == 1


def test_a_late_packet_from_an_old_address_does_not_move_it_back(desk):
    late = desk.audio()
    desk.leg.datagram_came(desk.audio(), THERE)
    desk.leg.datagram_came(late, HERE)
    assert len(desk.owner.audio) == 2
    assert desk.leg.address == THERE


def test_what_a_device_never_sends_is_counted_and_dropped(desk):
    for packet in (desk.plain()[:12], desk.plain()[:12] + b"", bytes((0x80, 96)) + desk.plain()[2:]):
        desk.leg.datagram_came(desk.protected(packet), HERE)
    desk.leg.packet_came_inside(b"")
    desk.leg.packet_came_inside(desk.plain()[:11])
    desk.leg.packet_came_inside(bytes(12) + OPUS)
    assert desk.owner.audio == []
    assert desk.stats.n_up_malformed == 6


def test_padding_csrcs_and_extensions_are_taken_off(desk):
    plain = desk.plain()
    padded = bytes((0xA0,)) + plain[1:] + bytes(3) + b"\4"
    desk.leg.datagram_came(desk.protected(padded), HERE)
    extended = bytes((0x91,)) + plain[1:2] + desk.plain()[2:12] + bytes(4) + b"\xbe\xde\0\1abcd" + OPUS
    desk.leg.packet_came_inside(extended)
    assert [packet[12:] for packet in desk.owner.audio] == [OPUS, OPUS]
    assert {packet[0] for packet in desk.owner.audio} == {0x80}


def test_keys_and_ssrcs_are_fresh_and_in_no_repr(desk):
    other = Desk()
    secret = {desk.settings[name] for name in ("key_up", "key_dn", "ssrc_up", "ssrc_dn")}
    assert len(secret | {other.settings[name] for name in ("key_up", "key_dn", "ssrc_up", "ssrc_dn")}) == 8
    assert not any(text in repr(desk.leg) for text in secret)


@fuzz
@given(data=mutated([Desk().audio(), Desk().keepalive(1)]) | st.binary(max_size=1_600))
def test_hostile_datagrams_are_counted_and_dropped(data):
    desk = _fuzzed
    before = desk.stats.n_forged + desk.stats.n_replayed + desk.stats.n_up_malformed
    desk.leg.datagram_came(data[:8] + desk.leg.ssrc_up + data[12:], THERE)
    assert desk.stats.n_forged + desk.stats.n_replayed + desk.stats.n_up_malformed == before + 1
    assert desk.owner.audio == [] and desk.leg.address is None


_fuzzed = Desk()


@fuzz
@given(data=mutated([Desk().plain()]) | st.binary(max_size=1_600))
def test_hostile_packets_inside_the_websocket_raise_nothing(data):
    _fuzzed_inside.leg.packet_came_inside(data)
    _fuzzed_inside.leg.packet_came_inside(data[:8] + _fuzzed_inside.leg.ssrc_up + data[12:])
    _fuzzed_inside.owner.audio.clear()


_fuzzed_inside = Desk()


async def test_the_port_finds_a_leg_by_ssrc_and_counts_the_rest():
    port = MediaPort.open("127.0.0.1", 0)
    desk = Desk(port=port)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device:
        device.connect((port.host, port.port))
        device.setblocking(False)
        for data in examples(st.binary(max_size=60)):
            device.send(data)
            port._read()
        assert port.n_unknown > 0
        device.send(desk.audio())
        port._read()
        assert len(desk.owner.audio) == 1
        desk.leg.send_frame(FRAME, False)
        assert rtp.payload_type(desk.opened(device.recv(2_000))) == rtp.PT_L16
        desk.leg.close()
        desk.leg.close()
        device.send(desk.audio())
        port._read()
        assert len(desk.owner.audio) == 1
    port.close()
    port.close()
