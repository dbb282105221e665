"""voice.uplink: what is sent, with which timestamp, and when a talk ends. Fed with 16-bit frames."""

from pressroom.voice.l16 import L16
from pressroom.voice.uplink import MUTED, TALKING, Uplink
from pressroom.wire.rtp import PT_L16, RtpOut, is_marked, payload_type, seq, timestamp
from pressroom.wire.seq import ms_after

START_MS = (1 << 30) - 50
FIRST_TIMESTAMP = 0xFFFFFE00  # every test crosses the wrap of the timestamps
FIRST_SEQ = 65530
PREROLL_FRAMES = 10


def at(ms):
    return ms_after(START_MS, ms)


class FakeCapture:
    """Frames whose first sample is their number, 20 ms apart."""

    n_frames_kept = 15

    def __init__(self):
        self.n_new = 0
        self.n_unread = 1
        self._n_frames = 0
        self._frames = [bytearray(640) for _ in range(16)]

    def poll(self, now_ms):
        n_new = self.n_new
        self.n_new = 0
        for _ in range(n_new):
            frame = self._frames[self._n_frames % 16]
            frame[0] = self._n_frames & 0xFF
            frame[1] = self._n_frames >> 8
            self._n_frames += 1
        return n_new

    def frame(self, n_back):
        assert n_back < self.n_frames_kept
        return self._frames[(self._n_frames - 1 - n_back) % 16]

    def n_frames_unread(self, now_ms):
        return self.n_unread


class FakeMedia:
    """Keeps what was sent as (seq, timestamp, is_marked, number of the frame)."""

    def __init__(self):
        self.rtp_out = RtpOut(b"\x01\x02\x03\x04", PT_L16, FIRST_SEQ, FIRST_TIMESTAMP.to_bytes(4, "big"), 320)
        self.sent = []

    def send(self, packet, n_bytes):
        assert n_bytes == 652
        assert payload_type(packet) == PT_L16
        number = packet[12] << 8 | packet[13]
        self.sent.append((seq(packet), timestamp(packet), is_marked(packet), number))


class Talker:
    """An uplink and its fakes, moved on frame by frame."""

    def __init__(self, preroll_frames=PREROLL_FRAMES):
        self.capture = FakeCapture()
        self.media = FakeMedia()
        self.uplink = Uplink(self.capture, L16(), preroll_frames)
        self.uplink.open(self.media, L16())

    def pass_frames(self, n_frames):
        for _ in range(n_frames):
            self.capture.n_new = 1
            self.uplink.poll(at(0))

    def press(self):
        self.uplink.start_talk(at(0))
        first = self.uplink.timestamp()
        for _ in range(3):  # the pre-roll may need several polls
            self.uplink.poll(at(0))
        return first

    def numbers(self):
        return [number for _, _, _, number in self.media.sent]


def captured_at(number):
    """The timestamp of a frame, by its number since the link was opened."""
    return (FIRST_TIMESTAMP + 320 * number) & 0xFFFFFFFF


def test_nothing_is_sent_while_muted():
    talker = Talker()
    talker.pass_frames(50)
    assert talker.media.sent == []


def test_the_preroll_goes_first_with_its_capture_timestamps():
    talker = Talker()
    talker.pass_frames(50)
    assert talker.press() == captured_at(40)
    assert talker.numbers() == list(range(40, 50))
    assert [stamp for _, stamp, _, _ in talker.media.sent] == [captured_at(n) for n in range(40, 50)]


def test_the_marker_is_on_the_first_packet_only():
    talker = Talker()
    talker.pass_frames(50)
    talker.press()
    talker.pass_frames(3)
    assert [bool(marked) for _, _, marked, _ in talker.media.sent] == [True] + [False] * 12


def test_sequence_numbers_have_no_gap_over_a_pause():
    talker = Talker()
    talker.pass_frames(20)
    talker.press()
    talker.uplink.end_talk(at(0))
    talker.pass_frames(30)
    talker.press()
    sent = talker.media.sent
    assert [number for number, _, _, _ in sent] == [(FIRST_SEQ + i) & 0xFFFF for i in range(len(sent))]


