"""What was said before the agent had come: kept, bounded, played at its pace."""

import pytest

from pressroom_host.gateway.first_words import FirstWords

HEADER = bytes(12)


class Track:
    sid = "TR_x"

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.mutes: list[bool] = []

    def send_rtp(self, packet: bytes) -> None:
        self.sent.append(packet)

    def set_muted(self, muted: bool) -> None:
        self.mutes.append(muted)


@pytest.fixture
def track() -> Track:
    return Track()


@pytest.fixture
def words(track: Track) -> FirstWords:
    return FirstWords(track, lambda now_ms: b"now" + now_ms.to_bytes(9, "big"))


def said(words: FirstWords, n_packets: int, is_kept: bool = True) -> None:
    words.talk_began(is_kept)
    for n in range(n_packets):
        words.send_rtp(HEADER + b"%d" % n)
    words.talk_ended(1_000)


def test_what_is_said_goes_out_at_once_whether_it_is_kept_or_not(words, track):
    said(words, 3, is_kept=False)
    assert [packet[12:] for packet in track.sent] == [b"0", b"1", b"2"]
    assert not words.has_words(1_000)


def test_what_was_kept_is_played_every_20_ms_and_then_the_track_is_muted(words, track):
    said(words, 3)
    assert words.has_words(1_500)
    track.sent.clear()
    words.play(2_000)
    assert not words.poll(2_000)
    assert words.next_timeout_ms(2_005) == 15
    assert not words.poll(2_019)
    assert words.poll(2_041)
    assert [packet[12:] for packet in track.sent] == [b"0", b"1", b"2"]
    assert track.mutes == [False, True]
    assert not words.has_words(2_041)
    assert words.next_timeout_ms(2_041) == 60_000


def test_at_most_ten_seconds_are_kept(words):
    said(words, 600)
    assert len(words._kept) == 500


def test_another_talk_drops_them_also_while_they_are_played(words, track):
    said(words, 3)
    words.play(2_000)
    words.poll(2_000)
    words.talk_began(is_kept=False)
    track.sent.clear()
    assert not words.poll(5_000)
    assert track.sent == []


def test_what_is_old_is_not_played(words):
    said(words, 3)
    assert words.has_words(30_999)
    assert not words.has_words(31_000)


def test_nothing_is_to_be_played_in_the_middle_of_a_talk(words):
    words.talk_began(is_kept=True)
    words.send_rtp(HEADER + b"x")
    assert not words.has_words(1_000)
