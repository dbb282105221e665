"""wire.jitter: what a network does to packets, and what a loudspeaker gets.

Each packet holds its sequence number, so that what is played can be told. START_SEQ and START_MS come before a wrap.
"""

from portable import Noise, allocates_nothing, raised

from pressroom.wire.jitter import FILLING, IDLE, PLAYING, JitterBuffer
from pressroom.wire.seq import ms_after, seq_after, seq_between

START_SEQ = 65_530
START_MS = (1 << 30) - 50
FRAME_BYTES = 8
CONCEAL = 0
NOTHING = -1


class Ear:
    """A JitterBuffer, the packets it is given and the frames it gives, numbered from 0."""

    def __init__(self, **settings):
        self.buffer = JitterBuffer(16, FRAME_BYTES, **settings)
        self._packet = bytearray(12 + FRAME_BYTES + 10)
        self._frame = bytearray(FRAME_BYTES)

    def put(self, *numbers, ms=0, is_marked=False):
        for number in numbers:
            seq = seq_after(START_SEQ, number)
            self._packet[12] = seq >> 8
            self._packet[13] = seq & 0xFF
            self.buffer.put(seq, self._packet, 12, FRAME_BYTES, is_marked, ms_after(START_MS, ms))

    def skip(self, number):
        self.buffer.skip(seq_after(START_SEQ, number))

    def take(self, ms=0):
        """The number of the frame, "conceal", or None for nothing."""
        n_bytes = self.buffer.take_into(self._frame, ms_after(START_MS, ms))
        if n_bytes == NOTHING:
            return None
        if n_bytes == CONCEAL:
            return "conceal"
        assert n_bytes == FRAME_BYTES
        return seq_between(START_SEQ, self._frame[0] << 8 | self._frame[1])

    def take_all(self, n):
        return [self.take() for _ in range(n)]


