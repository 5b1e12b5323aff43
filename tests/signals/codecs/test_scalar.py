"""One number a topic."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.mapping import ScalarMapping
from signals.block import DecodeError
from signals.codecs import ScalarDecoder


def _decoder(*topics: str, **mapping: Any) -> ScalarDecoder:
    return ScalarDecoder(ScalarMapping.model_validate(mapping), topics or ["{device}/{channel}"], ["co2", "door"])


@pytest.mark.parametrize(
    ("payload", "value"),
    [
        (b"21", 21.0),
        (b"-1.5e-3", -0.0015),
        (b"+.5", 0.5),
        (b"7.", 7.0),
        (b" 3 \r\n", 3.0),
        (b"ON", 1.0),
        (b"nan", -1.0),
    ],
)
def test_text_is_its_number(payload: bytes, value: float) -> None:
    (block,) = _decoder(values={"ON": 1.0, "nan": -1.0}).decode("attic/co2", payload)
    assert (block.device, block.channels) == ("attic", (0,))
    assert block.values.tolist() == [[pytest.approx(value)]]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"nan", "missing_field"),
        (b"None", "missing_field"),
        (b"unavailable", "missing_field"),
        (b"", "missing_field"),
        (b"inf", "not_finite"),
        (b"-Infinity", "not_finite"),
        (b"1e39", "not_finite"),
        (b"1e999", "not_finite"),
        (b"1" + b"0" * 200, "not_finite"),
        (b"21.5 C", "not_a_number"),
        (b"1_000", "not_a_number"),
        (b"1,5", "not_a_number"),
        (b"0x10", "not_a_number"),
        (b"on", "not_a_number"),
        (b'{"x":1}', "not_a_number"),
        ("٣".encode(), "not_a_number"),
        (b"1" * 100_000, "not_a_number"),
        (b"\xff\xfe1", "not_text"),
        (b"\xed\xa0\x80", "not_text"),
    ],
)
def test_text_that_is_no_number_is_refused(payload: bytes, reason: str) -> None:
    with pytest.raises(DecodeError) as refusal:
        _decoder(values={"ON": 1.0}).decode("attic/co2", payload)
    assert refusal.value.reason == reason
    assert len(str(refusal.value)) < 200


def test_channel_is_renamed_and_one_the_model_does_not_have_is_left_alone() -> None:
    decoder = _decoder(channels={"co2": "carbon_dioxide", "door": "front", "spare": "x"})
    assert decoder.decode("attic/carbon_dioxide", b"400")[0].channels == (0,)
    assert decoder.decode("attic/front", b"1")[0].channels == (1,)
    for other in ("co2", "x", "uptime", ""):
        assert decoder.decode(f"attic/{other}", b"no number at all") == []


def test_fixed_channel_serves_the_topics_that_name_none() -> None:
    decoder = _decoder("{device}/door", "{device}/sensor/{channel}", channel="door")
    assert decoder.decode("attic/door", b"1")[0].channels == (1,)
    assert decoder.decode("attic/sensor/co2", b"1")[0].channels == (0,)


def test_topic_without_a_device_is_refused() -> None:
    with pytest.raises(DecodeError, match="bad_device"):
        _decoder().decode("/co2", b"1")
    with pytest.raises(DecodeError, match="bad_topic"):
        _decoder().decode("attic", b"1")
