"""Which section carries which track: offers in, answers out, nothing else."""

import pytest
from livekit.protocol import models

from pressroom_host.room.negotiation import Negotiation
from pressroom_host.room.tracks import PublishedTrack
from pressroom_host.webrtc.sdp import Offer, OfferedSection


class Owner:
    sid = "PA_owner"


def track(sid: str) -> PublishedTrack:
    return PublishedTrack(Owner(), models.TrackInfo(sid=sid), ssrc=len(sid))


def section(mid: str, direction: str, track_id: str = "", **changes: object) -> OfferedSection:
    fields = {"kind": "audio", "payload_type": 111, "codec": "opus/48000/2", "ssrcs": (7,) if track_id else ()}
    return OfferedSection(mid=mid, direction=direction, track_id=track_id, **{**fields, **changes})


def offer(*sections: OfferedSection) -> Offer:
    return Offer("ufrag", (("sha-256", "00"),), 5000, 65_536, sections)


def directions(outcome) -> list[str]:
    return [answered.direction for answered in outcome.sections]


def test_an_announced_track_is_received():
    negotiation = Negotiation()
    negotiation.pending["cid"] = mic = track("TR_mic")
    outcome = negotiation.answer(offer(section("0", "sendonly", "cid")))
    assert directions(outcome) == ["recvonly"]
    assert [(started.track, started.ssrcs) for started in outcome.started] == [(mic, (7,))]
    assert outcome.mid_to_track_id == {"0": "TR_mic"}
    assert negotiation.pending == {}


def test_a_track_nobody_announced_is_not_received():
    outcome = Negotiation().answer(offer(section("0", "sendonly", "cid")))
    assert directions(outcome) == ["inactive"]
    assert outcome.started == []


def test_a_publication_lasts_until_its_section_is_offered_without_it():
    negotiation = Negotiation()
    negotiation.pending["cid"] = mic = track("TR_mic")
    negotiation.answer(offer(section("0", "sendonly", "cid")))
    assert negotiation.answer(offer(section("0", "sendonly", "cid"))).ended == []
    outcome = negotiation.answer(offer(section("0", "recvonly")))
    assert [ended.track for ended in outcome.ended] == [mic]
    assert outcome.mid_to_track_id == {}


def test_another_track_in_the_same_section_replaces_the_first():
    negotiation = Negotiation()
    negotiation.pending |= {"a": track("TR_a"), "b": track("TR_b")}
    negotiation.answer(offer(section("0", "sendonly", "a")))
    outcome = negotiation.answer(offer(section("0", "sendonly", "b")))
    assert [ended.track.sid for ended in outcome.ended] == ["TR_a"]
    assert [started.track.sid for started in outcome.started] == ["TR_b"]


def test_a_publication_whose_section_vanishes_has_ended():
    negotiation = Negotiation()
    negotiation.pending["cid"] = track("TR_mic")
    negotiation.answer(offer(section("0", "sendonly", "cid")))
    assert len(negotiation.answer(offer(section("1", "recvonly"))).ended) == 1


def test_wanted_tracks_take_free_sections_in_order():
    negotiation = Negotiation()
    for name in ("TR_a", "TR_b"):
        assert negotiation.want(track(name))
    outcome = negotiation.answer(offer(section("0", "recvonly"), section("1", "recvonly"), section("2", "recvonly")))
    assert directions(outcome) == ["sendonly", "sendonly", "inactive"]
    assert outcome.mid_to_track_id == {"0": "TR_a", "1": "TR_b"}
    assert outcome.sections[0].sent.stream_id == "PA_owner|TR_a"
    assert negotiation.n_missing_sections() == 0


def test_a_track_is_wanted_once():
    negotiation = Negotiation()
    mic = track("TR_a")
    assert negotiation.want(mic)
    assert not negotiation.want(mic)
    negotiation.answer(offer(section("0", "recvonly")))
    assert not negotiation.want(mic)


def test_the_client_is_asked_for_the_sections_that_are_missing_and_not_for_ever():
    negotiation = Negotiation()
    for name in ("TR_a", "TR_b", "TR_c"):
        negotiation.want(track(name))
    negotiation.answer(offer(section("0", "recvonly")))
    assert negotiation.n_missing_sections() == 2
    assert negotiation.should_ask_again()
    negotiation.answer(offer(section("0", "recvonly")))  # it did not add any
    assert not negotiation.should_ask_again()
    negotiation.answer(offer(section("0", "recvonly"), section("1", "recvonly")))
    assert negotiation.should_ask_again()
    negotiation.answer(offer(*(section(str(mid), "recvonly") for mid in range(3))))
    assert not negotiation.should_ask_again()


def test_a_section_given_up_is_free_for_another_track_but_not_for_the_same():
    negotiation = Negotiation()
    first, second = track("TR_a"), track("TR_b")
    negotiation.want(first)
    negotiation.answer(offer(section("0", "recvonly")))
    assert negotiation.unwant(first).track is first
    assert directions(negotiation.answer(offer(section("0", "recvonly")))) == ["inactive"]
    negotiation.want(first)
    assert negotiation.n_missing_sections() == 1
    assert directions(negotiation.answer(offer(section("0", "recvonly")))) == ["inactive"]
    negotiation.want(second)
    assert negotiation.answer(offer(section("0", "recvonly"))).mid_to_track_id == {"0": "TR_b"}


def test_a_section_is_inactive_once_before_it_carries_another_track():
    negotiation = Negotiation()
    first, second = track("TR_a"), track("TR_b")
    negotiation.want(first)
    negotiation.answer(offer(section("0", "recvonly")))
    negotiation.unwant(first)
    negotiation.want(second)  # before the client has offered again
    assert directions(negotiation.answer(offer(section("0", "recvonly")))) == ["inactive"]
    assert negotiation.should_ask_again()
    assert negotiation.answer(offer(section("0", "recvonly"))).mid_to_track_id == {"0": "TR_b"}


def test_a_subscription_whose_section_vanishes_is_wanted_again():
    negotiation = Negotiation()
    negotiation.want(track("TR_a"))
    negotiation.answer(offer(section("0", "recvonly")))
    outcome = negotiation.answer(offer(section("1", "recvonly")))
    assert outcome.mid_to_track_id == {"1": "TR_a"}
    assert [ended.track.sid for ended in outcome.unsubscribed] == ["TR_a"]
    assert [started.track.sid for started in outcome.subscribed] == ["TR_a"]


def test_nothing_is_kept_of_sections_that_vanished():
    negotiation = Negotiation()
    for number in range(100):
        negotiation.want(track(f"TR_{number}"))
        negotiation.answer(offer(section(f"mid-{number}", "recvonly")))
    assert len(negotiation._carried_sid) == len(negotiation._subscribed) == 1


@pytest.mark.parametrize(
    "refused",
    [
        section("0", "recvonly", codec="PCMU/8000"),
        section("0", "recvonly", kind="video", codec="VP8/90000"),
        section("0", "inactive"),
    ],
)
def test_no_track_goes_where_opus_cannot(refused):
    negotiation = Negotiation()
    negotiation.want(track("TR_a"))
    assert directions(negotiation.answer(offer(refused))) == ["inactive"]


def test_the_payload_type_of_each_side_is_its_own():
    negotiation = Negotiation()
    negotiation.pending["cid"] = track("TR_mic")
    negotiation.want(track("TR_a"))
    outcome = negotiation.answer(
        offer(section("0", "sendonly", "cid", payload_type=96), section("1", "recvonly", payload_type=97))
    )
    assert outcome.started[0].payload_type == 96
    assert outcome.subscribed[0].payload_type == 97
