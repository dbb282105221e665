"""voice.media: which way packets go, and what is done with those that come."""

from pressroom.voice.l16 import L16
from pressroom.voice.media import Media
from pressroom.wire.media_path import UDP, WEBSOCKET
from pressroom.wire.messages import key_text, ssrc_text
from pressroom.wire.rtp import HEADER_BYTES, PT_KEEPALIVE, PT_L16, RtpOut, payload_type, seq
from pressroom.wire.seq import ms_after
from pressroom.wire.srtp import TAG_BYTES, SrtpIn, SrtpOut

START_MS = (1 << 30) - 50
KEY_UP = bytes(range(30))
KEY_DOWN = bytes(range(30, 60))
DN_LEN = 662


def at(ms):
    return ms_after(START_MS, ms)


class FakeUdp:
    def __init__(self):
        self.sent = []
        self.to_read = []
        self.has_room = True
        self.is_closed = False

    def send(self, packet, n_bytes):
        if self.has_room:
            self.sent.append(bytearray(packet[:n_bytes]))
        return self.has_room

    def read_into(self, packet):
        if not self.to_read:
            return 0
        datagram = self.to_read.pop(0)
        packet[: len(datagram)] = datagram
        return len(datagram)

    def close(self):
        self.is_closed = True


class FakeSocket:
    def __init__(self):
        self.sent = []
        self.has_room = True

    def send_media(self, packet, n_bytes):
        if self.has_room:
            self.sent.append(bytes(packet[:n_bytes]))
        return self.has_room


class FakeDownlink:
    def __init__(self):
        self.received = []
        self.skipped = []

    def receive(self, packet, start, n_bytes, now_ms):
        self.received.append(bytes(packet[start : start + n_bytes]))

    def skip(self, seq):
        self.skipped.append(seq)


class Ends:
    """The device's media, and what the gateway has to talk to it."""

    def __init__(self):
        self.udp = FakeUdp()
        self.socket = FakeSocket()
        self.downlink = FakeDownlink()
        settings = {
            "ssrc_up": ssrc_text(b"\x01\x02\x03\x04"),
            "ssrc_dn": ssrc_text(b"\x05\x06\x07\x08"),
            "key_up": key_text(KEY_UP),
            "key_dn": key_text(KEY_DOWN),
            "dn_len": DN_LEN,
        }
        self.media = Media(settings, L16, self.udp, self.socket, self.downlink, lambda n: b"\xff" * n, at(0))
        self.gateway_in = SrtpIn(KEY_UP)
        self.gateway_out = SrtpOut(KEY_DOWN)
        self.rtp_down = RtpOut(b"\x05\x06\x07\x08", PT_L16, 100, bytes(4), 320)

    def datagram(self, is_keepalive=False, fill=7):
        packet = bytearray(HEADER_BYTES) + bytes([fill]) * 640 + bytearray(TAG_BYTES)
        if is_keepalive:
            self.rtp_down.write_keepalive_into(packet)
        else:
            self.rtp_down.write_header_into(packet, False)
        self.gateway_out.protect_in_place(packet, DN_LEN - TAG_BYTES)
        return packet

    def take_udp(self):
        self.media.poll(at(0))
        self.udp.to_read.append(self.datagram(is_keepalive=True))
        self.media.poll(at(10))
        assert self.media.path.way == UDP

    def send(self, fill=9):
        packet = bytearray(HEADER_BYTES) + bytes([fill]) * 640 + bytearray(TAG_BYTES)
        self.media.rtp_out.write_header_into(packet, False)
        self.media.send(packet, DN_LEN - TAG_BYTES)

    def unprotected(self, index):
        packet = self.udp.sent[index]
        n_bytes = self.gateway_in.unprotect_in_place(packet, len(packet))
        return packet[:n_bytes]


def test_the_first_sequence_number_is_below_half_the_range():
    assert Ends().media.rtp_out.seq == 0x7FFF


def test_media_goes_plain_inside_the_websocket_at_first():
    ends = Ends()
    ends.send()
    assert ends.socket.sent[0][HEADER_BYTES:] == b"\x09" * 640
    assert ends.udp.sent == []


