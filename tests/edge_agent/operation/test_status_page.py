"""``edge-agent status``: the page and its exit code."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge_agent.cli import main
from edge_agent.operation.status_page import exit_code, write_page
from tests.edge_agent.gateway import ROOT, AgentProcess, Consumer, Publisher, status_of, wait_until, write_config
from tests.edge_agent.operation.snapshots import status
from tests.mosquitto import Mosquitto


def test_page_says_everything_that_a_person_asks_first() -> None:
    page = write_page(status("labels wait"))
    for said in (
        "gw: degraded, edge-agent 1.2.3",
        "! labels wait",
        "(1 d 1 h)",
        "127.0.0.1:1883, MQTT 5, 17 reconnects",
        "1000 received, 12.5/s; 3 not_json, 2 too_large rejected",
        "90 ok, 5 unsure, 3 novel, 2 incomplete, 1 failed; 12 gaps",
        "97 accepted, 8 retried, 7 no_subscriber given up",
        "15 of at most 60000 messages",
        "18 messages, 19.5 KiB",
        "22.4 GiB free",
        "22 replaced, 21 swapped; 23 refused",
        "pump@7 (dddddddddddd)",
        "devices   13",
        "998, 12.2/s; 3 not_json rejected",
        "55 high, 40 low; 12 gaps",
        "pipeline room",
        "warning: message refused",
    ):
        assert said in page, said


def test_exit_code_tells_a_script_whether_to_look() -> None:
    assert (exit_code(status()), exit_code(status("a problem"))) == (0, 1)


def test_nobody_at_the_socket_is_exit_code_2_and_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--socket", str(tmp_path / "status.sock")]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "a running agent expected" in captured.err


def test_status_of_a_running_agent_and_of_one_whose_broker_went_away(broker: Mosquitto, tmp_path: Path) -> None:
    config, socket = write_config(tmp_path, broker.port), tmp_path / "state" / "status.sock"

    def ask(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "edge_agent", "status", "--config", str(config), *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    with Consumer(broker.port) as consumer, Publisher(broker.port) as publisher, AgentProcess(config) as agent:
        wait_until(lambda: consumer.of("/availability"), "the agent")
        start_ms = int(time.time() * 1000) // 50 * 50
        for step in range(100):
            publisher.sample("pump", start_ms + 10 * step, 1.0)
        publisher.raw("plant/pump/v", b"rubbish")
        wait_until(lambda: len(consumer.of("/label")) >= 18, "labels")

        def is_well() -> bool:
            found = status_of(socket)
            counts = found.metrics.labels_accepted >= 18, found.metrics.messages_rejected == {"not_json": 1}
            return found.health.state == "ok" and all(counts)

        wait_until(is_well, "the counts")
        well = ask()
        assert well.returncode == 0, well.stdout
        assert "gw: ok" in well.stdout
        assert "1 not_json rejected" in well.stdout
        assert "18 high" in well.stdout or "19 high" in well.stdout
        assert "message refused, not_json" in well.stdout
        assert json.loads(ask("--json").stdout)["metrics"]["labels_accepted"] >= 18

        broker.stop()
        trouble = f"no connection to the broker at 127.0.0.1:{broker.port}"
        wait_until(lambda: trouble in " ".join(status_of(socket).health.problems), "the trouble")
        away = ask()
        assert away.returncode == 1
        assert trouble in away.stdout
        agent.kill()
        assert ask().returncode == 2
