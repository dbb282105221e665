"""voice.downlink: what is written to the loudspeaker, and when. Fed with 16-bit frames."""

from array import array

from pressroom.voice.downlink import Downlink
from pressroom.voice.l16 import L16
from pressroom.wire.rtp import PT_L16, PT_OPUS, RtpOut
from pressroom.wire.seq import ms_after

START_MS = (1 << 30) - 50
TAKES_BYTES = 1024  # two descriptors of the driver


def at(ms):
    return ms_after(START_MS, ms)


class FakeJitter:
    """Hands out what it was told to: a payload, 0 for a lost frame, -1 for nothing to play."""

    def __init__(self):
        self.is_first = False
        self.frame_bytes = 640
        self.to_take = []
        self.put_seqs = []
        self.skipped = []
        self.n_flushes = 0

    def put(self, seq, packet, start, n_bytes, is_marked, now_ms):
        self.put_seqs.append(seq)
        self.to_take.append(bytes(packet[start : start + n_bytes]))

    def set_frame_bytes(self, frame_bytes):
        self.frame_bytes = frame_bytes

    def skip(self, seq):
        self.skipped.append(seq)

    def take_into(self, frame, now_ms):
        if not self.to_take:
            return -1
        taken = self.to_take.pop(0)
        if taken == 0:
            return 0
        frame[: len(taken)] = taken
        return len(taken)

    def flush(self):
        self.to_take = []
        self.n_flushes += 1


class FakeSpeaker:
    """Holds two descriptors; `play` makes room."""

    def __init__(self):
        self.heard = bytearray()
        self._n_room_bytes = TAKES_BYTES

    def write(self, pcm, start=0):
        n_bytes = min(self._n_room_bytes, len(pcm) - start)
        self.heard += pcm[start : start + n_bytes]
        self._n_room_bytes -= n_bytes
        return n_bytes

    def play(self, n_bytes):
        self._n_room_bytes = min(TAKES_BYTES, self._n_room_bytes + n_bytes)

    def samples(self):
        return list(array("h", bytes(self.heard)))


