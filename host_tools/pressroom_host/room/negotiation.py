"""Which section of a client's one peer connection carries which track. No I/O.

In signalling version 1 the client always offers and the server only answers:

     section the client offers      answered    when
     sendonly, sendrecv             recvonly    its track was announced by add_track    (a publication)
     recvonly, free                 sendonly    a track is wanted                       (a subscription)
     anything else                  inactive

A publication ends when its section is offered without its track. To start or end a subscription the server asks the
client to offer again, with more sections if none is free.
"""

from dataclasses import dataclass, field

from pressroom_host.webrtc.sdp import AnsweredSection, Offer, OfferedSection, SentTrack

from .tracks import PublishedTrack

_SENDING = ("sendonly", "sendrecv")


@dataclass(frozen=True, slots=True)
class Publication:
    """A track the client sends: announced as cid, received in section mid on ssrcs with payload_type."""

    track: PublishedTrack
    cid: str
    mid: str
    payload_type: int
    ssrcs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Subscription:
    """A track the client receives, with the payload type it wants."""

    track: PublishedTrack
    payload_type: int


@dataclass(slots=True)
class Outcome:
    """What one offer leads to."""

    sections: list[AnsweredSection] = field(default_factory=list)
    mid_to_track_id: dict[str, str] = field(default_factory=dict)
    started: list[Publication] = field(default_factory=list)
    ended: list[Publication] = field(default_factory=list)
    subscribed: list[Subscription] = field(default_factory=list)
    unsubscribed: list[Subscription] = field(default_factory=list)


class Negotiation:
    """The sections of one client.

    pending: tracks announced and not offered yet, by cid. wanted: tracks to subscribe to, by sid.
    """

    def __init__(self) -> None:
        self.pending: dict[str, PublishedTrack] = {}
        self.wanted: dict[str, PublishedTrack] = {}
        self._published: dict[str, Publication] = {}  # by mid, as all below
        self._subscribed: dict[str, Subscription] = {}
        self._free: list[str] = []
        self._carried_sid: dict[str, str] = {}
        self._carrying: set[str] = set()  # mids, in the last answer
        self._n_audio_sections = 0
        self._n_sections_when_asked = -1

    def subscriptions(self) -> list[Subscription]:
        """What the client receives now."""
        return list(self._subscribed.values())

    def subscription(self, track_sid: str) -> Subscription | None:
        """Return the client's subscription to this track, or None."""
        return next((sub for sub in self._subscribed.values() if sub.track.sid == track_sid), None)

    def want(self, track: PublishedTrack) -> bool:
        """Subscribe as soon as a section is free. Returns False if that is so already."""
        if track.sid in self.wanted or self.subscription(track.sid):
            return False
        self.wanted[track.sid] = track
        self._n_sections_when_asked = -1
        return True

    def unwant(self, track: PublishedTrack) -> Subscription | None:
        """Return the subscription that has ended; its section is free once the client has offered again."""
        self.wanted.pop(track.sid, None)
        mid = next((mid for mid, sub in self._subscribed.items() if sub.track is track), None)
        return self._subscribed.pop(mid) if mid is not None else None

    def n_missing_sections(self) -> int:
        """How many sections the wanted tracks lack."""
        n_usable = sum(1 for mid in self._free if any(self._may_carry(mid, track) for track in self.wanted.values()))
        return max(0, len(self.wanted) - n_usable)

    def should_ask_again(self) -> bool:
        """Return True if an offer left tracks without a section, once for each number of sections offered."""
        if not self.wanted or self._n_sections_when_asked == self._n_audio_sections:
            return False
        self._n_sections_when_asked = self._n_audio_sections
        return True

    def answer(self, offer: Offer) -> Outcome:
        """Take the offer and say how to answer it."""
        outcome = Outcome()
        self._free = []
        self._n_audio_sections = sum(section.kind == "audio" for section in offer.sections)
        self._drop_vanished({section.mid for section in offer.sections}, outcome)
        for offered in offer.sections:
            outcome.sections.append(self._answer_section(offered, outcome))
        for mid, publication in self._published.items():
            outcome.mid_to_track_id[mid] = publication.track.sid
        for mid, subscription in self._subscribed.items():
            outcome.mid_to_track_id[mid] = subscription.track.sid
        self._carrying = set(self._subscribed)
        return outcome

    def _answer_section(self, offered: OfferedSection, outcome: Outcome) -> AnsweredSection:
        if offered.kind == "application":
            return AnsweredSection(offered, "sendrecv")
        is_sending = offered.direction in _SENDING and offered.has_opus
        if is_sending and self._receives(offered, outcome):
            return AnsweredSection(offered, "recvonly")
        if not is_sending:
            self._end_publication(offered.mid, outcome)
        if offered.direction == "recvonly" and offered.has_opus:
            return self._answer_receiver(offered, outcome)
        return AnsweredSection(offered, "inactive")

    def _receives(self, offered: OfferedSection, outcome: Outcome) -> bool:
        current = self._published.get(offered.mid)
        if current is not None and current.cid == offered.track_id:
            return True
        self._end_publication(offered.mid, outcome)
        track = self.pending.pop(offered.track_id, None)
        if track is None:
            return False
        publication = Publication(track, offered.track_id, offered.mid, offered.payload_type, offered.ssrcs)
        self._published[offered.mid] = publication
        outcome.started.append(publication)
        return True

    def _answer_receiver(self, offered: OfferedSection, outcome: Outcome) -> AnsweredSection:
        mid = offered.mid
        subscription = self._subscribed.get(mid)
        if subscription is None:
            # Clients report a track only where a section begins to carry one: it has to be inactive in between.
            track = self._next_wanted(mid) if mid not in self._carrying else None
            if track is None:
                self._free.append(mid)
                return AnsweredSection(offered, "inactive")
            subscription = Subscription(track, offered.payload_type)
            self._subscribed[mid] = subscription
            self._carried_sid[mid] = track.sid
            outcome.subscribed.append(subscription)
        track = subscription.track
        sent = SentTrack(track.ssrc, stream_id=f"{track.owner.sid}|{track.sid}", track_id=track.sid)
        return AnsweredSection(offered, "sendonly", sent)

    def _next_wanted(self, mid: str) -> PublishedTrack | None:
        track = next((track for track in self.wanted.values() if self._may_carry(mid, track)), None)
        if track is not None:
            del self.wanted[track.sid]
        return track

    def _may_carry(self, mid: str, track: PublishedTrack) -> bool:
        """Clients report a track once for each section and stream id: the same track needs another section."""
        return self._carried_sid.get(mid) != track.sid

    def _end_publication(self, mid: str, outcome: Outcome) -> None:
        publication = self._published.pop(mid, None)
        if publication is not None:
            outcome.ended.append(publication)

    def _drop_vanished(self, mids: set[str], outcome: Outcome) -> None:
        """JSEP never drops a section; a client that does loses what it carried, and a subscription is wanted anew."""
        for mid in self._published.keys() - mids:
            self._end_publication(mid, outcome)
        for mid in self._subscribed.keys() - mids:
            subscription = self._subscribed.pop(mid)
            self.wanted[subscription.track.sid] = subscription.track
            outcome.unsubscribed.append(subscription)
        self._carried_sid = {mid: sid for mid, sid in self._carried_sid.items() if mid in mids}
