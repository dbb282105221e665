"""docs/link.md against the code that is its authority: every message has an example, and every example is a message."""

import json
import re
from pathlib import Path

from pressroom.wire import media_path, messages, reconnect, session

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "link.md").read_text()
EXAMPLES = re.findall(r"```json\n(.*?)\n```", PAGE, re.DOTALL)
TIME = re.compile(r"([\d.]+) (ms|s)\b")


def test_every_example_is_a_message_with_no_field_unknown():
    for example in EXAMPLES:
        assert messages.parse(example) == json.loads(example)  # an unknown field would be left out


def test_every_message_has_an_example():
    shown = {messages.parse(example)["t"] for example in EXAMPLES}
    assert shown == set(messages._FIELDS)  # the table is private to all but its page


def test_the_times_on_the_page_are_those_of_the_code():
    for sentence, times_ms in [
        ("2 s while it talks and every 15 s otherwise; two", [session._PING_TALKING_MS, session._PING_IDLE_MS]),
        ("the same Session back for 30 s", [session._KEPT_MS]),
        ("200 ms for 2 s, then", [media_path._PROBE_EVERY_MS, media_path._PROBE_FOR_MS]),
        ("then every 30 s | a keepalive is answered", [media_path._RETRY_EVERY_MS]),
        ("at once, then every 15 s; every", [media_path._IDLE_EVERY_MS]),
        ("every 200 ms after 1 s of silence", [media_path._PROBE_EVERY_MS, media_path._SILENT_MS]),
        ("2 s of silence while talking", [media_path._DEAD_MS]),
        ("first 30 s, one try takes at most 1 s", [reconnect._EAGER_FOR_MS, reconnect._EAGER_CONNECT_MS]),
        ("the next follows within 0.5 s", [reconnect._EAGER_WAIT_MS]),
        ("from 0.5 s to 15 s", [reconnect._PATIENT_WAIT_MS, reconnect._PATIENT_MAX_WAIT_MS]),
        ("or after 150 ms", [session._END_OF_TALK_MS]),
    ]:
        assert sentence in " ".join(PAGE.split())
        assert [int(float(n) * (1 if unit == "ms" else 1000)) for n, unit in TIME.findall(sentence)] == times_ms


def test_the_numbers_on_the_page_are_those_of_the_code():
    assert f"at most {messages.MAX_MESSAGE_BYTES} bytes" in PAGE
    assert f"`proto` is {messages.PROTO}." in PAGE
    assert session._MAX_UNANSWERED == 2
