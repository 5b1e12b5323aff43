"""Every named place where a kill may strike is still there, and a kill strikes at the call it was ordered for."""

import subprocess
import sys

import pytest

from edge_agent.config import AgentConfig
from edge_agent.shell.mqtt_link import MqttLink
from tests.edge_agent.gateway import ROOT
from tests.faults.launcher import POINTS, Point, owner_of

PIPELINE = {
    "name": "p",
    "topics": ["a/{device}"],
    "model": "m",
    "mapping": {"format": "json", "channels": {"x": "x"}},
}


@pytest.mark.parametrize("name", POINTS)
def test_the_agent_has_the_method_of_each_point(name: str) -> None:
    assert isinstance(owner_of(POINTS[name]), type)


def test_a_flush_counts_when_there_is_something_to_write() -> None:
    config = AgentConfig.model_validate({"version": 1, "gateway": {"id": "gw"}, "pipelines": [PIPELINE]})
    link = MqttLink(config, config.filters(), "will", b"offline")
    counts = POINTS["before_flush"].counts
    assert not counts((link,), None)
    link.is_connected = True
    link.acknowledge([7])
    assert counts((link,), None)


def test_a_point_that_is_gone_is_told_from_one_that_is_there() -> None:
    with pytest.raises(AttributeError):
        owner_of(Point("edge_agent.shell.loop:Agent", "no_such_method", "after", 1))


@pytest.mark.parametrize(("when", "said"), [("before", "12"), ("after", "123")])
def test_a_kill_strikes_before_or_after_its_call(when: str, said: str) -> None:
    script = f"""
import sys
sys.modules["it"] = sys.modules["__main__"]
from tests.faults.launcher import Point, kill_at
class Work:
    def do(self, number):
        print(number, end="", flush=True)
kill_at(Point("it:Work", "do", {when!r}, 3, lambda arguments, result: arguments[1] > 0), 3)
for number in (1, 0, 2, 3, 4):
    Work().do(number)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    assert done.stdout.replace("0", "") == said
