"""A stream of RTP that comes: what was lost of it, what to ask for again, what a report says. No I/O.

Source: RFC 3550 appendix A.3 (losses), A.8 (jitter); RFC 4585 (generic NACK).
"""

from collections.abc import Callable

from .rtcp import ReceptionBlock

_MAX_MISSING = 64  # waited for; a longer hole is a stall, and late audio is worse than none
_RETRY_S = (0.0, 0.02, 0.06)  # when a packet is asked for, after it was missed
_MAX_DROPOUT = 3_000  # packets ahead; further, the stream has begun anew
_TICKS_PER_S = 48_000

Receiver = Callable[[bytes], None]


class ReceiveStream:
    """Made once an SSRC. receiver: takes every plain packet as it comes, once."""

    __slots__ = (
        *("ssrc", "n_received", "n_asked", "n_recovered", "_receiver", "_highest", "_base", "_missing", "_jitter"),
        *("_transit", "_n_expected_before", "_n_received_before", "_last_report", "_reported_at_s"),
    )

    def __init__(self, ssrc: int, receiver: Receiver) -> None:
        self.ssrc = ssrc
        self.n_received = 0
        self.n_asked = 0  # packets asked for again
        self.n_recovered = 0  # of them that came
        self._receiver = receiver
        self._highest = -1  # sequence number, extended by how often it went round
        self._base = 0
        self._missing: dict[int, tuple[int, float]] = {}  # seq -> (times asked, when it was missed)
        self._jitter = 0.0
        self._transit: int | None = None
        self._n_expected_before = 0
        self._n_received_before = 0
        self._last_report = 0
        self._reported_at_s = 0.0

    @property
    def has_missing(self) -> bool:
        """True if `due` has something to say, now or soon."""
        return bool(self._missing)

    @property
    def has_report(self) -> bool:
        """True once its sender has reported."""
        return self._last_report != 0

    def packet_came(self, packet: bytes, now_s: float) -> bool:
        """Hand a plain packet on; return whether a hole has opened before it."""
        seq = packet[2] << 8 | packet[3]
        self.n_received += 1
        highest = self._highest
        step = (seq - highest) & 0xFFFF
        if step == 1 and highest >= 0:  # as almost always
            self._highest = highest + 1
            self._receiver(packet)
            return False
        return self._place(packet, seq, step, now_s)

    def measure_jitter(self, packet: bytes, now_s: float) -> None:
        """Take the packet into the jitter (RFC 3550 section 6.4.1); one in a few is enough."""
        transit = round(now_s * _TICKS_PER_S) - int.from_bytes(packet[4:8], "big")
        if self._transit is not None:
            difference = ((transit - self._transit + 0x80000000) & 0xFFFFFFFF) - 0x80000000
            self._jitter += (abs(difference) - self._jitter) / 16
        self._transit = transit

    def due(self, now_s: float) -> list[int]:
        """Return the sequence numbers to ask for now, rising; each at most three times."""
        asked = []
        for seq, (n_times, missed_at_s) in list(self._missing.items()):
            if n_times == len(_RETRY_S):
                if now_s - missed_at_s > 2 * _RETRY_S[-1]:
                    del self._missing[seq]
            elif now_s - missed_at_s >= _RETRY_S[n_times]:
                self._missing[seq] = (n_times + 1, missed_at_s)
                self.n_asked += not n_times
                asked.append(seq)
        return asked

    def sender_reported(self, ntp_middle: int, now_s: float) -> None:
        """A sender report came; the next block says when."""
        self._last_report, self._reported_at_s = ntp_middle, now_s

    def block(self, now_s: float) -> ReceptionBlock:
        """Return what to report, and begin the next interval."""
        n_expected = self._highest + 1 - self._base if self._highest >= 0 else 0
        expected, received = n_expected - self._n_expected_before, self.n_received - self._n_received_before
        self._n_expected_before, self._n_received_before = n_expected, self.n_received
        fraction = min(255, max(0, expected - received) * 256 // expected) if expected > 0 else 0
        since = round((now_s - self._reported_at_s) * 65_536) if self._last_report else 0
        return ReceptionBlock(
            ssrc=self.ssrc,
            fraction_lost=fraction,
            n_lost=n_expected - self.n_received,
            highest_seq=max(0, self._highest) & 0xFFFFFFFF,
            jitter=int(self._jitter),
            last_report=self._last_report,
            since_last_report=min(since, 2**32 - 1),
        )

    def _place(self, packet: bytes, seq: int, step: int, now_s: float) -> bool:
        if self._highest < 0 or _MAX_DROPOUT <= step < 0x10000 - _MAX_DROPOUT:
            self._highest = self._base = seq
            self.n_received, self._n_expected_before, self._n_received_before = 1, 0, 0
            self._missing.clear()
            self._receiver(packet)
            return False
        if step >= _MAX_DROPOUT or not step:  # late or twice
            if self._missing.pop(seq, None) is not None:
                self.n_recovered += 1
                self._receiver(packet)
            elif step:
                self._receiver(packet)  # reordered further than is waited for
            return False
        for missed in range(max(1, step - _MAX_MISSING), step):
            if len(self._missing) >= _MAX_MISSING:
                break
            self._missing[(self._highest + missed) & 0xFFFF] = (0, now_s)
        self._highest += step
        self._receiver(packet)
        return True