class Listener:
    """A downlink and its fakes."""

    def __init__(self):
        self.jitter = FakeJitter()
        self.speaker = FakeSpeaker()
        self.downlink = Downlink(self.jitter, L16(), self.speaker)
        self.rtp_out = RtpOut(b"\x01\x02\x03\x04", PT_L16, 7, bytes(4), 320)

    def hear(self, *levels):
        for level in levels:
            self.jitter.to_take.append(0 if level is None else payload(level))

    def run(self, ms, start_ms=0):
        """Poll every 4 ms while the loudspeaker plays."""
        for now_ms in range(start_ms, start_ms + ms, 4):
            self.downlink.poll(at(now_ms))
            self.speaker.play(128)

    def settled(self):
        """What the loudspeaker got, without the silence a spurt begins with and the fades at its edges."""
        heard = self.speaker.samples()
        return heard[TAKES_BYTES // 2 + 64 :]


def payload(level):
    return level.to_bytes(2, "big") * 320


def test_nothing_is_written_while_there_is_nothing_to_play():
    listener = Listener()
    listener.run(200)
    assert listener.speaker.samples() == []


def test_a_spurt_begins_with_the_silence_that_sets_its_pace():
    listener = Listener()
    listener.hear(1000, 1000, 1000)
    listener.downlink.poll(at(0))
    assert listener.speaker.samples() == [0] * 512
    assert len(listener.jitter.to_take) == 2  # the first waits for room, the others for their turn


def test_frames_are_taken_at_the_pace_of_the_loudspeaker():
    listener = Listener()
    listener.hear(*[1000] * 50)
    listener.run(400)
    assert 18 <= 50 - len(listener.jitter.to_take) <= 21


def test_what_comes_is_played_without_a_hole():
    listener = Listener()
    listener.hear(1000, 1000, 1000, 1000)
    listener.run(200)
    assert listener.settled()[: 4 * 320 - 64] == [1000] * (4 * 320 - 64)
    assert listener.downlink.n_played_frames == 4


def test_a_lost_frame_is_concealed():
    listener = Listener()
    listener.hear(1000, None, 1000)
    listener.run(200)
    assert min(listener.settled()[: 3 * 320 - 64]) >= 400


def test_a_spurt_that_is_cut_off_fades_out():
    listener = Listener()
    listener.hear(1000, 1000, None, None, None)  # so the jitter buffer ends it
    listener.run(200)
    end = listener.settled()[2 * 320 - 64 :]
    assert len(end) == 3 * 320
    assert end[-1] == 0
    assert all(abs(later - earlier) < 20 for earlier, later in zip(end, end[1:]))


def test_while_silenced_what_comes_is_consumed_unheard():
    listener = Listener()
    listener.downlink.is_silenced = True
    listener.hear(*[1000] * 5)
    listener.run(200)
    assert max(listener.speaker.samples()) == 0
    assert listener.jitter.to_take == []
    assert not listener.downlink.is_speaking


def test_a_flush_is_heard_at_once():
    listener = Listener()
    listener.hear(*[1000] * 20)
    listener.run(80)
    n_before = len(listener.speaker.samples())
    listener.downlink.flush()
    listener.run(80, 80)
    assert len(listener.speaker.samples()) == n_before
    assert listener.jitter.n_flushes == 1
    assert not listener.downlink.is_speaking


def test_somebody_speaks_until_300_ms_after_the_last_loud_frame():
    listener = Listener()
    listener.hear(1000, *[10] * 40)
    listener.run(20)
    assert listener.downlink.is_speaking
    listener.run(240, 20)
    assert listener.downlink.is_speaking
    listener.run(100, 260)
    assert not listener.downlink.is_speaking


def test_quiet_noise_is_nobody_speaking():
    listener = Listener()
    listener.hear(*[100] * 20)
    listener.run(200)
    assert not listener.downlink.is_speaking


def test_volume_scales_what_is_played():
    listener = Listener()
    listener.downlink.set_volume(25)
    listener.hear(1000, 1000)
    listener.run(100)
    assert listener.settled()[0] == 250


def test_volume_is_bounded():
    for percent, expected in ((-5, 0), (0, 0), (100, 1000), (1000, 1000)):
        listener = Listener()
        listener.downlink.set_volume(percent)
        listener.hear(1000, 1000)
        listener.run(100)
        assert listener.settled()[0] == expected


def test_a_packet_of_our_codec_goes_to_the_jitter_buffer():
    listener = Listener()
    packet = bytearray(12) + payload(500)
    listener.rtp_out.write_header_into(packet, True)
    listener.downlink.receive(packet, 12, 640, at(0))
    assert listener.jitter.put_seqs == [7]
    assert listener.jitter.to_take == [payload(500)]


def test_a_packet_of_another_codec_is_counted_and_leaves_no_gap():
    listener = Listener()
    packet = bytearray(100)
    RtpOut(b"\x01\x02\x03\x04", PT_OPUS, 9, bytes(4), 960).write_header_into(packet, False)
    listener.downlink.receive(packet, 12, 88, at(0))
    assert listener.jitter.put_seqs == []
    assert listener.jitter.skipped == [9]
    assert listener.downlink.n_unknown_packets == 1


def test_a_frame_of_a_wrong_length_is_concealed():
    listener = Listener()
    listener.jitter.to_take = [payload(1000), b"\x01\x02", payload(1000)]
    listener.run(200)
    assert min(listener.settled()[: 3 * 320 - 64]) >= 400


class FakeCodec:
    """Remembers what it was asked; plays silence."""

    payload_type = PT_OPUS

    def __init__(self):
        self.asked = []

    def decode_into(self, frame, n_bytes, pcm_frame):
        self.asked.append(bytes(frame[:n_bytes]))

    def conceal_into(self, pcm_frame):
        self.asked.append("conceal")

    def reset(self):
        self.asked.append("reset")


def test_the_first_frame_of_a_spurt_begins_the_stream_of_its_codec_anew():
    listener = Listener()
    codec = FakeCodec()
    listener.downlink.open(codec, 160)
    assert listener.jitter.frame_bytes == 160
    codec.asked = []
    for is_first, taken in ((True, b"one"), (False, b"two"), (False, 0), (True, b"three")):
        listener.jitter.is_first = is_first
        listener.jitter.to_take.append(taken)
        listener.run(20)
    assert codec.asked == ["reset", b"one", b"two", "conceal", "reset", b"three"]
    assert listener.downlink.n_concealed_frames == 1


def test_a_new_link_forgets_what_waits_of_the_old_one():
    listener = Listener()
    listener.hear(1000, 1000)
    listener.downlink.open(FakeCodec(), 160)
    assert listener.jitter.n_flushes == 1
