"""One agent on a broker of its own, as the benchmarks of item 5 and 6 run it: started, loaded, looked at, ended."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil

from benchmarks.collector import Collector
from benchmarks.measure import MEBIBYTE, cpu_seconds, resident_mib, wait_until_idle
from benchmarks.publisher import publish_apart, write_packets
from benchmarks.rivals import Running, agent_config
from benchmarks.table import Table
from benchmarks.workload import TOPIC, Form, payloads, stream
from tests.mosquitto import Mosquitto, find_mosquitto

_UNLIMITED = ("max_queued_messages 0", "max_queued_bytes 0")
_START_S = 180.0
_LABELS_S = 120.0
_PATTERNS = 50

Packets = tuple[Path, Path]


class Spent(NamedTuple):
    """What a load cost: wall seconds to the last label, CPU seconds of each process of the agent until it was idle."""

    wall_s: float
    cpu_s: dict[int, float]

    @property
    def total_s(self) -> float:
        """CPU of all processes."""
        return sum(self.cpu_s.values())


class BenchGateway:
    """A running agent with the broker and the collector around it."""

    def __init__(self, broker: Mosquitto, collector: Collector, program: Running) -> None:
        self.port = broker.port
        self._collector = collector
        self._program = program
        self._n_labels = 0

    @property
    def pids(self) -> list[int]:
        """The process that was started and, with workers, theirs behind it."""
        return [self._program.pid, *(child.pid for child in psutil.Process(self._program.pid).children())]

    def wait_until_idle(self) -> None:
        """Return when every process of the agent has come to rest."""
        for pid in self.pids:
            wait_until_idle(pid)

    def send(self, packets: Packets, n_labels: int) -> Spent:
        """Send all packets and wait for so many more labels of whole windows.

        Raises
        ------
        RuntimeError
            If they do not come; the message carries the agent's log.
        """
        self.wait_until_idle()
        before = {pid: cpu_seconds(pid) for pid in self.pids}
        begun_s = publish_apart(self.port, packets)
        self._n_labels += n_labels
        got = self._collector.wait_labels(self._n_labels, _LABELS_S)
        if len(got) != self._n_labels:
            raise RuntimeError(
                f"{self._n_labels} labels expected, got {len(got)}; the agent said:\n{self._program.log}"
            )
        # What is still to do for these messages, such as acknowledging them, belongs to their price.
        self.wait_until_idle()
        end_s = got[-1][0] if got else begun_s
        return Spent(end_s - begun_s, {pid: cpu_seconds(pid) - before[pid] for pid in before})

    @property
    def resident_bytes(self) -> int:
        """Resident memory of the agent's first process."""
        return round(resident_mib(self._program.pid) * MEBIBYTE)


@contextmanager
def bench_gateway(form: Form, model: Path, work: Path, *overrides: str) -> Iterator[BenchGateway]:
    """An agent that has said that it is online, on a fresh broker."""
    with tempfile.TemporaryDirectory(dir=work) as name:
        folder = Path(name)
        broker = Mosquitto(folder, _UNLIMITED)
        broker.start()
        try:
            config = folder / "agent.toml"
            config.write_text(agent_config(broker.port, form, model, folder / "state"))
            given = [part for override in overrides for part in ("--set", override)]
            command = [sys.executable, "-m", "edge_agent", "run", "--config", str(config), *given]
            with Collector(broker.port) as collector, Running(command, folder / "agent.log") as program:
                if collector.wait_online(_START_S) is None:
                    raise RuntimeError(f"no birth message within {_START_S:g} s; the agent said:\n{program.log}")
                yield BenchGateway(broker, collector, program)
        finally:
            broker.kill()


def packets_in_turn(work: Path, name: str, form: Form, devices: Sequence[str], samples: slice) -> tuple[Packets, int]:
    """One message of each device in turn, as files for the publisher, and how many they are.

    At most 50 devices differ in what they say: making ten thousand streams would take longer than the run.
    """
    known = [
        payloads(form, stream(number, samples.stop)[0][samples], samples.start)
        for number in range(min(_PATTERNS, len(devices)))
    ]
    n_each = len(known[0])
    messages = [
        (TOPIC.format(device=device), known[number % len(known)][at])
        for at in range(n_each)
        for number, device in enumerate(devices)
    ]
    return write_packets(work, name, messages), len(messages)


def skipped_without_broker() -> list[Table]:
    """One table that says so where there is no mosquitto; else nothing."""
    if find_mosquitto() is not None:
        return []
    return [Table("skipped: mosquitto is not installed (sudo apt-get install mosquitto)", ("what",))]
