"""voice.log: lines are one line each, name the Session first, and never come too thick."""

from pressroom.voice.log import Log, quoted
from pressroom.wire.seq import ms_after

START_MS = (1 << 30) - 50


def at(ms):
    return ms_after(START_MS, ms)


def test_a_line_begins_with_the_session():
    lines = []
    log = Log(lines.append)
    log.line("state=connecting", at(0))
    log.session = "7f3a"
    log.line("talk=begin", at(1))
    assert lines == ["ses=- state=connecting", "ses=7f3a talk=begin"]


def test_twenty_lines_a_second_are_written_and_the_rest_is_counted():
    lines = []
    log = Log(lines.append)
    for i in range(30):
        log.line("n=%d" % i, at(i))
    assert len(lines) == 20
    log.line("n=30", at(1_001))
    assert lines[-1] == "ses=- n=30 n_log_dropped=10"
    log.line("n=31", at(1_002))
    assert lines[-1] == "ses=- n=31"


def test_foreign_text_stays_one_short_line():
    assert quoted('say "hi"\nthen go') == "\"say 'hi' then go\""
    assert len(quoted("x" * 10_000)) == 202
