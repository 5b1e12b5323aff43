"""With a paho whose inside nobody knows, the agent goes through its public ways alone, and keeps the same promise."""

import os
import time
from pathlib import Path

import pytest

from tests.edge_agent.gateway import ROOT, AgentProcess, Consumer, Publisher, wait_until, write_config
from tests.edge_agent.test_delivery import Plant, assert_all_labelled, assert_nothing_silent
from tests.mosquitto import Mosquitto

pytestmark = pytest.mark.fault

UNKNOWN_PAHO = """
import sys
import paho.mqtt
paho.mqtt.__version__ = "9.0.0"
print("paho is unknown", file=sys.stderr)
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Of a process whose paho calls itself by another version."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(UNKNOWN_PAHO)
    return {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}


def test_agent_on_stock_paho_killed_in_mid_stream_leaves_no_window_without_a_label(
    broker: Mosquitto, tmp_path: Path, environment: dict[str, str]
) -> None:
    agent = AgentProcess(write_config(tmp_path, broker.port), environment=environment)
    with Consumer(broker.port) as consumer, Publisher(broker.port) as publisher, agent:
        wait_until(lambda: consumer.of("/availability"), "the agent")
        assert "paho is unknown" in agent.log
        plant = Plant(publisher, n_devices=3)
        plant.run_until(time.monotonic() + 1.0)
        agent.kill()
        plant.run_until(time.monotonic() + 0.2)
        agent.start()
        plant.run_until(time.monotonic() + 1.0)
        assert_all_labelled(publisher, consumer, agent.log)
        wait_until(lambda: consumer.of("/metrics")[-1]["unacknowledged"] < 100, "acknowledgements to catch up")
        assert consumer.of("/metrics")[-1]["confirmed_seconds"]["sum"] > 0.0


def test_broker_restart_on_stock_paho_loses_nothing_silently(
    broker: Mosquitto, tmp_path: Path, environment: dict[str, str]
) -> None:
    agent = AgentProcess(write_config(tmp_path, broker.port), environment=environment)
    with Consumer(broker.port) as consumer, Publisher(broker.port) as publisher, agent:
        wait_until(lambda: consumer.of("/availability"), "the agent")
        plant = Plant(publisher, n_devices=2)
        plant.run_until(time.monotonic() + 1.0)
        broker.stop()
        plant.run_until(time.monotonic() + 0.3)
        broker.start()
        plant.run_until(time.monotonic() + 1.5)
        assert_nothing_silent(publisher, consumer)
        assert agent.is_running
