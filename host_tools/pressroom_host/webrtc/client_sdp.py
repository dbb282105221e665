"""SDP of a client: its offer, what a server answers; and, as LiveKit's version 0 has it, the other way round. No I/O.

Sections are never reordered or removed: one that is done with becomes inactive (RFC 8829 section 5.2.2).
Source: RFC 8829 (JSEP), RFC 8843 (BUNDLE), RFC 8839 (ICE), RFC 8841 (SCTP), RFC 8830 (msid), RFC 6464 (audio level).
"""

from dataclasses import dataclass

from . import sdp_lines
from .client_peer import ClientPeer, RemoteEnd
from .sdp import MAX_MESSAGE_BYTES, OPUS_PARAMETERS, SCTP_PORT
from .sdp_lines import ICE_PWD, ICE_UFRAG, TOKEN, Lines, SdpError, matched
from .send_stream import AUDIO_LEVEL_ID

OPUS_PAYLOAD_TYPE = 111
DATA_MID = "data"
_AUDIO_LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
_ANY = "0.0.0.0"


@dataclass(frozen=True, slots=True)
class ClientSection:
    """One m= section for audio. direction: sendonly (then track_id and ssrc are ours), recvonly or inactive."""

    mid: str
    direction: str
    track_id: str = ""
    ssrc: int = 0


@dataclass(frozen=True, slots=True)
class RemoteSection:
    """One section of the server's description, its direction as the server sees it."""

    kind: str
    mid: str
    direction: str
    ssrcs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RemoteDescription:
    """What the server's answer, or in version 0 its offer, says."""

    end: RemoteEnd
    sections: tuple[RemoteSection, ...]


def write_offer(peer: ClientPeer, session_id: int, version: int, sections: list[ClientSection]) -> str:
    """Return an offer: a section for data, then these. version rises with every description of a peer."""
    mids = [DATA_MID, *(section.mid for section in sections)]
    lines = _session_lines(session_id, version, mids)
    lines += [*_data_lines(DATA_MID), *_transport_lines(peer, "actpass"), *_candidate_lines(peer)]
    for section in sections:
        lines += [*_audio_lines(section), *_transport_lines(peer, "actpass")]
    return "\r\n".join(lines) + "\r\n"


def write_answer(peer: ClientPeer, session_id: int, version: int, offered: tuple[RemoteSection, ...]) -> str:
    """Return the answer to a server's offer (version 0): we hear its audio, and nothing else."""
    lines = _session_lines(session_id, version, [section.mid for section in offered])
    for section in offered:
        if section.kind == "application":
            lines += _data_lines(section.mid)
        elif section.kind == "audio":
            is_sent = section.direction in ("sendonly", "sendrecv")
            lines += _audio_lines(ClientSection(section.mid, "recvonly" if is_sent else "inactive"))
        else:
            lines += [
                f"m={section.kind} 0 UDP/TLS/RTP/SAVPF 0",
                f"c=IN IP4 {_ANY}",
                f"a=mid:{section.mid}",
                "a=inactive",
            ]
        lines += [*_transport_lines(peer, "passive"), *_candidate_lines(peer)]
    return "\r\n".join(lines) + "\r\n"


def parse_remote(text: str) -> RemoteDescription:
    """Return what a server's answer or offer says. Raises SdpError."""
    session, *sections = sdp_lines.split(text)
    if not sections:
        raise SdpError("SDP: no m= section")
    everywhere = (session, *sections)
    setup = sdp_lines.first(everywhere, "setup")
    if setup not in ("active", "passive", "actpass"):
        raise SdpError(f"SDP: setup is {setup!r:.40}")
    sctp_port, max_message_bytes = sdp_lines.data_section(sections)
    values = [(key, value) for part in everywhere for key, value in part.attributes]
    end = RemoteEnd(
        ice_ufrag=matched(ICE_UFRAG, sdp_lines.first(everywhere, "ice-ufrag"), "ice-ufrag"),
        ice_pwd=matched(ICE_PWD, sdp_lines.first(everywhere, "ice-pwd"), "ice-pwd"),
        is_lite=any(key == "ice-lite" for key, _ in values),
        fingerprints=sdp_lines.fingerprints(everywhere),
        is_dtls_client=setup != "passive",
        sctp_port=sctp_port,
        max_message_bytes=min(max_message_bytes or MAX_MESSAGE_BYTES, MAX_MESSAGE_BYTES),
        candidates=tuple(dict.fromkeys(value for key, value in values if key == "candidate")),
        has_all_candidates=any(key == "end-of-candidates" for key, _ in values),
    )
    return RemoteDescription(end, tuple(_parse_section(lines) for lines in sections))


def _parse_section(lines: Lines) -> RemoteSection:
    mid = matched(TOKEN, lines.first("mid"), "mid")
    return RemoteSection(lines.media[0], mid, sdp_lines.direction(lines), sdp_lines.ssrcs(lines))


def _session_lines(session_id: int, version: int, mids: list[str]) -> list[str]:
    return [
        "v=0",
        f"o=- {session_id} {version} IN IP4 {_ANY}",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE " + " ".join(mids),
        "a=msid-semantic: WMS *",
    ]


def _transport_lines(peer: ClientPeer, setup: str) -> list[str]:
    algorithm, value = peer.fingerprint
    return [
        f"a=ice-ufrag:{peer.ice.ufrag}",
        f"a=ice-pwd:{peer.ice.password}",
        "a=ice-options:trickle",
        f"a=fingerprint:{algorithm} {value}",
        f"a=setup:{setup}",
    ]


def _candidate_lines(peer: ClientPeer) -> list[str]:
    return [*(f"a=candidate:{candidate}" for candidate in peer.ice.candidates()), "a=end-of-candidates"]


def _data_lines(mid: str) -> list[str]:
    return [
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        f"c=IN IP4 {_ANY}",
        f"a=mid:{mid}",
        f"a=sctp-port:{SCTP_PORT}",
        f"a=max-message-size:{MAX_MESSAGE_BYTES}",
    ]


def _audio_lines(section: ClientSection) -> list[str]:
    lines = [
        f"m=audio 9 UDP/TLS/RTP/SAVPF {OPUS_PAYLOAD_TYPE}",
        f"c=IN IP4 {_ANY}",
        f"a=mid:{section.mid}",
        f"a={section.direction}",
        "a=rtcp-mux",
        f"a=rtpmap:{OPUS_PAYLOAD_TYPE} opus/48000/2",
        f"a=fmtp:{OPUS_PAYLOAD_TYPE} {OPUS_PARAMETERS}",
        f"a=rtcp-fb:{OPUS_PAYLOAD_TYPE} nack",
    ]
    if section.direction == "sendonly":
        lines += [
            f"a=extmap:{AUDIO_LEVEL_ID} {_AUDIO_LEVEL}",
            f"a=msid:{section.track_id} {section.track_id}",
            f"a=ssrc:{section.ssrc} cname:{section.track_id}",
            f"a=ssrc:{section.ssrc} msid:{section.track_id} {section.track_id}",
        ]
    return lines