class Line:
    """A sender, a network and a loudspeaker, each with its clock, on one virtual time in microseconds.

    delay_us(number): how long that packet travels; None loses it. take_at_us(n): when the n-th frame is due, if that is
    not every take_every_us.
    """

    def __init__(self, ear, send_every_us=20_000, take_every_us=20_000, delay_us=None, take_at_us=None):
        self.ear = ear
        self.heard = []  # (us, what was taken), None left out
        self.off_target = []  # frames that the depth was off, at each take
        self._send_every_us = send_every_us
        self._take_every_us = take_every_us
        self._delay_us = delay_us or (lambda number: 5_000)
        self._take_at_us = take_at_us or (lambda n: 10_000 + n * take_every_us)
        self._n_sent = 0
        self._n_taken = 0
        self._travelling = []  # (us of arrival, number)

    def run(self, until_s):
        until_us = until_s * 1_000_000
        while True:
            send_us = self._n_sent * self._send_every_us
            take_us = self._take_at_us(self._n_taken)
            arrive_us, number = min(self._travelling) if self._travelling else (until_us, None)
            now_us = min(send_us, take_us, arrive_us)
            if now_us >= until_us:
                return
            if now_us == arrive_us:
                self._travelling.remove((arrive_us, number))
                self.ear.put(number, ms=now_us // 1_000, is_marked=number == 0)
            elif now_us == send_us:
                delay_us = self._delay_us(self._n_sent)
                if delay_us is not None:
                    self._travelling.append((now_us + delay_us, self._n_sent))
                self._n_sent += 1
            else:
                self._take(now_us)

    def _take(self, now_us):
        depth_frames = self.ear.buffer.depth_frames
        taken = self.ear.take(ms=now_us // 1_000)
        self._n_taken += 1
        if taken is not None:
            self.off_target.append(depth_frames - self.ear.buffer.target_frames)
            self.heard.append((now_us, taken))

    def numbers_heard(self):
        return [taken for _, taken in self.heard if taken != "conceal"]

    def n_concealed(self):
        return len(self.heard) - len(self.numbers_heard())

    def longest_hole(self):
        longest = hole = 0
        for _, taken in self.heard:
            hole = hole + 1 if taken == "conceal" else 0
            longest = max(longest, hole)
        return longest

    def assert_all_is_counted(self):
        """Every number was played, or is missing and counted; every pause is counted."""
        buffer = self.ear.buffer
        numbers = self.numbers_heard()
        assert numbers == sorted(set(numbers))
        n_missing = numbers[-1] + 1 - len(numbers)
        assert n_missing <= buffer.n_lost + buffer.n_dropped + buffer.n_overflow
        assert n_missing >= buffer.n_dropped + buffer.n_overflow
        assert self.n_concealed() == n_missing - buffer.n_dropped - buffer.n_overflow + buffer.n_inserted


# Filling


def test_nothing_is_played_before_the_target_is_reached():
    ear = Ear()
    assert ear.take() is None
    assert ear.take(ms=1_000) is None
    ear.put(0)
    assert ear.take() is None
    assert ear.buffer.state == FILLING
    ear.put(1)
    assert ear.take() == 0
    assert ear.buffer.state == PLAYING


def test_a_lone_frame_waits_as_long_as_the_target_and_is_played():
    ear = Ear()
    ear.put(0, ms=0)
    assert ear.take(ms=39) is None
    assert ear.take(ms=40) == 0


def test_a_spurt_that_comes_in_the_wrong_order_begins_with_its_first():
    ear = Ear(target_frames=3)
    ear.put(2, 1, 0)
    assert ear.take_all(3) == [0, 1, 2]
    assert ear.buffer.n_late == 0
    assert ear.buffer.n_reordered == 2


def test_nothing_comes_before_the_marked_one():
    ear = Ear()
    ear.put(5, is_marked=True)
    ear.put(4)
    ear.put(6)
    assert ear.take_all(2) == [5, 6]
    assert ear.buffer.n_late == 1


# Order


def test_frames_come_out_in_order_across_the_wrap():
    ear = Ear()
    ear.put(0)
    for number in range(1, 70):
        ear.put(number)
        assert ear.take() == number - 1


def test_a_reordered_packet_is_played_in_its_turn():
    ear = Ear(target_frames=4)
    ear.put(0, 2, 3, 1)
    assert ear.take_all(4) == [0, 1, 2, 3]
    assert (ear.buffer.n_reordered, ear.buffer.n_lost, ear.buffer.n_late) == (1, 0, 0)


def test_a_lost_packet_is_concealed_and_counted():
    ear = Ear(target_frames=3)
    ear.put(0, 1, 3, 4)
    assert ear.take_all(5) == [0, 1, "conceal", 3, 4]
    assert ear.buffer.n_lost == 1


def test_a_late_packet_is_dropped_and_counted():
    ear = Ear(target_frames=3)
    ear.put(0, 2, 3)
    assert ear.take_all(3) == [0, "conceal", 2]
    ear.put(1)
    assert ear.take() == 3
    assert (ear.buffer.n_late, ear.buffer.n_lost) == (1, 1)


def test_a_duplicate_is_dropped_and_counted():
    ear = Ear()
    ear.put(0, 1, 1, 2, 1)
    assert ear.take_all(3) == [0, 1, 2]
    assert ear.buffer.n_duplicate == 2
    assert ear.buffer.n_received == 5


def test_the_frame_is_the_one_that_was_sent():
    buffer = JitterBuffer(8, 640, target_frames=1)
    packet = bytearray(12) + bytes(range(64)) * 10 + bytes(10)
    frame = bytearray(640)
    for seq, (start, n_bytes) in enumerate(((12, 640), (12, 100), (20, 640), (12, 1), (22, 640))):
        buffer.put(seq, packet, start, n_bytes, seq == 0, 0)
        assert buffer.take_into(frame, 0) == n_bytes
        assert frame[:n_bytes] == packet[start : start + n_bytes]


def test_packets_may_lie_in_any_buffer():
    buffer = JitterBuffer(8, 640, target_frames=1)
    frame = bytearray(700)
    for seq, packet in enumerate((bytearray(b"abcd" * 200), b"efgh" * 200, memoryview(b"ijkl" * 200), b"....mnop")):
        n_bytes = len(packet) - 4 if len(packet) < 640 else 640
        buffer.put(seq, packet, 4, n_bytes, seq == 0, 0)
        assert buffer.take_into(frame, 0) == n_bytes
        assert frame[:n_bytes] == bytes(packet[4 : 4 + n_bytes])
    assert len(frame) == 700


# Bounds


def test_a_burst_beyond_the_slots_keeps_the_newest():
    ear = Ear(max_frames=15)
    ear.put(*range(20))
    assert ear.buffer.depth_frames == 16
    assert ear.buffer.n_overflow == 4
    assert ear.take() == 4


def test_what_was_missing_in_an_overflow_is_lost():
    ear = Ear(max_frames=15)
    ear.put(0, 2, 3, *range(5, 21))
    assert ear.buffer.depth_frames == 16
    assert (ear.buffer.n_overflow, ear.buffer.n_lost) == (3, 2)
    assert ear.take() == 5


def test_a_far_jump_begins_anew_and_counts_what_is_missing():
    ear = Ear()
    ear.put(0, 1, 500, 501)
    assert ear.take_all(2) == [500, 501]
    assert ear.buffer.n_overflow == 2
    assert ear.buffer.n_lost == 498


def test_a_frame_longer_than_a_slot_is_dropped_and_counted():
    buffer = JitterBuffer(8, 4)
    buffer.put(1, bytearray(20), 12, 5, True, 0)
    buffer.put(1, bytearray(20), 12, 0, True, 0)
    assert buffer.n_overflow == 2
    assert buffer.state == IDLE


def test_settings_that_cannot_be_are_refused():
    for settings in ((8, 4, 0, 0, 4), (8, 4, 2, 3, 4), (8, 4, 5, 1, 4), (8, 4, 2, 1, 8)):
        raised(ValueError, JitterBuffer, *settings)


# Keepalives


def test_a_keepalive_leaves_no_hole():
    ear = Ear(target_frames=3)
    ear.put(0, 1)
    ear.skip(2)
    ear.put(3)
    assert ear.buffer.depth_frames == 3
    assert ear.take_all(3) == [0, 1, 3]
    assert ear.buffer.n_lost == 0


def test_a_reordered_keepalive_leaves_no_hole():
    ear = Ear(target_frames=3)
    ear.put(0, 1, 3)
    ear.skip(2)
    assert ear.take_all(3) == [0, 1, 3]
    assert ear.buffer.n_lost == 0


def test_a_keepalive_leaves_no_hole_wherever_it_lies():
    ear = Ear(target_frames=3)
    ear.put(0, 1)
    number = 2
    for _ in range(40):
        ear.skip(number)
        ear.put(number + 1)
        assert ear.take() not in (None, "conceal")
        number += 2
    assert (ear.buffer.n_lost, ear.buffer.n_dropped, ear.buffer.n_inserted) == (0, 0, 0)
    assert ear.buffer.target_frames == 3


def test_a_late_keepalive_changes_nothing():
    ear = Ear(target_frames=3)
    ear.put(0, 2, 3)
    assert ear.take_all(2) == [0, "conceal"]
    ear.skip(1)
    ear.skip(0)
    for number in range(4, 40):
        ear.put(number)
        assert ear.take() == number - 2


def test_a_keepalive_behind_a_loss_ends_the_pause():
    ear = Ear()
    ear.put(0, 1)
    assert ear.take_all(3) == [0, 1, "conceal"]
    ear.put(4)
    ear.skip(3)
    assert ear.take() == 4
    assert (ear.buffer.n_lost, ear.buffer.n_inserted) == (1, 0)


def test_a_keepalive_alone_begins_no_spurt():
    ear = Ear()
    ear.skip(0)
    assert ear.buffer.state == IDLE
    ear.put(1, 2)
    assert ear.take() == 1


def test_keepalives_between_spurts_are_not_lost_frames():
    ear = Ear()
    ear.put(0, 1)
    ear.take_all(8)
    assert ear.buffer.state == IDLE
    ear.skip(2)
    ear.skip(3)
    ear.put(4, 5)
    assert ear.take() == 4
    assert ear.buffer.n_lost == 0
    ear.take_all(7)
    assert ear.buffer.state == IDLE
    ear.skip(9)  # 6 to 8 are still to come
    ear.put(6, 7)
    assert ear.take() == 6
    assert (ear.buffer.n_lost, ear.buffer.n_late) == (0, 0)


# The end of a spurt


def test_a_spurt_ends_after_100_ms_with_nothing_and_is_no_pause():
    ear = Ear()
    ear.put(0, 1)
    assert ear.take_all(8) == [0, 1, "conceal", "conceal", "conceal", "conceal", "conceal", None]
    assert ear.buffer.state == IDLE
    assert (ear.buffer.n_inserted, ear.buffer.n_lost) == (0, 0)


def test_the_end_of_a_spurt_does_not_raise_the_target():
    ear = Ear()
    for spurt in range(0, 50, 10):
        ear.put(spurt, is_marked=True)
        ear.put(*range(spurt + 1, spurt + 10))
        ear.take_all(30)
    assert ear.buffer.state == IDLE
    assert ear.buffer.target_frames == 2


def test_a_packet_in_time_goes_on_with_the_spurt_and_counts_the_pause():
    ear = Ear()
    ear.put(0, 1)
    assert ear.take_all(4) == [0, 1, "conceal", "conceal"]
    ear.put(2, 3, 4)
    assert ear.take_all(3) == [2, 3, 4]
    assert (ear.buffer.n_inserted, ear.buffer.n_lost) == (2, 0)


def test_a_loss_behind_an_empty_buffer_is_concealed_once():
    ear = Ear()
    ear.put(0, 1)
    assert ear.take_all(3) == [0, 1, "conceal"]
    ear.put(3, 4)
    assert ear.take_all(2) == [3, 4]
    assert (ear.buffer.n_inserted, ear.buffer.n_lost) == (0, 1)


def test_what_is_late_for_a_pause_is_still_played():
    ear = Ear()
    ear.put(0, 1)
    assert ear.take_all(3) == [0, 1, "conceal"]
    ear.put(3, 2)
    assert ear.take_all(2) == [2, 3]
    assert (ear.buffer.n_inserted, ear.buffer.n_lost, ear.buffer.n_late) == (1, 0, 0)


def test_a_straggler_begins_no_spurt():
    ear = Ear()
    ear.put(0, 1)
    ear.take_all(8)
    ear.put(1, 0)
    assert ear.buffer.state == IDLE
    assert ear.buffer.n_late == 2


def test_what_was_lost_between_two_spurts_is_counted():
    ear = Ear()
    ear.put(0, 1)
    ear.take_all(8)
    ear.put(50, 51)
    assert ear.take() == 50
    assert ear.buffer.n_lost == 48
    ear.take_all(8)
    ear.put(53, 54)
    assert ear.take() == 53
    assert ear.buffer.n_lost == 49


def test_a_stream_that_begins_elsewhere_is_played_without_a_loss():
    ear = Ear()
    ear.put(0, 1)
    ear.take_all(8)
    ear.put(-20_000, -19_999)
    assert ear.take() == -20_000
    ear.take_all(8)
    ear.put(0, 1)
    assert ear.take() == 0
    assert ear.buffer.n_lost == 0
    assert ear.buffer.n_late == 0


def test_a_marked_packet_begins_a_spurt_once_the_last_one_was_played():
    ear = Ear()
    ear.put(0, 1)
    assert ear.take_all(3) == [0, 1, "conceal"]
    ear.put(2, is_marked=True)
    assert ear.buffer.state == FILLING
    assert ear.take() is None
    ear.put(3)
    assert ear.take_all(2) == [2, 3]
    assert ear.buffer.n_inserted == 0


def test_a_marked_packet_behind_others_waits_its_turn():
    ear = Ear()
    ear.put(0, 1)
    assert ear.take() == 0
    ear.put(2, is_marked=True)
    assert ear.take_all(2) == [1, 2]


def test_a_flush_forgets_and_counts_what_waits():
    ear = Ear()
    ear.put(0, 1, 2)
    assert ear.take() == 0
    ear.buffer.flush()
    assert ear.buffer.state == IDLE
    assert ear.buffer.depth_frames == 0
    assert ear.buffer.n_flushed == 2
    assert ear.take() is None
    ear.put(2)
    assert ear.buffer.state == IDLE
    ear.put(3, 4)
    assert ear.take() == 3
    ear.buffer.flush()
    ear.buffer.flush()
    assert ear.buffer.n_lost == 0


# The network


def test_a_steady_network_loses_and_inserts_nothing():
    line = Line(Ear())
    line.run(until_s=20)
    assert line.n_concealed() == 0
    assert line.numbers_heard() == list(range(len(line.heard)))
    assert line.ear.buffer.target_frames == 2


def test_one_late_packet_raises_the_target_at_once_and_the_depth_with_it():
    for late_us, target_frames in ((24_000, 2), (44_000, 3), (64_000, 4), (84_000, 5)):
        line = Line(Ear(), delay_us=lambda number, late_us=late_us: late_us if number == 200 else 5_000)
        line.run(until_s=8)
        assert line.ear.buffer.target_frames == target_frames
        assert line.longest_hole() <= 1
        assert [off for off in line.off_target[-100:] if off] == []
        assert line.ear.buffer.n_inserted == target_frames - 2
        line.assert_all_is_counted()


def test_a_delay_that_stays_is_followed_without_a_loss():
    line = Line(Ear(), delay_us=lambda number: 65_000 if number >= 200 else 5_000)
    line.run(until_s=10)
    assert line.ear.buffer.n_lost == 0
    assert line.ear.buffer.target_frames == 4
    assert line.numbers_heard() == list(range(len(line.numbers_heard())))
    line.assert_all_is_counted()


def test_the_target_has_its_bounds():
    noise = Noise(7)
    line = Line(Ear(max_frames=4), delay_us=lambda number: noise.below(300_000))
    line.run(until_s=20)
    assert line.ear.buffer.target_frames == 4
    line = Line(Ear(min_frames=2))
    line.run(until_s=100)
    assert line.ear.buffer.target_frames == 2


def test_a_calm_network_lowers_the_target_step_by_step():
    line = Line(Ear(target_frames=4))
    line.run(until_s=29)
    assert line.ear.buffer.target_frames == 4
    line.run(until_s=35)
    assert line.ear.buffer.target_frames == 3
    line.run(until_s=125)
    assert line.ear.buffer.target_frames == 1
    assert line.ear.buffer.depth_frames <= 2
    assert line.ear.buffer.n_dropped == 3
    assert line.n_concealed() == 0
    line.assert_all_is_counted()


def test_jitter_within_the_target_is_not_heard():
    noise = Noise(8)
    line = Line(Ear(target_frames=4), delay_us=lambda number: noise.below(55_000))
    line.run(until_s=60)
    assert line.n_concealed() == 0
    line.assert_all_is_counted()


def test_a_jittery_network_is_learnt_within_seconds():
    noise = Noise(9)
    line = Line(Ear(), delay_us=lambda number: noise.below(70_000))
    line.run(until_s=60)
    assert line.ear.buffer.target_frames in (4, 5)
    late = [us for us, taken in line.heard if taken == "conceal" and us > 5_000_000]
    assert len(late) <= 3, late
    line.assert_all_is_counted()


def test_loss_is_concealed_and_does_not_raise_the_target():
    noise = Noise(10)
    line = Line(Ear(), delay_us=lambda number: None if number and noise.below(10) == 0 else 5_000)
    line.run(until_s=20)
    assert line.ear.buffer.target_frames == 2
    assert 60 < line.ear.buffer.n_lost < 140
    assert line.ear.buffer.n_inserted == 0
    line.assert_all_is_counted()


def test_a_burst_of_losses_moves_nothing():
    line = Line(Ear(), delay_us=lambda number: None if 200 <= number < 203 else 5_000)
    line.run(until_s=8)
    assert line.ear.buffer.n_lost == line.n_concealed() == 3
    assert line.ear.buffer.n_inserted == 0
    assert line.ear.buffer.target_frames == 2


def test_a_pre_roll_is_played_from_its_start_and_shed_within_two_seconds():
    ear = Ear()
    ear.put(0, is_marked=True)
    ear.put(*range(1, 10))
    heard = []
    for n in range(100):  # 2 s
        heard.append(ear.take(ms=20 * n))
        ear.put(10 + n, ms=20 * n + 5)
    assert heard[:4] == [0, 1, 2, 3]
    assert "conceal" not in heard
    assert ear.buffer.depth_frames <= ear.buffer.target_frames + 1
    assert ear.buffer.target_frames == 2
    gaps = [later - earlier for earlier, later in zip(heard, heard[1:])]
    assert max(gaps) == 2  # never two frames at once
    assert sum(gap - 1 for gap in gaps) == ear.buffer.n_dropped
    drops = [n for n, gap in enumerate(gaps) if gap == 2]
    assert min(later - earlier for earlier, later in zip(drops, drops[1:])) >= 5


def test_shedding_takes_what_never_came_first():
    for seed in range(12, 30):
        noise = Noise(seed)
        ear = Ear(max_frames=2)
        line = Line(ear, delay_us=lambda number, noise=noise: None if number and noise.below(3) == 0 else 5_000)
        ear.put(-9, is_marked=True)
        ear.put(*range(-8, -1))
        line.run(until_s=5)
        assert line.ear.buffer.n_dropped <= 8
        heard = line.numbers_heard()
        assert heard == sorted(set(heard))
        n_missing = heard[-1] + 10 - len(heard)
        assert ear.buffer.n_lost + ear.buffer.n_dropped >= n_missing
        assert line.n_concealed() <= n_missing - ear.buffer.n_dropped + ear.buffer.n_inserted


# Clocks


def drifted(send_every_us, take_at_us=None):
    line = Line(Ear(), send_every_us=send_every_us, take_at_us=take_at_us)
    line.run(until_s=300)
    assert line.longest_hole() <= 1
    settled = line.off_target[50:]
    assert min(settled) >= -1 and max(settled) <= 1
    assert line.ear.buffer.n_lost == 0
    line.assert_all_is_counted()
    return line


def test_a_fast_sender_loses_a_frame_now_and_then():
    line = drifted(send_every_us=19_998)  # 100 ppm: 30 ms in five minutes
    assert 1 <= line.ear.buffer.n_dropped <= 6
    assert line.ear.buffer.n_dropped - line.ear.buffer.n_inserted in (1, 2, 3)


def test_a_slow_sender_gets_a_pause_now_and_then():
    line = drifted(send_every_us=20_002)
    assert 1 <= line.ear.buffer.n_inserted <= 6
    assert line.ear.buffer.n_inserted - line.ear.buffer.n_dropped in (-1, 0, 1, 2)


def in_descriptors(n):
    """When a driver with descriptors of 16 ms takes frames of 20 ms: after 16, 32, 16, 16 ms."""
    return 10_000 + (n * 320 + 255) // 256 * 16_000


def test_a_loudspeaker_that_takes_in_bursts_is_fed_by_either_clock():
    for send_every_us in (19_998, 20_002):
        drifted(send_every_us, take_at_us=in_descriptors)


# Any order of anything


def test_any_sequence_keeps_its_bounds_and_its_promises():
    noise = Noise(11)
    ear = Ear()
    buffer = ear.buffer
    number = 0
    n_played = 0
    for i in range(20_000):
        kind = noise.below(100)
        if kind < 45:
            number += 1
            ear.put(number, ms=i, is_marked=noise.below(50) == 0)
        elif kind < 55:
            ear.put(number + noise.below(40) - 20, ms=i)
        elif kind < 58:
            ear.skip(number + noise.below(8) - 2)
        elif kind == 58 and noise.below(4) == 0:
            number = noise.below(65_536)
            ear.put(number, ms=i)
        elif kind == 59 and noise.below(4) == 0:
            buffer.flush()
        elif kind >= 60:
            n_played += isinstance(ear.take(ms=i), int)
        assert 0 <= buffer.depth_frames <= 16
        assert 1 <= buffer.target_frames <= 6
        n_waiting = sum(length > 0 for length in buffer._lengths)
        n_gone = buffer.n_late + buffer.n_duplicate + buffer.n_overflow + buffer.n_dropped + buffer.n_flushed
        assert buffer.n_received == n_played + n_gone + n_waiting
    assert n_played > 4_000


def test_taking_and_putting_allocate_nothing():
    buffer = JitterBuffer(16, 640)
    packet = bytearray(662)
    frame = bytearray(640)
    noise = [0, 0, 1, 0, 3, 0, 0, 2, 0, 0, 0, 40, 0, 0, 0, 0]  # packets that come at once, or late
    state = [65_000, (1 << 30) - 300, 0]

    def step():
        seq, now_ms, n = state
        for _ in range(noise[n & 15]):
            buffer.put(seq, packet, 12, 640, False, now_ms)
            seq = seq_after(seq, 1)
        buffer.put(seq_after(seq, 1), packet, 12, 640, n == 0, now_ms)
        buffer.put(seq, packet, 12, 640, False, now_ms)
        buffer.put(seq, packet, 12, 640, False, now_ms)
        buffer.skip(seq_after(seq, 3))
        buffer.take_into(frame, now_ms)
        buffer.take_into(frame, now_ms)
        if n == 300:
            buffer.flush()
        state[0] = seq_after(seq, 2)
        state[1] = ms_after(now_ms, 20)
        state[2] = n + 1

    assert allocates_nothing(step)
    assert buffer.n_dropped + buffer.n_overflow > 0


def test_the_first_frame_of_a_spurt_is_known_when_it_is_taken():
    buffer = JitterBuffer(8, 4, 1, 1, 4)
    firsts = []
    for seq in range(4):
        buffer.put(seq, bytearray(b"abcd"), 0, 4, seq in (0, 2), 0)
    frame = bytearray(4)
    for _ in range(4):
        assert buffer.take_into(frame, 0) == 4
        firsts.append(buffer.is_first)
    assert firsts == [True, False, True, False]


def test_shorter_frames_can_be_agreed_on():
    buffer = JitterBuffer(8, 640, 1, 1, 4)
    buffer.set_frame_bytes(160)
    buffer.put(0, bytearray(161), 0, 161, True, 0)
    assert buffer.n_overflow == 1
    for seq in range(8):
        buffer.put(seq, bytearray([seq] * 182), 12, 160 - seq, seq == 0, 0)
    frame = bytearray(640)
    assert buffer.take_into(frame, 0) == 160
    assert bytes(frame[:160]) == bytes(160)
    assert buffer.take_into(frame, 0) == 159
    assert bytes(frame[:159]) == b"\x01" * 159
