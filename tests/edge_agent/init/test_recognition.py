"""What is recognised in messages: layouts, times, rates; and that nothing anybody publishes ends it."""

import json
import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.config import AgentConfig
from edge_agent.init.clocks import Rate, plan_windows, rate_of
from edge_agent.init.discovery import Units, announced_units
from edge_agent.init.families import recognise
from edge_agent.init.family import Recognised
from edge_agent.init.fitting import try_on_messages
from edge_agent.init.hearing import MAX_KEPT_BYTES, MAX_TOPICS, Hearing
from edge_agent.init.writing import family_text, pipeline_names
from schemas.mapping import JsonMapping, ScalarMapping

NOW_NS = 1_795_219_056_000_000_000
SECOND_NS = 1_000_000_000


def _hear(messages: dict[str, list[Any]], every_s: float = 1.0) -> Hearing:
    hearing = Hearing()
    for topic, payloads in messages.items():
        for number, payload in enumerate(payloads):
            raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
            hearing.take(topic, raw, is_retained=False, wall_ns=NOW_NS + round(number * every_s * SECOND_NS))
    return hearing


def _recognise(messages: dict[str, list[Any]], every_s: float = 1.0) -> Recognised:
    hearing = _hear(messages, every_s)
    found = recognise(hearing, units=announced_units(hearing), listened_s=60.0)
    for family in found.families:
        try_on_messages(family, "gw")
    return found


def _mapping_of(messages: dict[str, list[Any]], every_s: float = 1.0) -> tuple[str, JsonMapping]:
    (family,) = _recognise(messages, every_s).families
    assert family.problem is None
    assert isinstance(family.mapping, JsonMapping)
    return family.topics[0], family.mapping


def _seconds(number: int) -> float:
    return NOW_NS / SECOND_NS + number


@pytest.mark.parametrize(
    ("field", "unit"),
    [
        (lambda n: round(_seconds(n) * 1000), "ms"),
        (lambda n: _seconds(n) + 0.25, "s"),
        (lambda n: round(_seconds(n) * 1e6), "us"),
        (lambda n: NOW_NS + n * SECOND_NS, "ns"),
        (lambda n: f"2026-11-20T23:57:{36 + n}.125Z", "iso8601"),
        (lambda n: f"2026-11-21T00:57:{36 + n}+01:00", "iso8601"),
    ],
)
def test_the_unit_of_a_time_is_told_by_what_brings_it_near_today(field: Any, unit: str) -> None:  # noqa: ANN401
    _, mapping = _mapping_of({"a/p1/v": [{"when": field(n), "x": n * 1.5} for n in range(5)]})
    assert mapping.time is not None
    assert (mapping.time.path, mapping.time.unit) == ("when", unit)
    assert mapping.channels == {"x": "x"}


@pytest.mark.parametrize(
    "field",
    [
        lambda n: n * 10,  # counts from a start
        lambda n: f"2026-11-20T23:57:{36 + n}",  # no zone
        lambda n: 1_400_000_000 + n,  # a clock years off
        lambda n: 1_795_219_056,  # stands still
    ],
)
def test_a_time_that_cannot_be_trusted_is_left_to_the_receipt(field: Any) -> None:  # noqa: ANN401
    _, mapping = _mapping_of({"a/p1/v": [{"ts": field(n), "x": n * 1.5} for n in range(5)]})
    assert mapping.time is None
    assert "ts" not in mapping.channels


def test_a_vector_is_no_batch_and_a_batch_no_vector() -> None:
    _, vector = _mapping_of({"a/p1/v": [{"acc": [0.1 * n, 0.2, 9.8]} for n in range(5)]})
    assert set(vector.channels.values()) == {"acc[0]", "acc[1]", "acc[2]"}
    _, batch = _mapping_of({"a/p1/v": [{"x": [0.1 * n] * 50, "y": [n] * 50} for n in range(5)]}, every_s=0.5)
    assert batch.channels == {"x": "x", "y": "y"}
    assert batch.sampling_rate_hz == 100.0


