"""From talkers to one stream: when a frame goes out, what is in it, and what is counted."""

import random

import numpy as np
import opuslib_next
import pytest

from pressroom.wire.seq import ms_after, ms_between
from pressroom_host.gateway.audio import FRAME_SAMPLES, OpusEncoder, mix, peak
from pressroom_host.gateway.downlink_codecs import ConstantOpus
from pressroom_host.gateway.mixer import Mixer
from pressroom_host.gateway.stats import SessionStats

START_MS = (1 << 30) - 500  # every test crosses the wrap
START_SEQ, START_TIMESTAMP = 65_530, 0xFFFFFF00


def at(ms):
    return ms_after(START_MS, ms)


def tone(frequency_hz, n_frames, level=8_000):
    samples = level * np.sin(2 * np.pi * frequency_hz * np.arange(n_frames * FRAME_SAMPLES) / 16_000)
    return samples.astype(np.int16)


class Voice:
    """A talker of the room: 20 ms of Opus a packet."""

    def __init__(self, sid, frequency_hz=440, level=8_000, n_frames=400, bitrate_bps=64_000):
        self.sid = sid
        self.seq, self.timestamp = START_SEQ, START_TIMESTAMP
        encoder = OpusEncoder(bitrate_bps)
        samples = tone(frequency_hz, n_frames, level)
        frames = [samples[i : i + FRAME_SAMPLES].tobytes() for i in range(0, len(samples), FRAME_SAMPLES)]
        self.payloads = [encoder.encode(frame) for frame in frames]
        self._payloads = iter(self.payloads)

    def packet(self, payload=None):
        payload = payload if payload is not None else next(self._payloads)
        header = bytes((0x80, 111)) + self.seq.to_bytes(2, "big") + self.timestamp.to_bytes(4, "big") + bytes(4)
        self.seq = (self.seq + 1) & 0xFFFF
        self.timestamp = (self.timestamp + 960) & 0xFFFFFFFF
        return header + payload


class Desk:
    """A Mixer under a virtual clock. `sent` is (ms, frame, begins a spurt)."""

    def __init__(self, *voices):
        self.stats = SessionStats()
        self.mixer = Mixer(self.stats)
        self.sent = []
        self.opus = []  # what goes out as it came: b"" where that was lost, None where it is encoded anew
        self.ms = 0
        for voice in voices:
            self.mixer.add(voice.sid, is_muted=False)

    def pass_time(self, until_ms):
        while (wait_ms := self.mixer.next_timeout_ms(at(self.ms))) <= until_ms - self.ms:
            self.ms += wait_ms
            self.mixer.poll(at(self.ms))
            self._collect()
        self.ms = until_ms

    def rtp(self, voice, ms, payload=None):
        self.pass_time(ms)
        self.mixer.rtp_came(voice.sid, voice.packet(payload), at(ms))
        self._collect()

    def _collect(self):
        frames = self.mixer.frames()
        self.sent += [(self.ms, frame.pcm, frame.begins_spurt) for frame in frames]
        self.opus += [frame.opus for frame in frames]

    @property
    def times(self):
        return [ms for ms, _, _ in self.sent]

    @property
    def begins(self):
        return [begins for _, _, begins in self.sent]

    def heard(self):
        return np.frombuffer(b"".join(frame for _, frame, _ in self.sent), np.int16)


def level_at(samples, frequency_hz):
    window = samples * np.hanning(len(samples))
    reference = np.exp(-2j * np.pi * frequency_hz * np.arange(len(samples)) / 16_000)
    return 4 * abs(np.dot(window, reference)) / len(samples)


def test_a_single_talker_goes_through_as_its_packets_come():
    voice = Voice("a")
    desk = Desk(voice)
    arrivals = [100, 120, 141, 159, 200, 201, 202]
    for ms in arrivals:
        desk.rtp(voice, ms)
    assert desk.times == arrivals
    assert desk.begins == [True] + 6 * [False]