def test_a_keepalive_says_that_udp_is_not_taken_yet():
    ends = Ends()
    ends.media.poll(at(0))
    packet = ends.unprotected(0)
    assert payload_type(packet) == PT_KEEPALIVE
    assert packet[HEADER_BYTES:] == b"\x00"


def test_an_answered_keepalive_takes_udp_and_says_so_at_once():
    ends = Ends()
    ends.take_udp()
    assert [ends.unprotected(i)[HEADER_BYTES] for i in range(len(ends.udp.sent))] == [0, 1]


def test_media_goes_protected_over_udp_then():
    ends = Ends()
    ends.take_udp()
    ends.send()
    assert b"\x09" * 16 not in bytes(ends.udp.sent[-1])
    packet = ends.unprotected(-1)
    assert payload_type(packet) == PT_L16
    assert packet[HEADER_BYTES:] == b"\x09" * 640
    assert ends.socket.sent == []


def test_keepalives_and_audio_share_their_sequence_numbers():
    ends = Ends()
    ends.take_udp()
    ends.send()
    ends.send()
    assert [seq(packet) for packet in ends.udp.sent] == [0x7FFF, 0x8000, 0x8001, 0x8002]


def test_audio_that_comes_goes_to_the_downlink():
    ends = Ends()
    ends.udp.to_read += [ends.datagram(fill=1), ends.datagram(fill=2)]
    ends.media.poll(at(0))
    assert ends.downlink.received == [b"\x01" * 640, b"\x02" * 640]


def test_a_keepalive_that_comes_is_no_gap_in_the_audio():
    ends = Ends()
    ends.udp.to_read.append(ends.datagram(is_keepalive=True))
    ends.media.poll(at(0))
    assert ends.downlink.skipped == [100]
    assert ends.downlink.received == []


def test_a_forged_packet_is_dropped_and_proves_nothing():
    ends = Ends()
    forged = ends.datagram()
    forged[40] ^= 1
    ends.udp.to_read.append(forged)
    ends.media.poll(at(0))
    assert ends.downlink.received == []
    assert ends.media.srtp_in.n_tag_failures == 1
    assert ends.media.path.way == WEBSOCKET


def test_a_replayed_packet_is_dropped_and_counted():
    ends = Ends()
    packet = ends.datagram()
    ends.udp.to_read += [bytearray(packet), bytearray(packet)]
    ends.media.poll(at(0))
    assert len(ends.downlink.received) == 1
    assert ends.media.srtp_in.n_replayed == 1


def test_a_short_datagram_is_dropped():
    ends = Ends()
    ends.udp.to_read += [b"\x80", b"\x80" * 30]
    ends.media.poll(at(0))
    assert ends.downlink.received == []


def test_a_packet_inside_the_websocket_is_plain_rtp():
    ends = Ends()
    packet = bytearray(HEADER_BYTES) + b"\x03" * 640
    ends.rtp_down.write_header_into(packet, True)
    ends.media.receive_inside(memoryview(packet), at(0))
    assert ends.downlink.received == [b"\x03" * 640]
    assert ends.media.path.way == WEBSOCKET


def test_what_is_no_rtp_is_counted():
    ends = Ends()
    for packet in (b"", b"\x80", b"\x00" * 20, b"\xff" * 20):
        ends.media.receive_inside(packet, at(0))
    assert ends.media.n_bad_packets == 4
    assert ends.downlink.received == []


def test_padding_is_removed():
    ends = Ends()
    packet = bytearray(HEADER_BYTES) + b"\x03" * 640 + b"\x00\x00\x00\x04"
    ends.rtp_down.write_header_into(packet, False)
    packet[0] |= 0x20
    ends.media.receive_inside(packet, at(0))
    assert ends.downlink.received == [b"\x03" * 640]


def test_what_the_network_does_not_take_is_counted():
    ends = Ends()
    ends.socket.has_room = False
    ends.send()
    ends.udp.has_room = False
    ends.media.poll(at(0))
    assert ends.media.n_refused_packets == 2


def test_a_flood_does_not_hold_up_the_loop():
    ends = Ends()
    ends.udp.to_read = [b"\x80" * 30] * 1000
    ends.media.poll(at(0))
    assert len(ends.udp.to_read) >= 990


def test_closing_gives_the_socket_back():
    ends = Ends()
    ends.media.close()
    assert ends.udp.is_closed
