"""One line of key=value for each thing worth knowing; the first key is the Session."""

from ..wire.port import const
from ..wire.seq import ms_between

_WINDOW_MS = const(1_000)
_MAX_LINES = const(20)  # a second: a serial port at 115200 baud would hold up the audio for longer ones


class Log:
    """Writes lines, and drops those that come too thick; how many is on the next one. write: as print."""

    def __init__(self, write):
        self.session = "-"
        self._write = write
        self._since_ms = 0
        self._n_lines = 0
        self._n_dropped = 0

    def line(self, text, now_ms):
        """Write `ses=... text`. Never a key or a token."""
        if not 0 <= ms_between(self._since_ms, now_ms) < _WINDOW_MS:
            self._since_ms = now_ms
            self._n_lines = 0
        if self._n_lines >= _MAX_LINES:
            self._n_dropped += 1
            return
        self._n_lines += 1
        if self._n_dropped:
            text = "%s n_log_dropped=%d" % (text, self._n_dropped)
            self._n_dropped = 0
        self._write("ses=%s %s" % (self.session, text))


def quoted(text):
    """Return text as the value of a key: in quotes, on one line, not endless."""
    return '"%s"' % str(text)[:200].replace('"', "'").replace("\n", " ")
