import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.agents import Agent, Assignment, agent_config, toml_value
from demo.errors import DemoError
from demo.player import PLAYER_TOPIC, player_mapping
from demo.streams import PUMP, ROOM, Stream
from demo.wire import Address
from edge_agent.config import AgentConfig
from tests.edge_agent.gateway import wait_until

BINARY = Stream("played", (PLAYER_TOPIC,), player_mapping(("a b", "c"), "binary"), ("a b", "c"), ("x", "y"), 50.0)


def test_the_agent_reads_the_mapping_that_the_recorder_uses(tmp_path: Path) -> None:
    streams = (PUMP, ROOM, BINARY)
    text = agent_config(
        "gw", Address("127.0.0.1", 1999), [Assignment(one, Path("m.onnx")) for one in streams], tmp_path
    )
    config = AgentConfig.model_validate(tomllib.loads(text))
    assert config.mqtt.port == 1999
    assert [pipeline.name for pipeline in config.pipelines] == ["pump", "room", "played"]
    for pipeline, stream in zip(config.pipelines, streams, strict=True):
        assert pipeline.mapping == stream.mapping
        assert tuple(pipeline.topics) == stream.topics
    assert config.problems() == []


values = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(value=values)
def test_every_value_is_read_back_by_a_toml_parser(value: object) -> None:
    assert tomllib.loads(f"value = {toml_value(value)}")["value"] == value


def test_a_value_that_toml_has_not_is_refused() -> None:
    with pytest.raises(TypeError, match="a TOML value expected, got NoneType"):
        toml_value(None)


def test_an_agent_that_ends_is_noticed_with_its_last_words(tmp_path: Path) -> None:
    agent = Agent("gw", tmp_path, [Assignment(PUMP, tmp_path / "missing.onnx")])
    agent.start(Address("127.0.0.1", 1))
    process = agent._process
    assert process is not None
    wait_until(lambda: process.poll() is not None, "the end of an agent without a model")
    with pytest.raises(DemoError, match=r"agent gw: a running process expected, it ended with 78: .*missing\.onnx"):
        agent.check()
    assert agent.stop() == 78
    assert agent.stop() == 0
