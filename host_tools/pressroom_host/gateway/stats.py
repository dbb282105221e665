"""What a gateway counts for each Session: everything that was dropped stands here, by its reason."""

from dataclasses import dataclass, fields


@dataclass(slots=True)
class SessionStats:
    """Counters of one Session, over all its links. up: from the device; dn: to it."""

    n_links: int = 0
    n_up_passed: int = 0  # packets of audio that went to the room as they came
    n_up_transcoded: int = 0  # those that were decoded and encoded
    n_up_bytes: int = 0  # of audio in both, as the device sent them
    n_up_inside: int = 0  # of them inside the WebSocket
    n_up_lost: int = 0  # never came, or more than one packet late
    n_up_cut: int = 0  # frames' time of a talk that went by while one link was lost and the next not there
    n_up_late: int = 0  # of a talk that is over, or twice
    n_up_muted: int = 0  # not said to anybody: no mute message opened a talk for them
    n_up_malformed: int = 0  # authentic, but not what was agreed on
    n_up_unpublished: int = 0  # the token does not let this device speak
    n_forged: int = 0  # SRTP tag wrong
    n_replayed: int = 0
    n_keepalives: int = 0
    n_relatched: int = 0  # the device's address has changed
    n_dn_passed: int = 0  # packets of audio that went to the device as a talker sent them
    n_dn_transcoded: int = 0  # those that were decoded, mixed and encoded
    n_dn_inside: int = 0  # of them inside the WebSocket
    n_dn_not_sent: int = 0  # no link, or it takes nothing
    n_dn_concealed: int = 0  # frames made up for packets that were lost on their way from a talker
    n_dn_late: int = 0  # packets of talkers after their turn, or twice
    n_dn_malformed: int = 0
    n_dn_dropped: int = 0  # frames of a talker that ran ahead of the others
    n_dn_flushed: int = 0
    n_messages_too_long: int = 0  # for the device
    n_messages_refused: int = 0  # data or calls the device cannot be given, or may not make
    n_left_out: int = 0  # participants, tracks, talkers or calls beyond what is kept for one device

    @property
    def n_up_packets(self) -> int:
        """Audio, forwarded to the room."""
        return self.n_up_passed + self.n_up_transcoded

    @property
    def n_dn_frames(self) -> int:
        """Audio, sent to the device."""
        return self.n_dn_passed + self.n_dn_transcoded

    def as_dict(self) -> dict[str, int]:
        """Return all counters by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def nonzero(self) -> dict[str, int]:
        """Return what a log line shows."""
        return {name: value for name, value in self.as_dict().items() if value}
