"""What a device says on its way into the room: when it goes out, under which numbers, and as what."""

import itertools
import random

import numpy as np
import pytest

from pressroom.wire import rtp
from pressroom.wire.seq import ms_after, seq_after, seq_between, timestamp_after, timestamp_between
from pressroom_host.gateway.audio import OpusDecoder, OpusEncoder, swap_bytes
from pressroom_host.gateway.renumber import FRAME_TICKS, Renumber
from pressroom_host.gateway.stats import SessionStats
from pressroom_host.gateway.uplink import Uplink

START_MS = (1 << 30) - 50
FIRST_SEQ, FIRST_TIMESTAMP = 65_530, 0xFFFFFF00  # every test crosses the wraps
OPUS = bytes((0xB8,)) + bytes(79)  # RFC 6716: CELT, wide band, 20 ms, mono, code 0


def at(ms):
    return ms_after(START_MS, ms)


class Track:
    """What the room gets."""

    def __init__(self):
        self.packets = []
        self.events = []

    def send_rtp(self, packet):
        self.packets.append(packet)
        self.events.append("packet")

    def set_muted(self, muted):
        self.events.append("muted" if muted else "unmuted")

    @property
    def seqs(self):
        return [seq_between(FIRST_SEQ, rtp.seq(packet)) for packet in self.packets]

    @property
    def frames(self):
        """Timestamps in frames since the first."""
        ticks = [timestamp_between(FIRST_TIMESTAMP, rtp.timestamp(packet)) for packet in self.packets]
        assert all(tick % FRAME_TICKS == 0 for tick in ticks)
        return [tick // FRAME_TICKS for tick in ticks]

    @property
    def payloads(self):
        return [packet[12:] for packet in self.packets]


class Device:
    """Numbers packets as a device does, and hands them to an Uplink."""

    def __init__(self, codec, seq=65_533, timestamp=0xFFFFFF80):
        self.stats = SessionStats()
        self.track = Track()
        self.uplink = Uplink(self.track, Renumber(FIRST_SEQ, FIRST_TIMESTAMP, self.stats), self.stats)
        self.open_link(codec, seq, timestamp)

    def open_link(self, codec, seq, timestamp, ms=0):
        self.codec = codec
        self.ticks = {"opus": 960, "l16": 320}[codec]
        self.payload_type = {"opus": rtp.PT_OPUS, "l16": rtp.PT_L16}[codec]
        self.seq, self.timestamp = seq, timestamp
        self.uplink.open_link(codec, at(ms))

    def packet(self, payload=None, is_marked=False):
        """The next packet, not sent yet."""
        payload = payload or (OPUS if self.codec == "opus" else bytes(640))
        out = rtp.RtpOut(b"\0\0\0\1", self.payload_type, self.seq, self.timestamp.to_bytes(4, "big"), self.ticks)
        header = bytearray(12)
        out.write_header_into(header, is_marked)
        self.seq = seq_after(self.seq, 1)
        self.timestamp = timestamp_after(self.timestamp, self.ticks)
        return bytes(header) + payload

    def keepalive(self):
        header = bytearray(12)
        out = rtp.RtpOut(b"\0\0\0\1", 0, self.seq, self.timestamp.to_bytes(4, "big"), self.ticks)
        out.write_keepalive_into(header)
        self.seq = seq_after(self.seq, 1)
        return bytes(header) + b"\1"

    def start(self, ms=0):
        return self.uplink.start(self.timestamp, at(ms))

    def say(self, n, ms=0, payload=None):
        return [self.uplink.audio_came(self.packet(payload), at(ms + 20 * i)) for i in range(n)]


@pytest.fixture(params=["opus", "l16"])
def device(request):
    return Device(request.param)


def test_opus_goes_through_as_it_is():
    device = Device("opus")
    device.start()
    payloads = [bytes((0xB8,)) + random.Random(n).randbytes(60) for n in range(5)]
    for payload in payloads:
        device.say(1, payload=payload)
    assert device.track.payloads == payloads


def test_l16_becomes_opus_that_says_the_same():
    device = Device("l16")
    device.start()
    tone = (8_000 * np.sin(2 * np.pi * 440 * np.arange(320 * 50) / 16_000)).astype(np.int16)
    for n in range(50):
        device.say(1, payload=swap_bytes(tone[320 * n : 320 * n + 320].tobytes()))
    decoder = OpusDecoder()
    heard = np.frombuffer(b"".join(decoder.decode(payload) for payload in device.track.payloads), np.int16)
    n_lookahead = 40  # 2.5 ms
    said, heard = tone[3_200:-n_lookahead].astype(float), heard[3_200 + n_lookahead :].astype(float)
    assert np.corrcoef(said, heard)[0, 1] > 0.99


def test_numbers_and_timestamps_rise_without_holes_across_the_wraps(device):
    device.start()
    device.say(20)
    assert device.track.seqs == list(range(20))
    assert device.track.frames == list(range(20))


def test_the_room_is_told_before_the_first_and_after_the_last_packet(device):
    device.start()
    device.say(3)
    device.uplink.stop(at(60))
    assert device.track.events[0] == "unmuted"
    assert device.track.events[-1] == "muted"
    assert "packet" in device.track.events[1:-1]


def test_audio_that_overtook_its_unmute_goes_out_with_it(device):
    first = device.timestamp
    device.say(10)
    assert device.track.packets == []
    end = device.uplink.start(first, at(200))
    assert len(device.track.packets) == 10
    assert end == device.timestamp


def test_audio_of_an_earlier_talk_does_not_come_out_in_a_later_one(device):
    device.start()
    device.say(3)
    late = device.packet()
    device.uplink.stop(at(100))
    device.uplink.audio_came(late, at(120))
    n_before = len(device.track.packets)
    device.start(ms=500)
    assert len(device.track.packets) == n_before
    assert device.uplink.audio_came(late, at(510)) is None
    device.say(2, ms=520)
    assert device.stats.n_up_late >= 1
    assert device.track.seqs == list(range(len(device.track.packets)))


def test_only_the_newest_second_is_kept_for_an_unmute(device):
    first = device.timestamp
    device.say(80)
    device.uplink.start(first, at(1_600))
    assert len(device.track.packets) == 50
    assert device.stats.n_up_muted == 30


def test_a_packet_tells_where_it_ends(device):
    device.start()
    assert device.say(1) == [device.timestamp]


def test_a_lost_packet_leaves_its_hole_and_is_counted(device):
    device.start()
    device.say(2)
    device.packet()
    device.say(3)
    device.uplink.stop(at(100))
    assert device.track.seqs[:5] == [0, 1, 3, 4, 5]
    assert device.track.frames[:5] == [0, 1, 3, 4, 5]
    assert device.stats.n_up_lost == 1


def test_opus_packets_that_changed_places_keep_their_numbers():
    device = Device("opus")
    device.start()
    device.say(1)
    early, late = device.packet(), device.packet()
    device.uplink.audio_came(late, at(20))
    device.uplink.audio_came(early, at(21))
    device.say(1)
    assert device.track.seqs == [0, 2, 1, 3]
    assert device.track.frames == [0, 2, 1, 3]
    assert device.stats.n_up_lost == 0


def test_l16_packets_that_changed_places_are_encoded_in_order():
    device = Device("l16")
    device.start()
    device.say(1)
    early, late = device.packet(), device.packet()
    device.uplink.audio_came(late, at(20))
    device.uplink.audio_came(early, at(21))
    device.say(1)
    assert device.track.seqs == [0, 1, 2, 3]
    assert device.stats.n_up_lost == device.stats.n_up_late == 0


def test_keepalives_leave_no_hole_in_the_room(device):
    device.start()
    device.say(2)
    device.uplink.keepalive_came(device.keepalive(), at(40))
    device.say(2)
    device.uplink.keepalive_came(device.keepalive(), at(80))
    device.say(1)
    assert device.track.seqs == [0, 1, 2, 3, 4]
    assert device.stats.n_up_lost == 0


def test_a_keepalive_that_overtook_audio_leaves_no_hole_either():
    device = Device("opus")
    device.start()
    device.say(1)
    packet, keepalive = device.packet(), device.keepalive()
    device.uplink.keepalive_came(keepalive, at(20))
    device.uplink.audio_came(packet, at(21))
    device.say(2)
    assert device.track.seqs == [0, 1, 2, 3]


def test_keepalives_between_talks_leave_no_hole(device):
    device.start()
    device.say(2)
    device.uplink.stop(at(100))
    n_before = len(device.track.packets)
    for n in range(60):
        device.uplink.keepalive_came(device.keepalive(), at(1_000 + 15_000 * n))
    device.start(ms=910_000)
    device.say(2, ms=910_000)
    assert device.track.seqs == list(range(n_before + 2))
    assert device.stats.n_up_lost == device.stats.n_up_muted == 0


def test_many_packets_without_a_keepalive_keep_their_numbers():
    device = Device("opus")
    device.start()
    device.say(1)
    device.uplink.keepalive_came(device.keepalive(), at(20))
    device.say(70_000)
    seqs = [rtp.seq(packet) for packet in device.track.packets]
    assert all(seq_between(one, next_one) == 1 for one, next_one in itertools.pairwise(seqs))


def test_numbers_go_on_across_links_and_the_time_between_them_is_counted(device):
    device.start()
    device.say(3)
    n_before = len(device.track.packets)
    device.open_link(device.codec, seq=7, timestamp=99, ms=1_040)
    device.start(ms=1_040)
    device.say(2, ms=1_040)
    n_tail = 1 if device.codec == "l16" else 0
    assert device.track.seqs == list(range(n_before + n_tail + 2))
    gap_frames = device.track.frames[-2] - device.track.frames[n_before - 1]
    assert gap_frames == pytest.approx(1_000 / 20, abs=1)
    assert device.stats.n_up_cut == gap_frames - 1 - n_tail


def test_a_resume_in_a_talk_does_not_mute_the_track(device):
    device.start()
    device.say(1)
    device.open_link(device.codec, seq=7, timestamp=99, ms=500)
    assert "muted" not in device.track.events


def test_a_talk_that_follows_at_once_does_not_go_back_in_time():
    device = Device("l16")
    device.start()
    device.say(2)
    device.uplink.stop(at(40))  # a frame of silence follows the last
    device.start(ms=41)
    device.say(2, ms=41)
    assert device.track.frames == sorted(set(device.track.frames))
    assert device.track.seqs == list(range(5))


def test_the_last_samples_come_out_of_the_encoder():
    device = Device("l16")
    click = np.zeros(320, np.int16)
    click[310:] = 20_000  # in the last 0.6 ms of the talk
    device.start()
    device.say(1, payload=swap_bytes(click.tobytes()))
    device.uplink.stop(at(20))
    decoder = OpusDecoder()
    heard = np.frombuffer(b"".join(decoder.decode(payload) for payload in device.track.payloads), np.int16)
    assert abs(int(np.argmax(np.abs(heard))) - (310 + 40)) <= 20


def test_what_is_no_frame_is_counted_and_dropped(device):
    device.start()
    for payload in (b"\0", bytes(639), bytes(641)) if device.codec == "l16" else (bytes((0x03,)), bytes((0x03, 0))):
        device.say(1, payload=payload)
    assert device.stats.n_up_malformed >= 2
    assert device.track.packets == []


def test_constant_opus_has_one_size():
    encoder = OpusEncoder(48_000, is_constant=True)
    noise = random.Random(1)
    assert {len(encoder.encode(noise.randbytes(640))) for _ in range(50)} == {120}
