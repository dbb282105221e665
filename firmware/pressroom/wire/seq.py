"""Numbers that wrap: the clock (2**30 ms), sequence numbers (16 bits), RTP timestamps (32 bits). No I/O.

The only file that subtracts them. What is called for each packet keeps to small integers, which end at 2**30 - 1 on the
chip; the functions of timestamps make objects there and are for messages.
"""

from .port import const

_MS_MASK = const(0x3FFFFFFF)
_HALF_MS = const(0x20000000)
_SEQ_MASK = const(0xFFFF)
_HALF_SEQ = const(0x8000)


def ms_between(earlier_ms: int, later_ms: int) -> int:
    """Milliseconds from earlier to later; negative if it is the other way round."""
    ahead_ms = (later_ms - earlier_ms) & _MS_MASK
    if ahead_ms < _HALF_MS:
        return ahead_ms
    return ahead_ms - _HALF_MS - _HALF_MS  # twice: 2**30 itself would be an object on the chip


def ms_after(now_ms: int, delta_ms: int) -> int:
    """The time delta_ms after now_ms, or before it where delta_ms is negative."""
    if delta_ms < 0:
        return (now_ms + delta_ms) & _MS_MASK
    return (now_ms - _HALF_MS - _HALF_MS + delta_ms) & _MS_MASK  # the sum alone may pass 2**30


def seq_between(earlier: int, later: int) -> int:
    """Packets from the sequence number earlier to later, -32768 to 32767."""
    ahead = (later - earlier) & _SEQ_MASK
    return ahead if ahead < _HALF_SEQ else ahead - 0x10000


def seq_after(seq: int, n_packets: int) -> int:
    """The sequence number n_packets after seq."""
    return (seq + n_packets) & _SEQ_MASK


def timestamp_between(earlier: int, later: int) -> int:
    """Clock ticks from the RTP timestamp earlier to later, signed."""
    ahead = (later - earlier) & 0xFFFFFFFF
    return ahead if ahead < 0x80000000 else ahead - 0x100000000


def timestamp_after(timestamp: int, n_ticks: int) -> int:
    """The RTP timestamp n_ticks after timestamp."""
    return (timestamp + n_ticks) & 0xFFFFFFFF
