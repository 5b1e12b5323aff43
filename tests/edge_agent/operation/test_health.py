"""When an agent is well, and for how long a loss is remembered."""

from typing import Any

import pytest

from edge_agent.config import AgentConfig
from edge_agent.operation.health import LOW_DISK_BYTES, HealthBook
from schemas import AgentHealth
from schemas.status import PipelineMetrics
from tests.edge_agent.operation.snapshots import metrics

QUIET: dict[str, Any] = {"windows": {}, "labels_dropped": {}, "acknowledged_early": 0, "devices_evicted": 0}


@pytest.fixture
def book() -> HealthBook:
    mapping = {"format": "json", "channels": {"x": "x"}}
    pipeline = {"name": "p", "topics": ["plant/{device}"], "model": "m.onnx", "mapping": mapping}
    config = {"version": 1, "gateway": {"id": "gw"}, "pipelines": [pipeline]}
    return HealthBook(AgentConfig.model_validate(config))


def judge(book: HealthBook, now_s: float, *troubles: str, **changes: Any) -> AgentHealth:
    return book.judge(metrics(**{**QUIET, **changes}), list(troubles), now_s, unacknowledged_limit=10)


def test_quiet_agent_is_well(book: HealthBook) -> None:
    found = judge(book, 0.0)
    assert (found.state, found.problems, found.broker) == ("ok", [], "127.0.0.1:1883")
    assert (found.outbox, found.outbox_limit, found.unacknowledged_limit) == (18, 2_000, 10)


def test_trouble_of_the_moment_degrades_it(book: HealthBook) -> None:
    found = judge(book, 0.0, "no connection")
    assert (found.state, found.problems) == ("degraded", ["no connection"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"windows": {"failed": 2}}, "2 windows were not answered"),
        ({"labels_dropped": {"refused": 1, "no_subscriber": 2}}, "3 labels were given up"),
        ({"acknowledged_early": 4}, "4 messages were acknowledged before"),
        ({"messages_rejected": {"internal": 5}}, "5 messages failed inside"),
        ({"devices_evicted": 6}, "6 devices were let go"),
    ],
)
def test_loss_is_remembered_for_a_minute(book: HealthBook, change: dict[str, Any], said: str) -> None:
    judge(book, 0.0)
    found = judge(book, 10.0, **change)
    assert found.state == "degraded"
    assert said in found.problems[0]
    for now_s in range(11, 70):
        assert judge(book, float(now_s), **change).state == "degraded", now_s
    assert judge(book, 71.0, **change).state == "ok"


def test_refused_messages_alone_are_no_trouble_of_the_agent(book: HealthBook) -> None:
    judge(book, 0.0)
    assert judge(book, 1.0, messages_rejected={"not_json": 1_000}).state == "ok"


def test_disk_that_is_nearly_full_is_said(book: HealthBook) -> None:
    assert judge(book, 0.0, state_free_bytes=LOW_DISK_BYTES).state == "ok"
    assert "31 MiB are free" in judge(book, 1.0, state_free_bytes=LOW_DISK_BYTES - 1).problems[0]


def test_rates_are_those_of_the_last_ten_seconds(book: HealthBook) -> None:
    pipelines = {"p": PipelineMetrics(messages=0)}
    for now_s in range(30):
        count = 100 * now_s if now_s < 15 else 1_500 + 10 * (now_s - 15)
        pipelines = {"p": PipelineMetrics(messages=count)}
        rates = book.rates(metrics(**QUIET, messages_received=count, pipelines=pipelines), float(now_s))
        judge(book, float(now_s), messages_received=count, pipelines=pipelines)
    assert rates == (10.0, {"p": 10.0})


def test_agent_that_starts_or_stops_is_not_called_degraded(book: HealthBook) -> None:
    starting = book.judge(metrics(**QUIET), ["no connection"], 0.0, unacknowledged_limit=1, is_starting=True)
    stopping = book.judge(metrics(**QUIET), ["no connection"], 1.0, unacknowledged_limit=1, is_stopping=True)
    assert (starting.state, stopping.state) == ("starting", "stopping")
