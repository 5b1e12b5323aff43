"""What a mapping must have before a decoder is made of it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from schemas.errors import ConfigError
from schemas.mapping import BinaryMapping, Mapping
from signals.codecs import BinaryDecoder, JsonDecoder, ScalarDecoder, compile_decoder

_MAPPING: TypeAdapter[Any] = TypeAdapter(Mapping)
X = {"x": "x"}


def _problems(mapping: dict[str, Any], topics: list[str], channels: list[str]) -> list[str]:
    with pytest.raises(ConfigError) as error:
        compile_decoder(_MAPPING.validate_python(mapping), topics, channels, 100.0)
    return error.value.problems


@pytest.mark.parametrize(
    ("mapping", "topics", "channels", "problems"),
    [
        (
            {"format": "json", "channels": {"accx": "a", "t": "b"}},
            ["{device}"],
            ["acc_x"],
            ["channels: channel 'acc_x' of the model expected; is it 'accx' here?"],
        ),
        (
            {"format": "json", "channels": X},
            ["{device}"],
            ["pressure"],
            ["channels: channel 'pressure' of the model expected; got 'x'"],
        ),
        (
            {"format": "json", "channels": X},
            ["{device}/a", "plant/b"],
            ["x"],
            ["topics: a {device} level in 'plant/b', or mapping.device (a path into the message), expected"],
        ),
        ({"format": "json", "channels": X, "device": "id"}, [], ["x"], ["topics: at least one expected, got none"]),
        (
            {"format": "scalar"},
            ["{device}/co2"],
            ["co2"],
            ["topics: a {channel} level in '{device}/co2', or mapping.channel, expected", "channels: channel 'co2'"],
        ),
        (
            {"format": "scalar", "channel": "co2"},
            ["co2"],
            ["co2", "door"],
            [
                "topics: a {device} level in 'co2', or a format",
                "channels: channel 'door' of the model expected; got 'co2'",
            ],
        ),
        (
            {"format": "scalar", "channels": {"a": "s", "b": "s"}, "values": {"ON": 1e39}},
            ["{device}/{channel}"],
            ["a", "b"],
            ["channels: one channel for the level 's' expected", "values.ON: a number that float32 can hold"],
        ),
        (
            {"format": "binary", "fields": [{"name": "_x", "type": "int8"}], "header": [{"name": "x", "type": "int8"}]},
            ["plant"],
            ["x"],
            ["topics: a {device} level in 'plant', or mapping.device (a header", "fields: channel 'x' of the model"],
        ),
    ],
)
def test_every_problem_of_a_mapping_is_reported(
    mapping: dict[str, Any], topics: list[str], channels: list[str], problems: list[str]
) -> None:
    found = _problems(mapping, topics, channels)
    assert len(found) == len(problems)
    for line, start in zip(found, problems, strict=True):
        assert line.startswith(start)


def test_all_problems_of_a_json_mapping_come_at_once() -> None:
    mapping = {
        "format": "json",
        "channels": {"x": "a..b"},
        "samples": "[",
        "device": "d.",
        "time": {"path": "]", "zone": "Mars/Olympus"},
    }
    starts = ["topic: a wildcard", "device: a path", "channels.x: a path", "channels: channel 'y'", "samples: a path"]
    starts += ["time.path: a path", "time.zone: an IANA zone"]
    found = _problems(mapping, ["a+"], ["x", "y"])
    assert [line[: len(start)] for line, start in zip(found, [starts[0], *starts[1:]], strict=True)] == starts


def test_zone_for_numbers_is_refused() -> None:
    time = {"path": "t", "unit": "ms", "zone": "UTC"}
    found = _problems({"format": "json", "channels": X, "time": time}, ["{device}"], ["x"])
    assert found == ["time.zone: only with unit 'iso8601' expected, got unit 'ms'"]


def test_channels_the_model_does_not_know_are_ignored() -> None:
    mapping = _MAPPING.validate_python({"format": "json", "channels": {"y": "y", "x": "x", "z": "z"}})
    (block,) = compile_decoder(mapping, ["{device}"], ["z", "x"], 1.0).decode("a", b'{"x": 1, "y": "text", "z": 3}')
    assert (block.channels, block.values.tolist()) == ((0, 1), [[3.0], [1.0]])


def test_first_template_that_matches_names_the_device() -> None:
    mapping = _MAPPING.validate_python({"format": "json", "channels": X})
    decoder = compile_decoder(mapping, ["plant/{device}/x", "plant/{device+}"], ["x"], 1.0)
    assert decoder.decode("plant/a/x", b'{"x": 1}')[0].device == "a"
    assert decoder.decode("plant/a/y", b'{"x": 1}')[0].device == "a/y"


@pytest.mark.parametrize(
    ("mapping", "kind"),
    [
        ({"format": "json", "channels": X}, JsonDecoder),
        ({"format": "scalar", "channel": "x"}, ScalarDecoder),
        ({"format": "binary", "fields": [{"name": "x", "type": "int8"}]}, BinaryDecoder),
    ],
)
def test_format_decides_the_decoder(mapping: dict[str, Any], kind: type) -> None:
    assert type(compile_decoder(_MAPPING.validate_python(mapping), ["{device}"], ["x"], 1.0)) is kind


@pytest.mark.parametrize(("channels", "rate_hz"), [([], 1.0), (["x", "x"], 1.0), (["x"], 0.0), (["x"], float("nan"))])
def test_wrong_argument_is_the_callers_fault(channels: list[str], rate_hz: float) -> None:
    with pytest.raises(ValueError, match="expected"):
        compile_decoder(_MAPPING.validate_python({"format": "json", "channels": X}), ["{device}"], channels, rate_hz)


@pytest.mark.parametrize("role", ["count", "device"])
def test_role_of_a_header_field_that_does_not_exist_is_refused(role: str) -> None:
    with pytest.raises(ValidationError, match=f"{role}: one of the header fields"):
        BinaryMapping.model_validate({"fields": [{"name": "x", "type": "int8"}], role: "n"})