def test_rows_with_a_time_each_give_the_rate_inside_the_message() -> None:
    rows = [[{"t": round(_seconds(n) * 1000) + 20 * i, "v": i * 0.5} for i in range(10)] for n in range(4)]
    _, mapping = _mapping_of({"a/p1/v": rows})
    assert (mapping.samples, mapping.channels) == ("$", {"v": "v"})
    assert mapping.time is not None
    assert mapping.time.of == "each"
    (family,) = _recognise({"a/p1/v": rows}).families
    assert family.rate == Rate(50.0, 0.0, 36)


def test_lorawan_and_opc_ua_are_found_through_their_wrapping() -> None:
    uplink = [
        {
            "end_device_ids": {"device_id": "dev1"},
            "received_at": f"2026-11-20T23:57:{36 + n}.014773143Z",
            "uplink_message": {
                "f_cnt": n,
                "decoded_payload": {"temperature": 1.0 + n, "luminosity": 0.64},
                "rx_metadata": [{"rssi": -35, "snr": 5}],
                "settings": {"data_rate": {"lora": {"bandwidth": 125000}}},
            },
        }
        for n in range(4)
    ]
    topic, mapping = _mapping_of({"v3/app1@tenant1/devices/dev1/up": uplink})
    assert topic == "v3/app1@tenant1/devices/{device}/up"
    assert set(mapping.channels.values()) == {
        "uplink_message.decoded_payload.temperature",
        "uplink_message.decoded_payload.luminosity",
    }
    assert mapping.time is not None
    assert mapping.time.path == "received_at"


def test_senml_that_repeats_a_name_is_declined_with_the_reason() -> None:
    pack = [{"bn": "urn:dev:ow:10e2073a0108006:", "n": "voltage", "u": "V", "v": 120.1}, {"n": "voltage", "v": 1.2}]
    (family,) = _recognise({"senml/a": [pack] * 3}).families
    assert family.problem is not None
    assert "SenML" in family.problem


def test_devices_of_other_channels_get_a_pipeline_of_their_own_under_the_same_topics() -> None:
    found = _recognise(
        {
            "zigbee2mqtt/a": [{"temperature": 20.0 + n, "humidity": 40} for n in range(4)],
            "zigbee2mqtt/b/c": [{"temperature": 20.0 + n, "humidity": 41, "pressure": 1000} for n in range(4)],
            "zigbee2mqtt/plug": [{"power": 20.0 + n} for n in range(4)],
        }
    )
    assert [(family.devices, family.topics) for family in found.families] == [
        (["a", "b/c"], ["zigbee2mqtt/{device+}"]),
        (["plug"], ["zigbee2mqtt/{device+}"]),
    ]
    common = [channel.name for channel in found.families[0].channels if channel.is_common]
    assert common == ["temperature", "humidity"]


def test_plain_numbers_are_told_apart_by_device_and_channel() -> None:
    found = _recognise(
        {f"home/{room}/{what}": [b"21.5", b"22"] * 3 for room in ("attic", "hall") for what in ("co2", "temperature")}
    )
    (family,) = found.families
    assert (family.topics, family.devices) == (["home/{device}/{channel}"], ["attic", "hall"])
    assert isinstance(family.mapping, ScalarMapping)
    assert family.plan is not None
    assert family.plan.policy == "hold"


def test_units_come_from_discovery_by_topic_and_by_path() -> None:
    units = Units()
    units.read_component({"~": "a", "stat_t": "~/state", "unit_of_meas": "°C", "val_tpl": "{{ value_json['t'] }}"})
    units.read_zigbee_devices(
        "z/", [{"friendly_name": "d", "definition": {"exposes": [{"property": "p", "unit": "W"}]}}]
    )
    assert (units.at("a/state", "t"), units.at("a/state"), units.at("z/d", "p")) == ("°C", None, "W")


