"""Every message has exactly one worker, and all messages of one device of one pipeline have the same one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.config import AgentConfig
from edge_agent.config_sources import load_config
from edge_agent.workers.share import Share, share_notes, shared_group_problems
from schemas import ConfigError, TopicTemplate
from signals import device_id

NAMES = st.text("abcXYZ019 -_", min_size=1, max_size=12).filter(lambda text: any(c.isalnum() for c in text))


def config_of(*pipelines: dict[str, Any], **mqtt: Any) -> AgentConfig:
    mapping = {"format": "json", "channels": {"x": "x"}}
    given_pipelines = [
        {"name": f"p{n}", "model": "m.onnx", "mapping": mapping, **pipeline} for n, pipeline in enumerate(pipelines)
    ]
    raw = {"version": 1, "gateway": {"id": "gw"}, "mqtt": mqtt, "pipelines": given_pipelines}
    return AgentConfig.model_validate(raw)


def takers(config: AgentConfig, topic: str, n_workers: int) -> list[int]:
    shares = [Share(config.pipelines, n_workers, worker) for worker in range(n_workers)]
    return [worker for worker, share in enumerate(shares) if share.takes(topic)]


@given(names=st.lists(NAMES, min_size=1, max_size=20), n_workers=st.integers(1, 8))
def test_every_topic_has_one_worker_and_so_has_every_device(names: Sequence[str], n_workers: int) -> None:
    config = config_of({"topics": ["plant/{device}/v", "home/{device}/sensor/{channel}"]}, {"topics": ["z/{device+}"]})
    for name in names:
        owners = {
            tuple(takers(config, topic, n_workers))
            for topic in (f"plant/{name}/v", f"home/{name}/sensor/a", f"home/{name}/sensor/b")
        }
        assert len(owners) == 1
        (owner,) = owners
        assert len(owner) == 1
        has = [Share(config.pipelines, n_workers, n).has_device("p0", device_id(name)) for n in range(n_workers)]
        assert [n for n, mine in enumerate(has) if mine] == list(owner), "its watermark goes where its messages go"
        assert len(takers(config, f"z/{name}/{name}", n_workers)) == 1


def test_the_share_of_a_device_is_the_same_for_ever() -> None:
    config = config_of({"topics": ["plant/{device}/v"]})
    owners = [takers(config, f"plant/pump-{n}/v", 3)[0] for n in range(9)]
    assert owners == [0, 2, 0, 2, 0, 2, 1, 2, 0], "CRC-32 of the id modulo the number of workers"


def test_devices_spread_over_the_workers() -> None:
    config = config_of({"topics": ["plant/{device}/v"]})
    owners = [takers(config, f"plant/device-{n:04d}/v", 4)[0] for n in range(1000)]
    assert all(200 <= owners.count(worker) <= 300 for worker in range(4))


def test_a_payload_that_names_the_device_keeps_its_pipeline_in_one_worker() -> None:
    mapping = {"format": "json", "channels": {"x": "x"}, "device": "id"}
    config = config_of({"topics": ["site/+/v"], "mapping": mapping}, {"topics": ["plant/{device}/v"]})
    owners = {tuple(takers(config, f"site/{n}/v", 3)) for n in range(30)}
    assert len(owners) == 1
    assert share_notes(config) == [
        "pipeline p0: one worker takes all of it, because the payload names the device, and no topic tells"
    ]
    (owner,) = owners.pop()
    assert [Share(config.pipelines, 3, n).has_device("p0", "whoever") for n in range(3)] == [
        n == owner for n in range(3)
    ]


def test_two_pipelines_that_name_the_device_alike_are_divided() -> None:
    config = config_of({"topics": ["plant/{device}/v"]}, {"topics": ["plant/{device}/{channel}"]})
    assert share_notes(config) == []
    assert len({takers(config, f"plant/d{n}/v", 4)[0] for n in range(40)}) == 4


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        ("a/{device}/v", "a/+/{device}", True),
        ("a/{device+}", "a/{device}/v", True),
        ("a/{device}/v", "b/{device}/v", False),
        ("a/{device}/v", "+/x/{device}", True),
        ("a/{device}", "a/b/{device}", False),
        ("{device}/v", "x/{device}/v", False),
        ("{device}/#", "a/{device}", True),
    ],
)
def test_pipelines_that_read_a_topic_for_other_devices_go_together(one: str, other: str, meet: bool) -> None:
    config = config_of({"topics": [one]}, {"topics": [other]})
    assert bool(share_notes(config)) is meet
    if meet:
        pool = [f"{a}/{b}/{c}" for a in "abx" for b in "bxy" for c in "vxy"] + [
            f"{a}/{b}" for a in "abx" for b in "bxy"
        ]
        common = [t for t in pool if all(TopicTemplate(text).match(t) is not None for text in (one, other))]
        assert common, "the example has such a topic"
        assert len({tuple(takers(config, topic, 5)) for topic in common}) == 1


def test_a_broker_that_hashes_topics_needs_one_topic_a_device() -> None:
    good = config_of({"topics": ["plant/{device}/v"]}, shared_group_hashes_topics=True)
    assert shared_group_problems(good) == []
    assert Share(good.pipelines, 3, 0, by_broker=True).takes("plant/any/v")
    torn = config_of({"topics": ["plant/{device}/{channel}"]}, shared_group_hashes_topics=True)
    assert "one topic a device expected" in shared_group_problems(torn)[0]


def test_check_and_run_refuse_a_shared_group_that_tears_devices_apart(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(
        """version = 1
[gateway]
id = "gw"
workers = 2
[mqtt]
shared_group_hashes_topics = true
[[pipelines]]
name = "p"
topics = ["plant/{device}/{channel}"]
model = "m.onnx"
mapping = { format = "scalar", channels = { x = "x" } }
"""
    )
    with pytest.raises(ConfigError, match="one topic a device expected"):
        load_config(path, {})


def test_a_shared_group_subscribes_as_its_member() -> None:
    config = config_of({"topics": ["plant/{device}/v"]}, shared_group_hashes_topics=True)
    worker = config.model_copy(update={"gateway": config.gateway.model_copy(update={"worker": 1, "workers": 2})})
    assert worker.filters() == ["$share/edge-agent-gw/plant/+/v"]
    assert config.filters() == ["plant/+/v"], "one process alone is no group"
