"""JSON messages: layouts, gaps, times, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from schemas.mapping import JsonMapping
from signals.block import Block, DecodeError
from signals.codecs import JsonDecoder

NAN = float("nan")
COLUMNS = {"x": "x", "y": "y"}
ROWS = {"x": "[0]", "y": "[1]"}


def _decoder(channels: dict[str, str], *, topic: str = "{device}", **mapping: Any) -> JsonDecoder:
    return JsonDecoder(JsonMapping.model_validate({"channels": channels, **mapping}), [topic], list(channels), 10.0)


def _decode(message: object, channels: dict[str, str], **mapping: Any) -> Block:
    (block,) = _decoder(channels, **mapping).decode("pump", json.dumps(message).encode())
    return block


def _reason(message: object, channels: dict[str, str], **mapping: Any) -> str:
    with pytest.raises(DecodeError) as refusal:
        _decode(message, channels, **mapping)
    assert "\n" not in str(refusal.value)
    return refusal.value.reason


@pytest.mark.parametrize(
    ("message", "positions", "values"),
    [
        ({"x": 1, "y": 2.5}, (0, 1), [[1.0], [2.5]]),
        ({"x": True, "y": False}, (0, 1), [[1.0], [0.0]]),
        ({"y": 2.5}, (1,), [[2.5]]),
        ({"x": 1, "y": None, "z": "ignored"}, (0,), [[1.0]]),
        ({"x": [1, 2, 3], "y": [4, 5, 6]}, (0, 1), [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]),
        ({"x": [1, None, 3], "y": [4, 5, True]}, (0, 1), [[1.0, NAN, 3.0], [4.0, 5.0, 1.0]]),
        ({"x": [1, 2], "y": [None, None]}, (0,), [[1.0, 2.0]]),
        ({"x": [1, 2]}, (0,), [[1.0, 2.0]]),
        ({"x": [7], "y": [8]}, (0, 1), [[7.0], [8.0]]),
    ],
)
def test_sample_and_columns_give_the_channels_that_are_there(
    message: object, positions: tuple[int, ...], values: list[list[float]]
) -> None:
    block = _decode(message, COLUMNS)
    assert block.channels == positions
    assert block.values.dtype == np.float32
    np.testing.assert_array_equal(block.values, values)
    assert block.rate_hz == (10.0 if len(values[0]) > 1 else None)
    assert (block.t0_ns, block.t_ns) == (None, None)


@pytest.mark.parametrize(
    ("rows", "channels", "positions", "values"),
    [
        ([[1, 2], [3, 4], [5, 6]], ROWS, (0, 1), [[1, 3, 5], [2, 4, 6]]),
        ([[1, 2], [3, None]], ROWS, (0, 1), [[1, 3], [2, NAN]]),
        ([[1, None], [3, None]], ROWS, (0,), [[1, 3]]),
        ([[9, 1, 2], [9, 3, 4]], {"y": "[2]", "x": "[1]"}, (0, 1), [[2, 4], [1, 3]]),
        ([["a", 1], ["b", 2]], {"x": "[1]"}, (0,), [[1, 2]]),
        ([[1], [2]], {"x": "[0]"}, (0,), [[1, 2]]),
        ([[1], [2]], ROWS, (0,), [[1, 2]]),
        ([{"x": 1, "y": 2}, {"y": 4, "x": 3}], COLUMNS, (0, 1), [[1, 3], [2, 4]]),
        ([{"x": 1}, {"y": 4}], COLUMNS, (0, 1), [[1, NAN], [NAN, 4]]),
        ([{"x": 1}, {"x": 4}], {"x": "x"}, (0,), [[1, 4]]),
        ([{"a": {"x": 1, "y": 2}}], {"x": "a.x", "y": "a.y"}, (0, 1), [[1], [2]]),
        ([{"a": [1, 2], "b": 3}], {"x": "a[1]", "y": "b"}, (0, 1), [[2], [3]]),
        ([1, 2, 3], {"x": "$"}, (0,), [[1, 2, 3]]),
    ],
)
def test_rows_of_arrays_and_of_objects(
    rows: object, channels: dict[str, str], positions: tuple[int, ...], values: list[list[float]]
) -> None:
    for message, samples in (({"d": {"rows": rows}}, "d.rows"), (rows, "$")):
        block = _decode(message, channels, samples=samples)
        assert block.channels == positions
        np.testing.assert_array_equal(block.values, np.array(values, np.float32))


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({}, "missing_field"),
        ({"x": None}, "missing_field"),
        ({"x": [None, None]}, "missing_field"),
        ([], "missing_field"),
        (5, "missing_field"),
        ({"x": "1.5", "y": 1}, "not_a_number"),
        ({"x": ["1.5", 1], "y": [1, 2]}, "not_a_number"),
        ({"x": {"Value": 1}, "y": 1}, "not_a_number"),
        ({"x": 1e39, "y": 1}, "not_finite"),
        ({"x": [1, -1e39], "y": [None, 1]}, "not_finite"),
        ({"x": [1, 2], "y": [1]}, "bad_shape"),
        ({"x": [1, 2], "y": 1}, "bad_shape"),
        ({"x": [[1], [2]], "y": [1, 2]}, "bad_shape"),
    ],
)
def test_sample_or_columns_that_cannot_be_read_are_refused(message: object, reason: str) -> None:
    assert _reason(message, COLUMNS) == reason


@pytest.mark.parametrize(
    ("rows", "channels", "reason"),
    [
        ([[1, 2], [3]], ROWS, "bad_shape"),
        ([[1, 2], [3, 4, 5]], ROWS, "bad_shape"),
        ([[1, 2], None], ROWS, "bad_shape"),
        ([[1, 2], "ab"], ROWS, "bad_shape"),
        ([[1, 2], {"x": 1}], ROWS, "bad_shape"),
        ([{"x": 1}, [1, 2]], COLUMNS, "bad_shape"),
        ([[1, [2]]], ROWS, "bad_shape"),
        ({"x": 1}, COLUMNS, "bad_shape"),
        (None, COLUMNS, "missing_field"),
        ([{}, {}], COLUMNS, "missing_field"),
        ([[], []], ROWS, "missing_field"),
        ([[1, "2"]], ROWS, "not_a_number"),
        (["12", "34"], {"x": "$"}, "not_a_number"),
        ([[1, 3.5e38]], ROWS, "not_finite"),
    ],
)
def test_rows_that_cannot_be_read_are_refused(rows: object, channels: dict[str, str], reason: str) -> None:
    assert _reason({"rows": rows}, channels, samples="rows") == reason


def test_empty_batch_is_no_block_and_no_error() -> None:
    assert _decoder(COLUMNS).decode("pump", b'{"x": [], "y": []}') == []
    assert _decoder(ROWS, samples="$").decode("pump", b"[]") == []


@pytest.mark.parametrize(
    ("time", "message", "samples", "t0_ns", "t_ns"),
    [
        ({"path": "t"}, {"t": 5, "x": 1}, None, 5_000_000, None),
        ({"path": "t", "of": "last"}, {"t": 5, "x": 1}, None, 5_000_000, None),
        ({"path": "t", "of": "each"}, {"t": 5, "x": 1}, None, 5_000_000, None),
        ({"path": "t"}, {"t": 500, "x": [1, 2, 3]}, None, 500_000_000, None),
        ({"path": "t", "of": "last"}, {"t": 500, "x": [1, 2, 3]}, None, 300_000_000, None),
        ({"path": "t", "of": "last"}, {"t": 500, "x": [1, None, 3]}, None, 300_000_000, None),
        ({"path": "t", "of": "each"}, {"t": [1, 7], "x": [1, 2]}, None, None, [1_000_000, 7_000_000]),
        ({"path": "t", "of": "each"}, {"t": 5, "x": [1]}, None, None, [5_000_000]),
        ({"path": "t", "of": "each"}, [{"t": 1, "x": 1}, {"t": 7.5, "x": 2}], "$", None, [1_000_000, 7_500_000]),
        ({"path": "t", "of": "each"}, {"t": [1, 7], "r": [{"x": 1}, {"x": 2}]}, "r", None, [1_000_000, 7_000_000]),
        ({"path": "m.t", "of": "each"}, [{"m": {"t": 1}, "x": 1}], "$", None, [1_000_000]),
        ({"path": "[0].t"}, [{"t": 1, "x": 1}, {"x": 2}], "$", 1_000_000, None),
    ],
)
def test_time_is_that_of_the_first_the_last_or_each_sample(
    time: dict[str, str], message: object, samples: str | None, t0_ns: int | None, t_ns: list[int] | None
) -> None:
    block = _decode(message, {"x": "x"}, time={"unit": "ms", **time}, samples=samples)
    assert block.t0_ns == t0_ns
    assert (None if block.t_ns is None else block.t_ns.tolist()) == t_ns
    assert block.rate_hz == (10.0 if t_ns is None and block.values.shape[1] > 1 else None)


@pytest.mark.parametrize(
    ("of", "message", "samples", "reason"),
    [
        ("first", {"x": 1}, None, "bad_time"),
        ("first", {"x": 1, "t": None}, None, "bad_time"),
        ("first", {"x": 1, "t": "5"}, None, "bad_time"),
        ("first", {"x": [1, 2], "t": [5, 6]}, None, "bad_time"),
        ("last", {"x": [1, 2, 3], "t": 100}, None, "bad_time"),
        ("each", {"x": [1, 2], "t": 5}, None, "bad_time"),
        ("each", {"x": [1, 2], "t": [5]}, None, "bad_shape"),
        ("each", [{"x": 1, "t": 5}, {"x": 2}], "$", "bad_time"),
        ("each", [{"x": 1}, {"x": 2}], "$", "bad_time"),
    ],
)
def test_message_without_the_time_its_mapping_names_is_refused(
    of: str, message: object, samples: str | None, reason: str
) -> None:
    assert _reason(message, {"x": "x"}, time={"path": "t", "unit": "ms", "of": of}, samples=samples) == reason


def test_rate_of_the_mapping_wins_over_the_rate_of_the_model() -> None:
    assert _decode({"x": [1, 2]}, {"x": "x"}, sampling_rate_hz=25.0).rate_hz == 25.0


def test_device_of_the_message_wins_over_the_topic() -> None:
    channels = {"x": "x"}
    assert _decode({"x": 1, "id": "Pump 7"}, channels, device="id").device == "Pump 7"
    assert _decode({"x": 1, "id": 7}, channels, device="id").device == "7"
    not_names: list[object] = [None, "", "  ", True, 1.5, [], {}]
    for bad in not_names:
        assert _reason({"x": 1, "id": bad}, channels, device="id") == "bad_device"


def test_topic_without_a_device_or_of_another_tree_is_refused() -> None:
    decoder = _decoder({"x": "x"}, topic="plant/{device}")
    for topic, reason in (
        ("plant/", "bad_device"),
        ("other/a", "bad_topic"),
        ("", "bad_topic"),
        ("plant/a/b", "bad_topic"),
    ):
        with pytest.raises(DecodeError) as refusal:
            decoder.decode(topic, b'{"x": 1}')
        assert refusal.value.reason == reason


def test_topics_that_are_invented_for_ever_do_not_fill_the_memory() -> None:
    decoder = _decoder({"x": "x"})
    for number in range(10_000):
        (block,) = decoder.decode(f"pump-{number}", b'{"x": 1}')
        assert block.device == f"pump-{number}"
    assert len(decoder._topics._known) <= 4096


def test_rows_with_more_than_the_mapping_asks_for_take_the_quick_way() -> None:
    packer = _decoder(ROWS, samples="$")._packer
    assert np.frombuffer(packer.pack([[1, 2, 9], [3, 4, 9]]), np.float32).tolist() == [1.0, 2.0, 3.0, 4.0]