def test_memory_is_bounded_whatever_is_published() -> None:
    hearing = Hearing()
    for number in range(MAX_TOPICS + 50):
        hearing.take(f"t/{number}", b"1", is_retained=False, wall_ns=number)
    assert len(hearing.topics) == MAX_TOPICS
    assert hearing.n_topics_passed_over == 50
    large = Hearing()
    for number in range(2_000):
        large.take(f"t/{number % 100}", bytes(60_000), is_retained=False, wall_ns=number)
    assert sum(len(payload) for topic in large.topics.values() for _, payload in topic.live) <= MAX_KEPT_BYTES
    large.take("huge", bytes(70_000), is_retained=False, wall_ns=0)
    assert large.topics["huge"].n_too_large == 1


@given(st.floats(0.01, 5_000.0), st.floats(0.0, 2.0), st.booleans(), st.booleans())
def test_every_plan_is_a_window_that_a_configuration_accepts(
    hz: float, jitter: float, has_time: bool, is_state: bool
) -> None:
    rate = rate_of([round(1e9 / hz)] * 5)
    assert rate is not None
    plan = plan_windows(Rate(rate.hz, jitter, 5), 60.0, has_time=has_time, is_state=is_state)
    assert abs(rate.hz - hz) <= 0.021 * hz
    assert 2 <= plan.hop_length <= plan.window_length <= 2048


NAMES = st.sampled_from(
    [
        "x",
        "ts",
        "time",
        "values",
        "device",
        "n",
        "v",
        "bn",
        "bt",
        "temperature",
        "acc",
        "a.b",
        'q"',
        "[0]",
        "$",
        "\n",
        "é",
    ]
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "ON", "2026-11-20T23:57:36Z", "2026-11-20T23:57:36", "pump-1", "\x1b[2J\n[mqtt]"])
    | st.integers(-5, 5).map(lambda n: NOW_NS // 1_000_000 + n)
)
DOCUMENTS = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=6) | st.dictionaries(NAMES, inner, max_size=5))
LEVELS = st.sampled_from(
    [
        "a",
        "b",
        "p-1",
        "p-2",
        "zigbee2mqtt",
        "tele",
        "SENSOR",
        "sensor",
        "state",
        "events",
        "rpc",
        "shellies",
        "temperature",
        "{device}",
        "$x",
        "telltale",
        "v1",
        "config",
        "bridge",
        "devices",
        "é\u2028",
        "status",
        "#+",
        "{a}b",
    ]
)
PAYLOADS = DOCUMENTS.map(lambda document: json.dumps(document).encode()) | st.binary(max_size=40) | st.just(b"21.5")


@settings(max_examples=150)
@given(
    st.lists(
        st.tuples(st.lists(LEVELS, min_size=1, max_size=6).map("/".join), st.lists(PAYLOADS, min_size=1, max_size=5)),
        min_size=1,
        max_size=8,
    )
)
def test_whatever_is_heard_what_is_written_is_a_configuration_of_what_was_recognised(
    messages: list[tuple[str, list[bytes]]],
) -> None:
    hearing = Hearing()
    for topic, payloads in messages:
        for number, payload in enumerate(payloads):
            is_retained = len(payload) % 5 == 0
            hearing.take(topic, payload, is_retained=is_retained, wall_ns=NOW_NS + number * SECOND_NS)
    found = recognise(hearing, units=announced_units(hearing), listened_s=10.0)
    for family in found.families:
        try_on_messages(family, "gw")
    names = pipeline_names(found.families)
    lines = ["version = 1", "[gateway]", 'id = "gw"']
    for family, name in zip(found.families, names, strict=True):
        lines += family_text(family, name, None)
    raw = tomllib.loads("\n".join(lines))
    n_used = sum(family.problem is None for family in found.families)
    assert set(raw) <= {"version", "gateway", "pipelines"}
    assert len(raw.get("pipelines", [])) == n_used
    if n_used:
        assert AgentConfig.model_validate(raw).problems() == []
