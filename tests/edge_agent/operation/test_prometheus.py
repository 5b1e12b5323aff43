"""The endpoint of a real agent, scraped over HTTP."""

import socket
import time
import urllib.request
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from edge_agent.operation.board import Board
from edge_agent.operation.prometheus import Endpoint
from edge_agent.operation.visitors import MAX_VISITORS
from tests.edge_agent.gateway import DEADLINE_S, AgentProcess, Consumer, Publisher, wait_until, write_config
from tests.edge_agent.operation.snapshots import status
from tests.mosquitto import Mosquitto, free_port


def scrape(port: int) -> dict[str, float]:
    """What the endpoint says, or nothing while nobody answers there."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=DEADLINE_S) as answer:
            text = answer.read().decode()
    except OSError:
        return {}
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_endpoint_of_a_running_agent_counts_what_came(broker: Mosquitto, tmp_path: Path) -> None:
    port = free_port()
    config = write_config(tmp_path, broker.port)
    agent = AgentProcess(config, "--set", f"status.prometheus_port={port}")
    with Consumer(broker.port) as consumer, Publisher(broker.port) as publisher, agent:
        wait_until(lambda: consumer.of("/availability"), "the agent")
        start_ms = int(time.time() * 1000) // 50 * 50
        for step in range(100):
            publisher.sample("pump", start_ms + 10 * step, 1.0)
        publisher.raw("plant/pump/v", b"rubbish")
        wait_until(lambda: scrape(port).get("telltale_labels_accepted_total", 0) >= 18, "labels")
        wait_until(lambda: scrape(port).get("telltale_messages_received_total") == 101, "messages")
        found = scrape(port)

        assert found["telltale_messages_rejected_total not_json"] == 1
        assert found["telltale_pipeline_devices pump"] == 1
        assert found["telltale_windows_total labelled"] >= 18
        assert found["telltale_label_latency_seconds_count"] >= 18
        assert found["telltale_inference_duration_seconds_sum"] > 0
        assert abs(found["telltale_last_window_timestamp_seconds"] - time.time()) < 60
        assert found["process_resident_memory_bytes"] > 1e6
        assert agent.stop() == 0


def test_port_in_use_is_one_line_and_the_agent_goes_on(broker: Mosquitto, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, Consumer(broker.port) as consumer:
        port = taken.getsockname()[1]
        config = write_config(tmp_path, broker.port)
        with AgentProcess(config, "--set", f"status.prometheus_port={port}") as agent:
            wait_until(lambda: consumer.of("/info"), "the agent")
            assert agent.log.count(f"127.0.0.1:{port} cannot be listened on: Address already in use") == 1
            assert "Traceback" not in agent.log


def test_no_server_is_imported_where_none_is_asked_for(broker: Mosquitto, tmp_path: Path) -> None:
    config = write_config(tmp_path, broker.port)
    with Consumer(broker.port) as consumer, AgentProcess(config) as agent:
        wait_until(lambda: consumer.of("/info"), "the agent")
        maps = Path(f"/proc/{agent.pid}/net/tcp").read_text()
        listening = [line for line in maps.splitlines() if " 0A " in line and f" {agent.pid} " in line]
        assert listening == []
        assert "Prometheus" not in agent.log


def test_visitors_who_say_nothing_take_at_most_eight_places() -> None:
    board = Board()
    board.show(status(), time.monotonic())
    endpoint = Endpoint("127.0.0.1", 0, board)
    address = ("127.0.0.1", endpoint.port)
    silent = [socket.create_connection(address, timeout=DEADLINE_S) for _ in range(MAX_VISITORS)]
    with socket.create_connection(address, timeout=DEADLINE_S) as late:
        late.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert _answer(late) == b""
    for line in silent:
        line.close()

    def is_served() -> bool:
        with socket.create_connection(address, timeout=DEADLINE_S) as line:
            line.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            return b"telltale_build_info" in _answer(line)

    wait_until(is_served, "a free place")
    endpoint.close()
    assert endpoint.port > 0


def _answer(line: socket.socket) -> bytes:
    found = b""
    try:
        while piece := line.recv(65_536):
            found += piece
    except ConnectionResetError:
        pass
    return found
