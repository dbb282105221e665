"""SDP of a server that only answers: read a client's offer, write the answer. No I/O.

All sections share one transport (BUNDLE), RTCP is multiplexed, the server is ICE-lite and the DTLS server. Of the
codecs only Opus is taken; header extensions, feedback and candidates of the client are left unanswered.
Source: RFC 8866 (SDP), RFC 8829 (JSEP), RFC 8843 (BUNDLE), RFC 8839 (ICE), RFC 8841 (SCTP), RFC 8830 (msid).
"""

import re
from dataclasses import dataclass

from . import sdp_lines
from .sdp_lines import ICE_UFRAG, TOKEN, Lines, SdpError, matched, number

_CODEC = re.compile(r"[0-9A-Za-z./\-]{1,64}")
_TRACK_ID = re.compile(r"[!-~]{1,256}")
_OPUS = re.compile(r"opus/48000(/\d)?", re.IGNORECASE)  # RFC 7587 section 7
OPUS_PARAMETERS = "minptime=10;useinbandfec=1"
MAX_MESSAGE_BYTES = 262_144  # what we take on a data channel
SCTP_PORT = 5_000


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


def parse_offer(text: str) -> Offer:
    """Return what an answer needs to know of the offer. Raises SdpError."""
    session, *sections = sdp_lines.split(text)
    if not sections:
        raise SdpError("SDP: no m= section")
    offered = tuple(_parse_section(lines) for lines in sections)
    mids = {section.mid for section in offered}
    if len(mids) != len(offered):
        raise SdpError("SDP: two sections with the same mid")
    everywhere = (session, *sections)
    if sdp_lines.first(everywhere, "setup") not in ("actpass", "active"):  # RFC 5763 section 5
        raise SdpError("SDP: setup must be actpass or active, because this server is passive")
    sctp_port, max_message_bytes = sdp_lines.data_section(sections)
    return Offer(
        ice_ufrag=matched(ICE_UFRAG, sdp_lines.first(everywhere, "ice-ufrag"), "ice-ufrag"),
        fingerprints=sdp_lines.fingerprints(everywhere),
        sctp_port=sctp_port,
        max_message_bytes=max_message_bytes,
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
        lines.append(f"a=fmtp:{offered.payload_type} {OPUS_PARAMETERS}")
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


def _parse_section(lines: Lines) -> OfferedSection:
    if len(lines.media) < 4:
        raise SdpError("SDP: an m= line with less than four fields")
    kind, _, protocol, *formats = lines.media
    mid = matched(TOKEN, lines.first("mid"), "mid")
    if kind == "application":
        if "SCTP" not in protocol:
            raise SdpError(f"SDP: section {mid} of protocol {protocol!r:.40}, expected SCTP")
        return OfferedSection(kind, mid, "sendrecv", 0, "", "", ())
    if kind not in ("audio", "video"):
        raise SdpError(f"SDP: section {mid} of kind {kind!r:.40}, expected audio, video or application")
    payload_type, codec = _chosen_codec(kind, formats, lines)
    return OfferedSection(
        kind=kind,
        mid=mid,
        direction=sdp_lines.direction(lines),
        payload_type=payload_type,
        codec=codec,
        track_id=_track_id(lines.first("msid")),
        ssrcs=sdp_lines.ssrcs(lines),
    )


def _chosen_codec(kind: str, formats: list[str], lines: Lines) -> tuple[int, str]:
    codecs = dict.fromkeys((number(text, 127, "payload type") for text in formats), "")
    for key, value in lines.attributes:
        if key == "rtpmap":
            text, _, codec = value.partition(" ")
            payload_type = number(text, 127, "payload type")
            if payload_type in codecs:
                codecs[payload_type] = matched(_CODEC, codec, "rtpmap")
    for payload_type, codec in codecs.items():
        if kind == "audio" and _OPUS.fullmatch(codec):
            return payload_type, codec
    return next(iter(codecs.items()))


def _track_id(msid: str) -> str:
    """Return the second word of an msid line: in LiveKit the cid of the AddTrackRequest."""
    words = msid.split(" ")
    return words[1] if len(words) > 1 and _TRACK_ID.fullmatch(words[1]) else ""
