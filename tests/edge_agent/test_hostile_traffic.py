"""What a sender or a broker may throw at a running agent: size, number, rubbish, and clocks that jump (R23, R27).

Every refusal is counted by its reason, memory stays where it is, the connection stays up, and labels go on.
"""

import json
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import pytest

from edge_agent.config_sources import load_config
from edge_agent.engine import Engine, Gap, Pipeline
from edge_agent.shell.mqtt_link import MqttLink
from edge_agent.shell.publish_packets import Packet
from schemas.mapping import JsonMapping
from signals import WindowSpec, compile_decoder
from tests.edge_agent.gateway import DEADLINE_S, ROOT, AgentProcess, Consumer, Publisher, wait_until, write_config
from tests.mosquitto import Mosquitto

MOST_BYTES = 268_435_455
ROOM_BYTES = 16 * 1024 * 1024
T0_MS = 1_700_000_000_000


def metrics(consumer: Consumer) -> dict[str, object]:
    said = consumer.of("/metrics")
    return said[-1] if said else {}


def rejected(consumer: Consumer) -> dict[str, int]:
    found = metrics(consumer).get("messages_rejected", {})
    assert isinstance(found, dict)
    return found


def _has_labels(consumer: Consumer, n_windows: int) -> bool:
    return len(label_indices(consumer, "d")) >= n_windows


def label_indices(consumer: Consumer, device: str) -> set[int]:
    return {index for name, index in consumer.labels() if name == device}


