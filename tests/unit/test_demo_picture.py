from xml.etree import ElementTree

import numpy as np
import pytest

from pressroom_host.demo import timeline_svg
from pressroom_host.demo.speech import Speech
from pressroom_host.demo.turn import Turn
from pressroom_host.sim.sound import RATE_HZ, Recording

SVG = "{http://www.w3.org/2000/svg}"


def a_turn(number=1, words="hello there", **times_s):
    said = (5_000 * np.sin(np.arange(RATE_HZ) / 9)).astype(np.int16)
    turn = Turn(number, Speech("hello", words, said), times_s)
    turn.heard = Recording(said, times_s.get("release", 0.0), RATE_HZ)
    return turn


WHOLE = {"speech": 10.0, "press": 10.15, "packet": 10.18, "heard": 10.25, "release": 11.0, "said": 11.02, "back": 11.13}


def texts(svg):
    return [element.text for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_a_turn_shows_its_words_and_each_event_with_its_delay():
    shown = texts(timeline_svg.draw([a_turn(**WHOLE)]))
    assert "1  “hello there”" in shown
    for label in (
        "button pressed",
        "first packet in the room +30 ms",
        "parrot hears it +100 ms",
        "first sample back +130 ms",
    ):
        assert label in shown


def test_both_waveforms_are_drawn_at_their_times():
    document = ElementTree.fromstring(timeline_svg.draw([a_turn(**WHOLE)]))
    starts = {}
    for path in document.iter(f"{SVG}path"):
        starts[path.get("class")] = float(path.get("d")[1:].split()[0])
    assert starts["said"] < starts["back"]


def test_labels_of_events_close_together_do_not_cover_each_other():
    document = ElementTree.fromstring(timeline_svg.draw([a_turn(**WHOLE)]))
    labels = [e for e in document.iter(f"{SVG}text") if "ms" in (e.text or "") or "button" in (e.text or "")]
    boxes = [(float(e.get("y")), float(e.get("x")), float(e.get("x")) + 6 * len(e.text)) for e in labels]
    for y, left, right in boxes:
        assert not [b for b in boxes if b != (y, left, right) and b[0] == y and b[1] < right and left < b[2]]


def test_words_cannot_break_the_picture():
    assert "1  “<script>&”" in texts(timeline_svg.draw([a_turn(words="<script>&", **WHOLE)]))


def test_a_failed_turn_says_why():
    turn = a_turn(speech=10.0, press=10.15)
    turn.problems.append("the parrot did not answer")
    assert "the parrot did not answer" in texts(timeline_svg.draw([turn]))
    assert "0 of 1 turns came back as they were said" in texts(timeline_svg.draw([turn]))


@pytest.mark.parametrize("turns", [[], [Turn(1, Speech("x", "", np.zeros(100, dtype=np.int16)))]])
def test_what_never_happened_is_drawn_too(turns):
    ElementTree.fromstring(timeline_svg.draw(turns))


def test_the_picture_has_colours_for_light_and_for_dark_paper():
    assert "prefers-color-scheme: dark" in timeline_svg.draw([a_turn(**WHOLE)])