def test_silence_sends_nothing_and_speech_after_it_begins_a_spurt():
    silent = OpusEncoder(64_000).encode(bytes(640))
    voice = Voice("a")
    desk = Desk(voice)
    for n in range(50):
        desk.rtp(voice, 20 * n, payload=silent)
    assert desk.sent == []
    for n in range(5):
        desk.rtp(voice, 1_000 + 20 * n)
    n_speech = len(desk.sent)
    assert n_speech == 5 and desk.begins[0]
    for n in range(50):
        desk.rtp(voice, 1_100 + 20 * n, payload=silent)
    # Pauses between words are sent; the first packet after a tone still holds the end of it.
    assert len(desk.sent) - n_speech == 1 + 400 // 20
    desk.rtp(voice, 2_200)
    assert desk.begins[-1]


def test_a_packet_of_dtx_ends_a_spurt_at_once():
    voice = Voice("a")
    desk = Desk(voice)
    desk.rtp(voice, 0)
    desk.rtp(voice, 20, payload=b"\x08")
    voice.timestamp = (voice.timestamp + 20 * 960) & 0xFFFFFFFF  # 400 ms that were not sent
    desk.rtp(voice, 440)
    assert desk.times == [0, 440]
    assert desk.begins == [True, True]
    assert desk.stats.n_dn_concealed == 0


def test_nothing_for_100_ms_ends_a_spurt():
    voice = Voice("a")
    desk = Desk(voice)
    desk.rtp(voice, 0)
    desk.pass_time(99)
    desk.rtp(voice, 99)
    desk.pass_time(199)
    desk.rtp(voice, 200)
    assert desk.begins == [True, False, True]


@pytest.mark.parametrize("offset_ms", [1, 7, 19])
def test_two_talkers_are_mixed_once_both_are_there(offset_ms):
    low, high = Voice("low", 440), Voice("high", 1_000)
    desk = Desk(low, high)
    for n in range(100):
        desk.rtp(low, 20 * n)
        desk.rtp(high, 20 * n + offset_ms)
    heard = desk.heard()[3_200:]
    assert level_at(heard, 440) == pytest.approx(8_000, rel=0.1)
    assert level_at(heard, 1_000) == pytest.approx(8_000, rel=0.1)
    assert desk.times == list(range(0, 2_000, 20))  # with the first; what the second says waits for that
    assert desk.stats.n_dn_concealed == desk.stats.n_dn_dropped == 0


def test_a_talker_that_stalls_is_waited_for_one_frame_and_fades():
    steady, stalling = Voice("steady"), Voice("stalling", 1_000)
    desk = Desk(steady, stalling)
    for n in range(10):
        desk.rtp(steady, 20 * n)
        desk.rtp(stalling, 20 * n)
    n_before = len(desk.sent)
    for n in range(10, 25):
        desk.rtp(steady, 20 * n)
    late_ms = [ms - 20 * n for n, ms in enumerate(desk.times[n_before:], 10)]
    assert max(late_ms) <= 20
    assert late_ms[-1] == 0  # after 100 ms it is waited for no more


def test_a_talker_that_is_muted_is_not_waited_for():
    steady, muted = Voice("steady"), Voice("muted")
    desk = Desk(steady, muted)
    desk.rtp(muted, 0)
    desk.rtp(steady, 0)
    desk.mixer.set_muted("muted", True)
    desk.rtp(steady, 20)
    assert desk.times[-1] == 20


def test_a_burst_after_a_stall_waits_for_others_a_bounded_time():
    steady, bursting = Voice("steady"), Voice("bursting", 1_000)
    desk = Desk(steady, bursting)
    for n in range(200):
        desk.rtp(steady, 20 * n)
        if n < 10 or n >= 20:
            for _ in range(11 if n == 20 else 1):
                desk.rtp(bursting, 20 * n)
    assert desk.stats.n_dn_dropped > 0
    depths = [talker.n_frames for talker in desk.mixer._talkers.values()]
    assert max(depths) <= 2


def test_of_two_talkers_with_different_clocks_neither_waits_long_and_what_that_takes_is_counted():
    exact, fast = Voice("exact", n_frames=4_000), Voice("fast", 1_000, n_frames=4_000)
    desk = Desk(exact, fast)
    arrivals = sorted([(20 * n, 0, exact) for n in range(3_000)] + [(round(19.9 * n), 1, fast) for n in range(3_000)])
    for ms, _, voice in arrivals:
        desk.rtp(voice, ms)
        assert max(talker.n_frames for talker in desk.mixer._talkers.values()) <= 2
    # 0.5 % of a minute are 15 frames; and the fast one ends before the other, which fades it for 100 ms.
    assert 13 <= desk.stats.n_dn_concealed + desk.stats.n_dn_dropped <= 17 + 5


