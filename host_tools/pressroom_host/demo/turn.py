"""What happened in a turn: the board speaks, somebody answers, the board plays it. Times are of time.monotonic()."""

from dataclasses import dataclass, field
from typing import Any

from pressroom_host.demo.measure import Judgement
from pressroom_host.demo.speech import Speech
from pressroom_host.sim.sound import Recording

# The events of a turn in the order they happen, and how each is told.
EVENTS = {
    "speech": "speech begins",
    "press": "button pressed",
    "packet": "first packet in the room",
    "heard": "parrot hears it",
    "release": "button released",
    "muted": "parrot sees the mute",
    "said": "parrot answers",
    "back": "first sample back",
    "finished": "parrot has finished",
}


@dataclass
class Turn:
    """One turn, filled in as it goes."""

    number: int
    speech: Speech
    times_s: dict[str, float] = field(default_factory=dict)  # event -> when
    heard: Recording | None = None  # what the loudspeaker played, from the release on
    judgement: Judgement | None = None
    n_packets: int = 0  # of the board's track in the room
    n_lost: int = 0  # both ways
    n_late: int = 0
    problems: list[str] = field(default_factory=list)  # what went wrong besides what was heard

    @property
    def reasons(self) -> list[str]:
        """Why this turn is not good; empty if it is."""
        if self.judgement is None:
            return self.problems or ["it never ended"]
        return [*self.problems, *self.judgement.reasons]

    @property
    def is_good(self) -> bool:
        return not self.reasons

    def ms_between(self, earlier: str, later: str) -> float | None:
        """Return the milliseconds from one event to another; None if one of them did not happen."""
        if earlier not in self.times_s or later not in self.times_s:
            return None
        return 1_000 * (self.times_s[later] - self.times_s[earlier])

    def as_json(self, zero_s: float) -> dict[str, Any]:
        """Return what report.json says of it; times are seconds from zero_s."""
        judgement = self.judgement
        return {
            "turn": self.number,
            "recording": self.speech.name,
            "words": self.speech.words,
            "seconds": round(self.speech.duration_s, 3),
            "is_good": self.is_good,
            "reasons": self.reasons,
            "press_to_first_packet_ms": _rounded(self.ms_between("press", "packet")),
            "press_to_parrot_hears_ms": _rounded(self.ms_between("press", "heard")),
            "press_to_release_ms": _rounded(self.ms_between("press", "release")),
            "release_to_first_sample_back_ms": _rounded(self.ms_between("release", "back")),
            "correlation_p10": None if judgement is None else round(judgement.correlation_p10, 3),
            "longest_hole_ms": None if judgement is None else judgement.longest_hole_ms,
            "has_first_100_ms": judgement is not None and judgement.has_first,
            "has_last_100_ms": judgement is not None and judgement.has_last,
            "n_packets": self.n_packets,
            "n_lost": self.n_lost,
            "n_late": self.n_late,
            "events_s": {name: round(self.times_s[name] - zero_s, 4) for name in EVENTS if name in self.times_s},
        }


def _rounded(value_ms: float | None) -> float | None:
    return None if value_ms is None else round(value_ms, 1)
