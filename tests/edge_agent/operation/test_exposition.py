"""What Prometheus reads: every number that is counted, under the names of the page."""

import re
import time
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from edge_agent.operation.board import Board
from edge_agent.operation.exposition import (
    HISTOGRAMS,
    MAX_VALUES,
    ROWS,
    TOLD_OTHERWISE,
    SnapshotCollector,
    build_registry,
)
from schemas import AgentMetrics
from schemas.status import PipelineMetrics
from tests.edge_agent.operation.snapshots import status


def scrape(**changes: Any) -> dict[str, list[Sample]]:
    """Samples by their name, written out and parsed again."""
    board = Board()
    board.show(status(**changes), time.monotonic())
    registry = CollectorRegistry()
    registry.register(SnapshotCollector(board))
    found: dict[str, list[Sample]] = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample)
    return found


def values(samples: list[Sample]) -> dict[str, float]:
    return {",".join(sample.labels.values()): sample.value for sample in samples}


def test_every_counter_of_the_agent_is_exposed() -> None:
    told = {row.field for row in (*ROWS, *HISTOGRAMS)} | TOLD_OTHERWISE
    assert told == set(AgentMetrics.model_fields)


def test_plain_counters_keep_their_value() -> None:
    found = scrape()
    assert {name: found[name][0].value for name in ("telltale_samples_total", "telltale_outbox_bytes")} == {
        "telltale_samples_total": 1_990.0,
        "telltale_outbox_bytes": 20_000.0,
    }
    assert found["telltale_mqtt_connected"][0].value == 1.0
    assert found["telltale_healthy"][0].value == 1.0


def test_counts_by_reason_carry_it_as_a_label() -> None:
    found = scrape()
    assert values(found["telltale_messages_rejected_total"]) == {"not_json": 3.0, "too_large": 2.0}
    assert values(found["telltale_outbox_dropped_total"]) == {"no_subscriber": 7.0}
    assert values(found["telltale_alarm"]) == {"disk_low": 1.0}
    assert found["telltale_self_test_passed"][0].value == 1.0
    assert values(found["telltale_windows_total"]) == {
        "labelled": 90.0,
        "unsure": 5.0,
        "novel": 3.0,
        "incomplete": 2.0,
        "failed": 1.0,
    }
    assert values(found["telltale_labels_total"]) == {"low,pump": 40.0, "high,pump": 55.0}


def test_durations_are_cumulative_buckets() -> None:
    found = scrape()
    buckets = {sample.labels["le"]: sample.value for sample in found["telltale_label_latency_seconds_bucket"]}
    assert buckets == {"0.1": 10.0, "1.0": 30.0, "+Inf": 60.0}
    assert found["telltale_label_latency_seconds_count"][0].value == 60.0
    assert found["telltale_label_latency_seconds_sum"][0].value == 60.25


def test_versions_stand_in_info_metrics() -> None:
    found = scrape()
    assert found["telltale_build_info"][0].labels == {"gateway": "gw", "version": "1.2.3"}
    assert found["telltale_model_info"][0].labels == {
        "pipeline": "pump",
        "model": "pump",
        "version": "7",
        "sha256": "d" * 64,
    }


def test_number_of_series_is_bounded_whatever_a_model_names() -> None:
    many = {f"class-{number:04}": 1 for number in range(1_000)}
    found = scrape(messages_rejected=many, pipelines={"pump": PipelineMetrics(labels=many)})
    for name in ("telltale_messages_rejected_total", "telltale_labels_total"):
        assert len(found[name]) == MAX_VALUES + 1
        assert sum(sample.value for sample in found[name]) == 1_000.0


@pytest.mark.parametrize("name", ['a "quoted" one', "back\\slash", "two\nlines", "höher"])
def test_names_with_special_characters_survive(name: str) -> None:
    found = scrape(pipelines={"pump": PipelineMetrics(labels={name: 1})})
    assert found["telltale_labels_total"][0].labels["label"] == name


def test_nothing_is_exposed_before_the_loop_has_turned() -> None:
    assert list(SnapshotCollector(Board()).collect()) == []


def test_every_metric_is_documented_and_every_documented_metric_exists(repository: Path) -> None:
    board = Board()
    board.show(status(), time.monotonic())
    families = text_string_to_metric_families(generate_latest(build_registry(board)).decode())
    exposed = {f"{family.name}_total" if family.type == "counter" else family.name for family in families}
    exposed = {f"{name}_info" if name in {"telltale_build", "telltale_model"} else name for name in exposed}
    page = (repository / "docs" / "operation.md").read_text()
    documented = set(re.findall(r"^\| `((?:telltale|process)_[a-z_]+)", page, flags=re.MULTILINE))
    assert documented == exposed