def test_a_lost_packet_is_concealed():
    voice = Voice("a", 440)
    desk = Desk(voice)
    for n in range(60):
        if n in (20, 30, 31):
            voice.packet()
        else:
            desk.rtp(voice, 20 * n)
    assert desk.stats.n_dn_concealed == 3
    assert len(desk.sent) == 60
    quietest = min(peak(frame) for _, frame, _ in desk.sent[2:])
    assert quietest > 1_000


def test_a_long_hole_is_not_filled():
    voice = Voice("a")
    desk = Desk(voice)
    desk.rtp(voice, 0)
    for _ in range(20):
        voice.packet()
    desk.rtp(voice, 420)
    desk.rtp(voice, 440)
    assert desk.stats.n_dn_concealed == 0
    assert len(desk.sent) == 3


def test_packets_that_changed_places_are_put_right():
    voice = Voice("a", 440)
    desk = Desk(voice)
    for n in range(20):
        packets = [voice.packet(), voice.packet()]
        for packet in reversed(packets):
            desk.pass_time(40 * n)
            desk.mixer.rtp_came("a", packet, at(40 * n))
            desk._collect()
    assert desk.stats.n_dn_late == 1  # the very first: nothing said that one would come before it
    assert desk.stats.n_dn_concealed == 0
    assert level_at(desk.heard()[3_200:], 440) == pytest.approx(8_000, rel=0.05)


