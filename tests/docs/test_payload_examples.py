"""The examples of docs/payloads.md are true: each mapping is parsed, compiled and run on the messages shown."""

from pathlib import Path

import pytest

from tests.docs.payload_examples import Example, outcome, read_examples

PAGE = Path(__file__).resolve().parents[2] / "docs" / "payloads.md"
EXAMPLES = read_examples(PAGE)


@pytest.mark.parametrize("example", EXAMPLES, ids=[example.title for example in EXAMPLES])
def test_the_messages_give_what_the_page_shows(example: Example) -> None:
    assert example.messages
    assert example.shown == outcome(example)


def test_every_kind_of_sender_that_the_page_promises_is_there() -> None:
    titles = " ".join(example.title for example in EXAMPLES)
    for sender in ("Zigbee2MQTT", "Tasmota", "ESPHome", "Shelly", "Things Stack", "ChirpStack", "Binary"):
        assert sender in titles
