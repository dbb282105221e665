"""SDP of a server that only answers: read a client's offer, write the answer. No I/O.

All sections share one transport (BUNDLE), RTCP is multiplexed, the server is ICE-lite and the DTLS server. Of the
codecs only Opus is taken; header extensions, feedback and candidates of the client are left unanswered.
Source: RFC 8866 (SDP), RFC 8829 (JSEP), RFC 8843 (BUNDLE), RFC 8839 (ICE), RFC 8841 (SCTP), RFC 8830 (msid).
"""

import re
from dataclasses import dataclass, field

_MAX_BYTES = 262_144
_MAX_LINE_CHARS = 4_096
_MAX_SECTIONS = 256
_DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`{|}~0-9A-Za-z]{1,64}")  # RFC 8866 section 9, "token"
_ICE_UFRAG = re.compile(r"[A-Za-z0-9+/]{4,256}")  # RFC 8839 section 5.4
_CODEC = re.compile(r"[0-9A-Za-z./\-]{1,64}")
_FINGERPRINT = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){15,63}")
_TRACK_ID = re.compile(r"[!-~]{1,256}")
_OPUS = re.compile(r"opus/48000(/\d)?", re.IGNORECASE)  # RFC 7587 section 7
_OPUS_PARAMETERS = "minptime=10;useinbandfec=1"
_DEFAULT_MAX_MESSAGE_BYTES = 65_536  # RFC 8841 section 6.1
MAX_MESSAGE_BYTES = 262_144  # what we take on a data channel
SCTP_PORT = 5_000


class SdpError(ValueError):
    """An offer that cannot be answered; the text says which line or what is missing."""


@dataclass(frozen=True, slots=True)
class OfferedSection:
    """One m= section of an offer.

    payload_type, codec: Opus if an audio section offers it, else the first one. codec may be "" (a static type).
    track_id, ssrcs: what the client sends in it, from msid and ssrc lines.
    """

    kind: str
    mid: str
    direction: str
    payload_type: int
    codec: str
    track_id: str
    ssrcs: tuple[int, ...]

    @property
    def has_opus(self) -> bool:
        """True if this section can carry what a room forwards."""
        return self.kind == "audio" and _OPUS.fullmatch(self.codec) is not None


@dataclass(frozen=True, slots=True)
class Offer:
    """A client's offer. sctp_port is 0 without a data section."""

    ice_ufrag: str
    fingerprints: tuple[tuple[str, str], ...]
    sctp_port: int
    max_message_bytes: int
    sections: tuple[OfferedSection, ...]


@dataclass(frozen=True, slots=True)
class Transport:
    """Our end of the one transport."""

    host: str
    port: int
    ice_ufrag: str
    ice_pwd: str
    fingerprint: tuple[str, str]


@dataclass(frozen=True, slots=True)
class SentTrack:
    """What the server sends in a section; LiveKit's clients read participant and track from the stream id."""

    ssrc: int
    stream_id: str
    track_id: str


@dataclass(frozen=True, slots=True)
class AnsweredSection:
    """How one offered section is answered: direction as seen by the server."""

    offered: OfferedSection
    direction: str
    sent: SentTrack | None = None


@dataclass(slots=True)
class _Lines:
    """The lines of the session part or of one section."""

    media: list[str] = field(default_factory=list)  # fields of the m= line; empty for the session part
    attributes: list[tuple[str, str]] = field(default_factory=list)

    def first(self, name: str) -> str:
        return next((value for key, value in self.attributes if key == name), "")


def parse_offer(text: str) -> Offer:
    """Return what an answer needs to know of the offer. Raises SdpError."""
    session, *sections = _split(text)
    if not sections:
        raise SdpError("offer: no m= section")
    offered = tuple(_parse_section(lines) for lines in sections)
    mids = {section.mid for section in offered}
    if len(mids) != len(offered):
        raise SdpError("offer: two sections with the same mid")
    everywhere = (session, *sections)
    if _first(everywhere, "setup") not in ("actpass", "active"):  # RFC 5763 section 5
        raise SdpError("offer: setup must be actpass or active, because this server is passive")
    data = next((lines for lines in sections if lines.media[0] == "application"), _Lines())
    return Offer(
        ice_ufrag=_matched(_ICE_UFRAG, _first(everywhere, "ice-ufrag"), "ice-ufrag"),
        fingerprints=_fingerprints(everywhere),
        sctp_port=_number(data.first("sctp-port") or "0", 65_535, "sctp-port"),
        max_message_bytes=_number(data.first("max-message-size") or str(_DEFAULT_MAX_MESSAGE_BYTES), 2**32, "size"),
        sections=offered,
    )


def write_answer(transport: Transport, version: int, sections: list[AnsweredSection]) -> str:
    """Return the answer, one section for each offered and in that order. version rises with every answer of a peer."""
    lines = [
        "v=0",
        f"o=- 1 {version} IN IP4 {transport.host}",
        "s=-",
        "t=0 0",
        "a=ice-lite",
        "a=group:BUNDLE " + " ".join(section.offered.mid for section in sections),
        "a=msid-semantic: WMS *",
    ]
    for section in sections:
        lines += _data_lines(transport, section) if _is_data(section) else _media_lines(transport, section)
        lines += [
            f"a=ice-ufrag:{transport.ice_ufrag}",
            f"a=ice-pwd:{transport.ice_pwd}",
            f"a=fingerprint:{transport.fingerprint[0]} {transport.fingerprint[1]}",
            "a=setup:passive",
        ]
        if section is sections[0]:
            lines += [
                f"a=candidate:1 1 udp 2130706431 {transport.host} {transport.port} typ host generation 0",
                "a=end-of-candidates",
            ]
    return "\r\n".join(lines) + "\r\n"


def _data_lines(transport: Transport, section: AnsweredSection) -> list[str]:
    return [
        f"m=application {transport.port} UDP/DTLS/SCTP webrtc-datachannel",
        f"c=IN IP4 {transport.host}",
        f"a=mid:{section.offered.mid}",
        f"a=sctp-port:{SCTP_PORT}",
        f"a=max-message-size:{MAX_MESSAGE_BYTES}",
    ]


def _media_lines(transport: Transport, section: AnsweredSection) -> list[str]:
    offered = section.offered
    lines = [
        f"m={offered.kind} {transport.port} UDP/TLS/RTP/SAVPF {offered.payload_type}",
        f"c=IN IP4 {transport.host}",
        f"a=mid:{offered.mid}",
        f"a={section.direction}",
        "a=rtcp-mux",
    ]
    if offered.codec:
        lines.append(f"a=rtpmap:{offered.payload_type} {offered.codec}")
    if offered.has_opus:
        lines.append(f"a=fmtp:{offered.payload_type} {_OPUS_PARAMETERS}")
    if section.sent:
        sent = section.sent
        lines += [
            f"a=msid:{sent.stream_id} {sent.track_id}",
            f"a=ssrc:{sent.ssrc} cname:{sent.stream_id}",
            f"a=ssrc:{sent.ssrc} msid:{sent.stream_id} {sent.track_id}",
        ]
    return lines


def _is_data(section: AnsweredSection) -> bool:
    return section.offered.kind == "application"


def _split(text: str) -> list[_Lines]:
    if len(text) > _MAX_BYTES:
        raise SdpError(f"offer: {len(text)} characters, at most {_MAX_BYTES} are read")
    parts = [_Lines()]
    for line in text.replace("\r\n", "\n").split("\n"):
        if len(line) > _MAX_LINE_CHARS:
            raise SdpError(f"offer: a line of {len(line)} characters, at most {_MAX_LINE_CHARS} are read")
        if line.startswith("m="):
            if len(parts) > _MAX_SECTIONS:
                raise SdpError(f"offer: more than {_MAX_SECTIONS} sections")
            parts.append(_Lines(media=line[2:].split(" ")))
        elif line.startswith("a="):
            name, _, value = line[2:].partition(":")
            parts[-1].attributes.append((name, value))
    return parts


def _parse_section(lines: _Lines) -> OfferedSection:
    if len(lines.media) < 4:
        raise SdpError("offer: an m= line with less than four fields")
    kind, _, protocol, *formats = lines.media
    mid = _matched(_TOKEN, lines.first("mid"), "mid")
    if kind == "application":
        if "SCTP" not in protocol:
            raise SdpError(f"offer: section {mid} of protocol {protocol!r:.40}, expected SCTP")
        return OfferedSection(kind, mid, "sendrecv", 0, "", "", ())
    if kind not in ("audio", "video"):
        raise SdpError(f"offer: section {mid} of kind {kind!r:.40}, expected audio, video or application")
    payload_type, codec = _chosen_codec(kind, formats, lines)
    ssrcs = {_number(value.split(" ")[0], 2**32 - 1, "ssrc") for key, value in lines.attributes if key == "ssrc"}
    return OfferedSection(
        kind=kind,
        mid=mid,
        direction=next((key for key, _ in lines.attributes if key in _DIRECTIONS), "sendrecv"),
        payload_type=payload_type,
        codec=codec,
        track_id=_track_id(lines.first("msid")),
        ssrcs=tuple(sorted(ssrcs)),
    )


def _chosen_codec(kind: str, formats: list[str], lines: _Lines) -> tuple[int, str]:
    codecs = dict.fromkeys((_number(number, 127, "payload type") for number in formats), "")
    for key, value in lines.attributes:
        if key == "rtpmap":
            number, _, codec = value.partition(" ")
            payload_type = _number(number, 127, "payload type")
            if payload_type in codecs:
                codecs[payload_type] = _matched(_CODEC, codec, "rtpmap")
    for payload_type, codec in codecs.items():
        if kind == "audio" and _OPUS.fullmatch(codec):
            return payload_type, codec
    return next(iter(codecs.items()))


def _track_id(msid: str) -> str:
    """Return the second word of an msid line: in LiveKit the cid of the AddTrackRequest."""
    words = msid.split(" ")
    return words[1] if len(words) > 1 and _TRACK_ID.fullmatch(words[1]) else ""


def _fingerprints(parts: tuple[_Lines, ...]) -> tuple[tuple[str, str], ...]:
    """Return every different fingerprint as (algorithm, value); the client must have one certificate only."""
    found = {}
    for part in parts:
        for key, value in part.attributes:
            if key == "fingerprint":
                algorithm, _, digest = value.partition(" ")
                found[algorithm.lower()[:16]] = _matched(_FINGERPRINT, digest, "fingerprint")
    if not found:
        raise SdpError("offer: no fingerprint")
    return tuple(found.items())


def _first(parts: tuple[_Lines, ...], name: str) -> str:
    return next((value for part in parts if (value := part.first(name))), "")


def _matched(pattern: re.Pattern[str], text: str, what: str) -> str:
    if not pattern.fullmatch(text):
        raise SdpError(f"offer: {what} is {text!r:.40}")
    return text


def _number(text: str, highest: int, what: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) <= highest):
        raise SdpError(f"offer: {what} is {text!r:.40}, expected 0 to {highest}")
    return int(text)