@pytest.mark.parametrize("frame_ms", [10, 40, 60])
def test_other_durations_become_frames_of_20_ms(frame_ms):
    encoder = opuslib_next.Encoder(48_000, 2, opuslib_next.APPLICATION_AUDIO)
    n_samples = 48 * frame_ms
    wave = (8_000 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000)).astype(np.int16)
    stereo = np.repeat(wave, 2)
    voice = Voice("a")
    desk = Desk(voice)
    for n in range(1_000 // frame_ms):
        payload = encoder.encode(stereo[2 * n * n_samples : 2 * (n + 1) * n_samples].tobytes(), n_samples)
        header = bytes((0x80, 111)) + n.to_bytes(2, "big") + (n * n_samples).to_bytes(4, "big") + bytes(4)
        desk.pass_time(frame_ms * n)
        desk.mixer.rtp_came("a", header + payload, at(frame_ms * n))
        desk._collect()
    assert len(desk.sent) == 1_000 // frame_ms * frame_ms // 20
    assert level_at(desk.heard()[3_200:], 440) == pytest.approx(8_000, rel=0.1)


def test_a_flush_drops_what_waits_and_what_follows_begins_a_spurt():
    steady, other = Voice("steady"), Voice("other")
    desk = Desk(steady, other)
    desk.rtp(steady, 0)
    desk.rtp(other, 0)
    desk.rtp(steady, 20)  # waits for the other
    desk.mixer.flush()
    assert desk.stats.n_dn_flushed == 1
    n_before = len(desk.sent)
    desk.rtp(steady, 40)
    desk.rtp(other, 41)
    assert len(desk.sent) == n_before + 1
    assert desk.begins[-1]


def test_a_track_that_is_gone_is_heard_no_more():
    voice = Voice("a")
    desk = Desk(voice)
    desk.mixer.remove("a")
    desk.rtp(voice, 0)
    assert desk.sent == []


def test_talkers_beyond_a_bound_are_left_out_and_counted():
    desk = Desk()
    for n in range(40):
        desk.mixer.add(f"sid-{n}", is_muted=True)
    assert desk.stats.n_left_out == 8


def test_what_is_no_opus_is_counted_and_dropped():
    voice = Voice("a")
    desk = Desk(voice)
    chance = random.Random(5)
    for n in range(300):
        desk.rtp(voice, 5 * n, payload=bytes((0xFF,)) + chance.randbytes(chance.randrange(3, 40)))
    assert desk.stats.n_dn_malformed > 0
    assert desk.mixer._talkers["a"].n_frames <= 10


def test_a_sum_saturates():
    loud = np.full(320, 30_000, np.int16).tobytes()
    assert set(np.frombuffer(mix([loud, loud]), np.int16)) == {32_767}
    quiet = np.full(320, -30_000, np.int16).tobytes()
    assert set(np.frombuffer(mix([quiet, quiet]), np.int16)) == {-32_768}


def test_the_timeout_is_never_zero_twice_without_work():
    voice = Voice("a")
    desk = Desk(voice)
    desk.rtp(voice, 0)
    voice.packet()
    desk.rtp(voice, 40)  # held: one before it is missing
    for _ in range(20):
        wait_ms = desk.mixer.next_timeout_ms(at(desk.ms))
        desk.ms += wait_ms
        desk.mixer.poll(at(desk.ms))
        if wait_ms == 60_000:
            break
    assert ms_between(at(0), at(desk.ms)) <= 200 + 60_000


def passing(*voices):
    """Return a Desk whose device takes every packet of mono CELT."""
    desk = Desk(*voices)
    desk.mixer.takes = ConstantOpus().takes
    return desk


def test_a_single_talker_the_device_can_decode_goes_through_untouched():
    voice = Voice("a", bitrate_bps=32_000)
    desk = passing(voice)
    for n in range(20):
        desk.rtp(voice, 20 * n)
    assert desk.opus == voice.payloads[:20]
    assert desk.begins == [True] + 19 * [False]


def test_a_packet_lost_on_the_way_to_us_is_a_hole_in_what_goes_through():
    voice = Voice("a", bitrate_bps=32_000)
    desk = passing(voice)
    for n in range(10):
        if n == 4:
            voice.packet()
        else:
            desk.rtp(voice, 20 * n)
    assert desk.opus == [*voice.payloads[:4], b"", *voice.payloads[5:10]]


def test_a_second_talker_ends_passing_with_a_spurt_of_its_own_and_silence_brings_it_back():
    one, other = Voice("a", bitrate_bps=32_000), Voice("b", 700, bitrate_bps=32_000)
    desk = passing(one, other)
    for n in range(10):
        desk.rtp(one, 20 * n)
        if 5 <= n < 8:
            desk.rtp(other, 20 * n + 1)
    n_passed = sum(opus is not None for opus in desk.opus)
    assert desk.opus[:n_passed] == one.payloads[:n_passed] and n_passed >= 5
    assert set(desk.opus[n_passed:]) == {None}
    assert [n for n, begins in enumerate(desk.begins) if begins] == [0, n_passed]
    desk.pass_time(1_000)  # both have gone quiet
    n_mixed = len(desk.opus)
    for n in range(3):
        desk.rtp(one, 1_000 + 20 * n)
    assert desk.opus[n_mixed:] == one.payloads[10:13]
    assert desk.begins[n_mixed:] == [True, False, False]


def test_a_packet_the_device_cannot_take_ends_passing():
    voice = Voice("a", bitrate_bps=32_000)
    desk = passing(voice)
    hybrid = opuslib_next.Encoder(16_000, 1, opuslib_next.APPLICATION_VOIP)
    for n in range(8):
        desk.rtp(voice, 20 * n, payload=hybrid.encode(tone(440, 1).tobytes(), FRAME_SAMPLES) if n == 4 else None)
    assert [opus is None for opus in desk.opus] == 4 * [False] + 4 * [True]
    assert desk.begins == [True, False, False, False, True, False, False, False]


def test_packets_of_another_duration_are_never_passed():
    voice = Voice("a", bitrate_bps=32_000)
    desk = passing(voice)
    encoder = opuslib_next.Encoder(16_000, 1, opuslib_next.APPLICATION_RESTRICTED_LOWDELAY)
    for n in range(16):
        desk.rtp(
            voice, 10 * n, payload=encoder.encode(tone(440, 1)[: FRAME_SAMPLES // 2].tobytes(), FRAME_SAMPLES // 2)
        )
    assert len(desk.opus) >= 7 and set(desk.opus) == {None}