def test_a_preroll_that_is_not_full_is_sent_as_it_is():
    talker = Talker()
    talker.pass_frames(3)
    assert talker.press() == captured_at(0)
    assert talker.numbers() == [0, 1, 2]


def test_without_preroll_a_talk_begins_with_the_next_frame():
    talker = Talker(preroll_frames=0)
    talker.pass_frames(50)
    assert talker.press() == captured_at(50)
    assert talker.numbers() == []
    talker.pass_frames(1)
    assert talker.numbers() == [50]


def test_the_end_names_the_timestamp_just_past_the_last_sample():
    talker = Talker()
    talker.pass_frames(20)
    talker.press()
    talker.pass_frames(5)
    talker.capture.n_unread = 2
    end = talker.uplink.end_talk(at(0))
    assert end == captured_at(27)
    talker.pass_frames(10)
    assert talker.numbers()[-1] == 26
    assert talker.uplink.state == MUTED


def test_a_release_during_the_burst_still_sends_the_whole_preroll():
    talker = Talker()
    talker.pass_frames(50)
    talker.uplink.start_talk(at(0))
    end = talker.uplink.end_talk(at(0))
    talker.pass_frames(5)
    assert talker.numbers() == list(range(40, 51))
    assert end == captured_at(51)


def test_frames_that_were_sent_are_not_sent_again_by_the_next_preroll():
    talker = Talker()
    talker.pass_frames(50)
    talker.press()
    talker.uplink.end_talk(at(0))
    talker.pass_frames(4)
    talker.press()
    assert talker.numbers() == list(range(40, 54))


def test_a_press_before_the_last_frame_went_out_goes_on():
    talker = Talker()
    talker.pass_frames(50)
    talker.press()
    talker.uplink.end_talk(at(0))
    talker.press()
    talker.pass_frames(5)
    assert talker.uplink.state == TALKING
    assert talker.numbers() == list(range(40, 55))


def test_speech_during_a_cut_is_dropped_and_counted():
    talker = Talker()
    talker.pass_frames(20)
    talker.press()
    talker.uplink.close()
    talker.pass_frames(100)
    assert talker.uplink.n_lost_frames == 100 - PREROLL_FRAMES
    assert talker.uplink.timestamp() == 0


def test_after_a_cut_a_held_talk_begins_again_with_its_preroll():
    talker = Talker()
    talker.pass_frames(20)
    talker.press()
    talker.uplink.close()
    talker.pass_frames(100)
    talker.media = FakeMedia()
    talker.uplink.open(talker.media, L16())
    assert talker.uplink.timestamp() == FIRST_TIMESTAMP
    talker.pass_frames(3)
    assert talker.numbers() == list(range(110, 123))
    assert talker.media.sent[0][1:3] == (FIRST_TIMESTAMP, True)


def test_a_release_during_a_cut_ends_the_talk():
    talker = Talker()
    talker.pass_frames(20)
    talker.press()
    talker.uplink.close()
    assert talker.uplink.end_talk(at(0)) == 0
    assert talker.uplink.state == MUTED


def test_a_cut_just_after_the_release_leaves_nothing_to_be_sent_later():
    talker = Talker()
    talker.pass_frames(20)
    talker.press()
    talker.capture.n_unread = 2
    talker.uplink.end_talk(at(0))
    talker.uplink.close()
    assert talker.uplink.n_lost_frames == 2
    talker.media = FakeMedia()
    talker.uplink.open(talker.media, L16())
    talker.pass_frames(20)
    assert talker.media.sent == []


def test_frames_that_come_together_are_all_sent():
    talker = Talker()
    talker.pass_frames(20)
    talker.press()
    talker.capture.n_new = 4
    talker.uplink.poll(at(0))
    assert talker.numbers() == list(range(10, 24))
