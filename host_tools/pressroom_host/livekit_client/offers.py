"""What this client offers on its one peer connection: a section for data, for what it hears and what it says. No I/O.

Sections are only ever added. The server says how many more it needs for what it wants to send.
"""

import secrets

from pressroom_host.webrtc.client_peer import ClientPeer
from pressroom_host.webrtc.client_sdp import ClientSection, write_offer
from pressroom_host.webrtc.send_stream import SendStream

from .publication import Publication

_N_FIRST_SLOTS = 3  # for tracks of others
_MAX_SECTIONS = 200


class Offers:
    """One offer at a time: after `next`, `is_awaited` until `answered`. last, n_offers: text and id of the newest."""

    def __init__(self) -> None:
        self.n_offers = 0
        self.last = ""
        self.is_awaited = False
        self.is_wanted = False  # another one, after the answer
        self._session_id = secrets.randbits(60)
        self._sections: list[ClientSection] = []

    def add_first_slots(self) -> None:
        """Make room for some tracks of others; nothing happens the second time."""
        if not any(section.direction == "recvonly" for section in self._sections):
            self.add_slots(_N_FIRST_SLOTS)

    def add_slots(self, n_more: int) -> None:
        """Make room for more tracks of others, within bounds."""
        for _ in range(min(n_more, _MAX_SECTIONS - len(self._sections))):
            self._sections.append(ClientSection(f"r{len(self._sections)}", "recvonly"))

    def drop_slots(self) -> None:
        """Version 0 has another connection for the tracks of others. Only before an offer has reached the server."""
        self._sections = [section for section in self._sections if section.direction == "sendonly"]

    def add_publication(self, publication: Publication, sender: SendStream) -> None:
        """Give a publication a section for its stream."""
        publication.mid = f"p{len(self._sections)}"
        self._sections.append(ClientSection(publication.mid, "sendonly", publication.cid, sender.ssrc))

    def end_publication(self, publication: Publication) -> None:
        """Its section becomes inactive."""
        self._sections = [
            ClientSection(section.mid, "inactive") if section.mid == publication.mid else section
            for section in self._sections
        ]

    def next(self, peer: ClientPeer) -> str:
        """Return the next offer."""
        self.is_awaited, self.is_wanted = True, False
        self.n_offers += 1
        self.last = write_offer(peer, self._session_id, self.n_offers, self._sections)
        return self.last

    def answered(self, offer_id: int) -> bool:
        """An answer came; return whether it is to the last offer (0: the server does not say)."""
        if not self.is_awaited or offer_id not in (0, self.n_offers):
            return False
        self.is_awaited = False
        return True