@pytest.mark.fault
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_payload_of_256_mb_costs_the_agent_no_memory_and_no_connection(
    protocol: str, start_broker: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    """MQTT 5: the broker keeps it back, and the windows that lack its sample say so. 3.1.1: let pass, and counted."""
    broker = start_broker()
    config = write_config(tmp_path, broker.port)
    with (
        Consumer(broker.port) as consumer,
        Publisher(broker.port) as publisher,
        AgentProcess(config, "--set", f"mqtt.protocol={protocol}") as agent,
    ):
        wait_until(lambda: consumer.of("/metrics"), "the agent")
        for at in range(15):
            publisher.sample("d", T0_MS + 10 * at, 1.0)
        wait_until(lambda: len(label_indices(consumer, "d")) >= 2, "labels before")
        before = psutil.Process(agent.pid).memory_info().rss
        publisher.raw("plant/d/v", bytes(MOST_BYTES - 1000))
        for at in range(16, 60):  # the sixteenth sample was the large one
            publisher.sample("d", T0_MS + 10 * at, 1.0)
        wait_until(lambda: len(label_indices(consumer, "d")) >= 9, "labels after", 5 * DEADLINE_S)
        peak = int(
            next(
                line.split()[1]
                for line in Path(f"/proc/{agent.pid}/status").read_text().splitlines()
                if line.startswith("VmHWM")
            )
        )
        assert peak * 1024 - before < ROOM_BYTES
        assert agent.log.count("connected to") == 1
        lengths = {index: label["window"]["n_samples"] for (_, index), label in consumer.labels().items()}
        first = min(lengths)  # it began before the first sample
        # Both windows over the sixteenth sample say that it is missing; the sender was busy with it for long, so the
        # first of them was closed by its deadline.
        assert {index - first for index, n_samples in lengths.items() if n_samples < 10} == {0, 3, 4}
        expected = {} if protocol == "5" else {"too_large": 1}
        wait_until(lambda: rejected(consumer) == expected, "the count")


class LoudBroker:
    """Accepts one client and sends what it is told, whatever the client asked for."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._pieces = pieces
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(bytes([0x20, 2, 0, 0]))
            for piece in self._pieces:
                connection.sendall(piece)
            self._is_over.wait(60.0)

    def close(self) -> None:
        self._is_over.set()
        self._thread.join()
        self._listener.close()


@pytest.mark.parametrize("n_first", [1, 3, 5, 6, 8, 10, 4096])
def test_large_packet_is_let_pass_however_it_is_cut(n_first: int, tmp_path: Path) -> None:
    size = 1_000_000
    head = bytes([0x32]) + bytes([size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14]) + b"\x00\x05plant\x00\x07"
    large = head + bytes(size - 9)
    after = bytes([0x32, 10]) + b"\x00\x05plant\x00\x08x"
    broker = LoudBroker([large[:n_first], large[n_first:] + after])
    config = load_config(write_config(tmp_path, broker.port), {}, ["mqtt.protocol=3.1.1"])
    link = MqttLink(config, ["plant"], "will", b"")
    try:
        until_s = time.monotonic() + DEADLINE_S
        packets: list[Packet] = []
        while len(packets) < 2 and time.monotonic() < until_s:
            link.turn(0.05)
            while link.inbox:
                packets += link.next_burst().packets
        assert [(topic, len(payload), mid) for topic, payload, mid, _ in packets] == [
            (b"plant", size, 7),
            (b"plant", 1, 8),
        ]
        assert bytes(packets[0][1]) == b""
    finally:
        link.close(time.monotonic())
        broker.close()


RUBBISH: dict[bytes, str] = {
    b"": "not_json",
    b"{": "not_json",
    b'{"t": 1, "x": NaN, "y": 0}': "not_json",
    b'{"t": 1, "x": Infinity, "y": 0}': "not_json",
    b'{"t": 1700000000000, "x": 1e999, "y": 0}': "not_json",
    b'{"t": 1700000000000, "x": 1e39, "y": 0}': "not_finite",
    b'{"t": 1700000000000, "x": ' + b"9" * 400 + b', "y": 0}': "not_json",
    b'\xef\xbb\xbf{"t": 1700000000000, "x": 1, "y": 0}': "not_json",
    '{"t": 1700000000000, "x": 1, "y": 0}'.encode("utf-16"): "not_json",
    b'{"t": 1700000000000, "x": "\\ud800", "y": 0}': "not_json",
    b"[" * 50_000: "not_json",
    b'{"x": 1, "y": 0}': "bad_time",
    b'{"t": 1700000000000}': "missing_field",
    b'{"t": 1700000000000, "x": "1.5", "y": 0}': "not_a_number",
    b'{"t": 1e300, "x": 1, "y": 0}': "bad_time",
    b"x" * 70_000: "too_large",
}


def test_rubbish_on_a_real_broker_is_counted_by_its_reason_and_labels_go_on(broker: Mosquitto, tmp_path: Path) -> None:
    """Retained messages are no samples; two filters that overlap feed each pipeline once."""
    second = """
[[pipelines]]
name = "twin"
topics = ["plant/{device}/v", "plant/{device}/#"]
model = "small.onnx"
[pipelines.mapping]
format = "json"
channels = { x = "x", y = "y" }
time = { path = "t", unit = "ms" }
"""
    config = write_config(tmp_path, broker.port)
    config.write_text(config.read_text() + second)
    with Consumer(broker.port) as consumer, Publisher(broker.port) as publisher:
        publisher.raw("plant/old/v", b'{"t": 1, "x": 1, "y": 0}', retain=True)
        with AgentProcess(config) as agent:
            wait_until(lambda: consumer.of("/metrics"), "the agent")
            for payload in RUBBISH:
                publisher.raw("plant/d/v", payload)
            publisher.raw("plant/" + "d" * 300 + "/v", b'{"t": 1700000000000, "x": 1, "y": 0}')
            for at in range(30):
                publisher.sample("d", T0_MS + 10 * at, 1.0)
            wait_until(lambda: len(label_indices(consumer, "d")) >= 5, "labels")
            expected: dict[str, int] = {"bad_device": 2}
            for reason in RUBBISH.values():
                expected[reason] = expected.get(reason, 0) + (1 if reason == "too_large" else 2)
            wait_until(lambda: rejected(consumer) == expected, f"counts {expected}")
            assert {label["window"]["n_samples"] for label in consumer.labels().values()} <= {5, 10}  # 5: the first one
            assert "Traceback" not in agent.log
            assert "internal" not in agent.log


# ---------------------------------------------------------------------- the engine alone

SPEC = WindowSpec(("x",), 100.0, 10, 5)
N_IDS = 8_000
MAX_DEVICES = 100
N_SAMPLES = 2_500


def engine_of(max_devices: int, *, has_time: bool = True) -> Engine:
    time_of = {"time": {"path": "t", "unit": "ms"}} if has_time else {}
    mapping = JsonMapping.model_validate({"format": "json", "channels": {"x": "x"}, **time_of})
    decoder = compile_decoder(mapping, ["plant/{device}/v"], ["x"], 100.0)
    return Engine([Pipeline("pump", ("plant/{device}/v",), decoder, SPEC)], max_devices=max_devices)


def test_ids_without_end_cost_bounded_memory_and_every_eviction_is_counted() -> None:
    engine = engine_of(MAX_DEVICES)
    declared = 0

    def feed(first: int, last: int) -> None:
        nonlocal declared
        for number in range(first, last):
            events = engine.receive(
                f"plant/d{number}/v",
                b'{"t": 1700000000000, "x": 1}',
                wall_ns=T0_MS * 1_000_000,
                clock_ns=number,
                number=number,
            )
            for event in events:
                assert isinstance(event, Gap)
                declared += 1
                engine.accepted(event.pipeline, event.device, event.last_index)
            engine.acknowledgeable(number + 1)
            if number % 1000 == 0:
                engine.resume_changes()

    feed(0, N_IDS // 2)
    tracemalloc.start()
    try:
        feed(N_IDS // 2, N_IDS)
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert grown < 3_000_000  # topics that it remembers, within bounds; 4,000 devices would be 8 MB
    assert engine.n_devices == MAX_DEVICES
    assert engine.counters.evicted == N_IDS - MAX_DEVICES == declared


@pytest.mark.parametrize(
    "jump_s", [3_600, -3_600, 60 * 86_400, -60 * 86_400, -T0_MS // 1000], ids=["+1h", "-1h", "+60d", "-60d", "1970"]
)
@pytest.mark.parametrize("has_time", [True, False], ids=["event time", "receipt time"])
def test_wall_clock_that_jumps_neither_raises_nor_moves_a_deadline(jump_s: int, has_time: bool) -> None:
    """R23: deadlines are of the monotonic clock; what receipt times can no longer place is declared."""
    engine = engine_of(10, has_time=has_time)
    n_windows = 0

    def feed(first: int, last: int, wall_offset_ns: int) -> int:
        count = 0
        for at in range(first, last):
            payload = json.dumps({"t": T0_MS + 10 * at, "x": 1.0}).encode()
            wall_ns, clock_ns = T0_MS * 1_000_000 + at * 10_000_000 + wall_offset_ns, at * 10_000_000
            events = engine.receive("plant/d/v", payload, wall_ns=wall_ns, clock_ns=clock_ns, number=at)
            count += sum(not isinstance(event, Gap) for event in events)
        return count

    n_windows += feed(0, 52, 0)
    n_windows += feed(52, N_SAMPLES, jump_s * 1_000_000_000)
    # The end of the last window passed with the last sample on the monotonic clock, and its deadline is 2 s later.
    end_ns = N_SAMPLES * 10_000_000
    early, late = engine.tick(end_ns), engine.tick(end_ns + 20_000_000_000)
    assert early or late
    assert len(early) <= 2  # what stood open at a jump back is over by its own deadline
    assert sum(engine.counters.rejected.values()) == 0
    if has_time:
        assert early == []
        assert n_windows == (N_SAMPLES - 10) // 5 + 2  # the first one began before the first sample
        assert engine.counters.gaps == 0
    else:
        # It goes on after the jump; a step back is believed after ten seconds, and what was lost by then is declared.
        lost = engine.counters.samples.late
        assert lost <= 1_000
        assert n_windows >= (N_SAMPLES - lost) // 5 - 4
        assert engine.counters.gaps == 1


SHIFTED = """
import sys, time
from functools import partial
from pathlib import Path
clock, shift = time.time_ns, Path(sys.argv.pop(1))
time.time_ns = lambda: clock() + int(shift.read_text())
time.time = lambda: time.time_ns() / 1e9
from edge_agent.cli import main
sys.exit(main())
"""


@pytest.mark.fault
def test_running_agent_survives_every_jump_of_its_clock(broker: Mosquitto, tmp_path: Path) -> None:
    config = write_config(tmp_path, broker.port)
    shift = tmp_path / "shift"
    shift.write_text("0")
    command = [sys.executable, "-c", SHIFTED, str(shift), "run", "--config", str(config)]
    with (tmp_path / "log").open("wb") as log, Consumer(broker.port) as consumer, Publisher(broker.port) as publisher:
        agent = subprocess.Popen(command, cwd=ROOT, stderr=log)
        try:
            wait_until(lambda: consumer.of("/metrics"), "the agent")
            at = 0
            for jump_s in (0, 3_600, -3_600, 60 * 86_400, -60 * 86_400, -int(time.time())):
                (tmp_path / "next").write_text(str(jump_s * 10**9))
                (tmp_path / "next").replace(shift)
                for _ in range(20):
                    publisher.sample("d", T0_MS + 10 * at, 1.0)
                    at += 1
                n_windows = (at - 10) // 5
                wait_until(partial(_has_labels, consumer, n_windows), f"labels after {jump_s} s")
            lengths = {index: label["window"]["n_samples"] for (_, index), label in consumer.labels().items()}
            assert {n_samples for index, n_samples in lengths.items() if index > min(lengths)} == {10}
            agent.terminate()
            assert agent.wait(30.0) == 0
            assert "Traceback" not in (tmp_path / "log").read_text()
        finally:
            agent.kill()
            agent.wait()
