"""Lines of SDP: split into sections, and the values every reader of them needs. No I/O.

Source: RFC 8866 (SDP), RFC 8839 (ICE), RFC 8122 (fingerprints).
"""

import re
from dataclasses import dataclass, field

_MAX_BYTES = 262_144
_MAX_LINE_CHARS = 4_096
_MAX_SECTIONS = 256
TOKEN = re.compile(r"[!#$%&'*+\-.^_`{|}~0-9A-Za-z]{1,64}")  # RFC 8866 section 9, "token"
ICE_UFRAG = re.compile(r"[A-Za-z0-9+/]{4,256}")  # RFC 8839 section 5.4
ICE_PWD = re.compile(r"[A-Za-z0-9+/]{22,256}")
_FINGERPRINT = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){15,63}")
DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
DEFAULT_MAX_MESSAGE_BYTES = 65_536  # RFC 8841 section 6.1


class SdpError(ValueError):
    """A description that cannot be used; the text says which line or what is missing."""


@dataclass(slots=True)
class Lines:
    """The lines of the session part or of one section. media: fields of the m= line; empty for the session part."""

    media: list[str] = field(default_factory=list)
    attributes: list[tuple[str, str]] = field(default_factory=list)

    def first(self, name: str) -> str:
        """Return the first value of this attribute; "" if there is none."""
        return next((value for key, value in self.attributes if key == name), "")


def split(text: str) -> list[Lines]:
    """Return the lines of the session part and then of each section. Raises SdpError."""
    if len(text) > _MAX_BYTES:
        raise SdpError(f"SDP: {len(text)} characters, at most {_MAX_BYTES} are read")
    parts = [Lines()]
    for line in text.replace("\r\n", "\n").split("\n"):
        if len(line) > _MAX_LINE_CHARS:
            raise SdpError(f"SDP: a line of {len(line)} characters, at most {_MAX_LINE_CHARS} are read")
        if line.startswith("m="):
            if len(parts) > _MAX_SECTIONS:
                raise SdpError(f"SDP: more than {_MAX_SECTIONS} sections")
            parts.append(Lines(media=line[2:].split(" ")))
        elif line.startswith("a="):
            name, _, value = line[2:].partition(":")
            parts[-1].attributes.append((name, value))
    return parts


def fingerprints(parts: tuple[Lines, ...]) -> tuple[tuple[str, str], ...]:
    """Return every different fingerprint as (algorithm, value); a peer has one certificate only. Raises SdpError."""
    found = {}
    for part in parts:
        for key, value in part.attributes:
            if key == "fingerprint":
                algorithm, _, digest = value.partition(" ")
                found[algorithm.lower()[:16]] = matched(_FINGERPRINT, digest, "fingerprint")
    if not found:
        raise SdpError("SDP: no fingerprint")
    return tuple(found.items())


def first(parts: tuple[Lines, ...], name: str) -> str:
    """Return the first value of this attribute in any part; "" if there is none."""
    return next((value for part in parts if (value := part.first(name))), "")


def matched(pattern: re.Pattern[str], text: str, what: str) -> str:
    """Return text if it is of this pattern. Raises SdpError."""
    if not pattern.fullmatch(text):
        raise SdpError(f"SDP: {what} is {text!r:.40}")
    return text


def number(text: str, highest: int, what: str) -> int:
    """Return text as a number from 0 to highest. Raises SdpError."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) <= highest):
        raise SdpError(f"SDP: {what} is {text!r:.40}, expected 0 to {highest}")
    return int(text)


def data_section(sections: list[Lines]) -> tuple[int, int]:
    """Return (SCTP port, longest message in bytes) of the section for data; port 0 if there is none."""
    data = next((lines for lines in sections if lines.media[0] == "application"), Lines())
    max_bytes = data.first("max-message-size") or str(DEFAULT_MAX_MESSAGE_BYTES)
    return number(data.first("sctp-port") or "0", 65_535, "sctp-port"), number(max_bytes, 2**32, "max-message-size")


def direction(lines: Lines) -> str:
    """Return the direction of a section as its writer sees it."""
    return next((key for key, _ in lines.attributes if key in DIRECTIONS), "sendrecv")


def ssrcs(lines: Lines) -> tuple[int, ...]:
    """Return the SSRCs a section names, rising. Raises SdpError."""
    named = {number(value.split(" ")[0], 2**32 - 1, "ssrc") for key, value in lines.attributes if key == "ssrc"}
    return tuple(sorted(named))
