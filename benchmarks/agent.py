"""The agent and two scripts written by hand, on the same messages through the same kind of broker.

Each run has a fresh mosquitto on loopback, one program under test, one publisher process and one subscriber. Rounds go
rival by rival, so that a busy neighbour hits all of them; ratios are taken inside a round.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.collector import Collector, Label, parse_label
from benchmarks.measure import Effort, cpu_seconds, ratio, resident_mib, spread, wait_until_idle
from benchmarks.model_file import write_model_files
from benchmarks.publisher import publish_apart, write_packets
from benchmarks.rivals import Rival, Running, rivals
from benchmarks.table import Table
from benchmarks.workload import FORMS, HOP_LENGTH, N_DEVICES, TOPIC, WINDOW_LENGTH, Form, Load, payloads, stream
from tests.mosquitto import Mosquitto, find_mosquitto

_START_S = 180.0
_RUN_S = 120.0
_WARM_DEVICE = "warm-up"
_WARM_SAMPLES = 8 * HOP_LENGTH
_SAMPLES: dict[Form, int] = {"single": 16 * HOP_LENGTH, "json": 60 * HOP_LENGTH, "binary": 120 * HOP_LENGTH}
"""Samples a device sends in a full run: enough for CPU times of a second, short enough for several rounds."""

_ROUNDS = 3

_UNLIMITED = ("max_queued_messages 0", "max_queued_bytes 0")
Packets = tuple[Path, Path]


class Run(NamedTuple):
    """What one run of one rival gave."""

    wall_s: float
    cpu_s: float
    resident_mib: float
    online_s: float
    first_label_s: float
    labels: list[Label]


def run(effort: Effort, work: Path) -> list[Table]:
    """The tables of throughput, one for each form of payload, and of start and labels."""
    if find_mosquitto() is None:
        skipped = Table("skipped: mosquitto is not installed (sudo apt-get install mosquitto)", ("what",))
        return [skipped]
    models = write_model_files(work, n_devices=effort.of(20, least=4), n_windows=effort.of(100, least=20))
    contestants = rivals(models)
    start = Table(
        "start and memory",
        ("program", "process start to birth, s", "to the first label, s", "resident after load, MiB"),
    )
    runs_of: dict[str, list[Run]] = defaultdict(list)
    labels = Table("labels, window by window", ("form", "rival", "labels compared", "differing"))
    tables = []
    for form in FORMS:
        n_samples = max(WINDOW_LENGTH + HOP_LENGTH, effort.of(_SAMPLES[form] // HOP_LENGTH) * HOP_LENGTH)
        load = Load(form, effort.of(N_DEVICES, least=4) if effort.share < 0.1 else N_DEVICES, n_samples)
        runs = _rounds(contestants, load, effort.at_most(_ROUNDS).repeats, work)
        tables.append(_throughput(load, runs))
        for name, done in runs.items():
            runs_of[name] += done
        _compare(form, runs, labels)
    for name, done in runs_of.items():
        start.add(
            name,
            spread([one.online_s for one in done]),
            spread([one.first_label_s for one in done]),
            spread([one.resident_mib for one in done]),
        )
    start.notes.append(
        "the first label: of eight windows that are sent when the birth message is seen; fresh broker, warm disk cache"
    )
    labels.notes.append(f"one network in all three programs; it labels {models.accuracy:.1%} of fresh windows rightly")
    return [*tables, start, labels]


def _rounds(contestants: Sequence[Rival], load: Load, repeats: int, work: Path) -> dict[str, list[Run]]:
    packets = write_packets(work, load.form, load.messages())
    warm = [
        (TOPIC.format(device=_WARM_DEVICE), payload) for payload in payloads(load.form, stream(0, _WARM_SAMPLES)[0])
    ]
    warm_packets = write_packets(work, f"{load.form}-warm", warm)
    runs: dict[str, list[Run]] = {rival.name: [] for rival in contestants}
    for _ in range(repeats):
        for rival in contestants:
            with tempfile.TemporaryDirectory(dir=work) as folder:
                runs[rival.name].append(_one_run(rival, load, (warm_packets, packets), Path(folder)))
    return runs


def _one_run(rival: Rival, load: Load, packets: tuple[Packets, Packets], folder: Path) -> Run:
    broker = Mosquitto(folder, _UNLIMITED)
    broker.start()
    try:
        with Collector(broker.port) as collector:
            command = rival.command(broker.port, load.form, folder)
            started_s = time.monotonic()
            with Running(command, folder / "program.log") as program:
                return _measure(rival, load, packets, program, collector, broker.port, started_s)
    finally:
        broker.kill()


def _measure(  # noqa: PLR0917 - the parts of one run
    rival: Rival,
    load: Load,
    packets: tuple[Packets, Packets],
    program: Running,
    collector: Collector,
    port: int,
    started_s: float,
) -> Run:
    online_s = collector.wait_online(_START_S)
    if online_s is None:
        raise RuntimeError(f"{rival.name}: no birth message within {_START_S:g} s; its output:\n{program.log}")
    publish_apart(port, packets[0])
    n_warm = (_WARM_SAMPLES - WINDOW_LENGTH) // HOP_LENGTH + 1
    warm = _wanted(rival, collector, n_warm, program)
    wait_until_idle(program.pid)
    cpu_before = cpu_seconds(program.pid)
    begun_s = publish_apart(port, packets[1])
    got = _wanted(rival, collector, n_warm + load.n_windows, program)
    # What is still to do for these messages, such as acknowledging them, belongs to their price.
    wait_until_idle(program.pid)
    cpu_s = cpu_seconds(program.pid) - cpu_before
    memory = resident_mib(program.pid)
    labels = [label for _, payload in got if (label := parse_label(payload)).device != _WARM_DEVICE]
    return Run(got[-1][0] - begun_s, cpu_s, memory, online_s - started_s, warm[0][0] - started_s, labels)


def _wanted(rival: Rival, collector: Collector, n_labels: int, program: Running) -> list[tuple[float, bytes]]:
    got = collector.wait_labels(n_labels, _RUN_S)
    if len(got) != n_labels:
        raise RuntimeError(f"{rival.name}: {n_labels} labels expected, got {len(got)}; its output:\n{program.log}")
    return got


def _throughput(load: Load, runs: dict[str, list[Run]]) -> Table:
    messages, windows = load.n_messages, load.n_windows
    table = Table(
        f"{FORMS[load.form]}: {messages:,} messages of {load.n_devices} devices, {windows:,} windows",
        ("program", "messages/s", "windows/s", "CPU µs/message", "CPU µs/window", "CPU, times the agent's"),
    )
    ours = [one.cpu_s for one in next(iter(runs.values()))]
    for name, done in runs.items():
        table.add(
            name,
            spread([messages / one.wall_s for one in done]),
            spread([windows / one.wall_s for one in done]),
            spread([1e6 * one.cpu_s / messages for one in done]),
            spread([1e6 * one.cpu_s / windows for one in done]),
            ratio([one.cpu_s for one in done], ours),
        )
    return table


def _compare(form: Form, runs: dict[str, list[Run]], table: Table) -> None:
    """Labels of each device in their order, against those of the first rival; and each rival against itself."""
    (own, ours), *others = runs.items()
    reference = _by_device(ours[0].labels)
    pairs = [(own, ours[1:]), *others] if len(ours) > 1 else others
    for name, done in pairs:
        compared = differing = 0
        for one in done:
            theirs = _by_device(one.labels)
            for device in reference.keys() | theirs.keys():
                mine, other = reference.get(device, []), theirs.get(device, [])
                compared += max(len(mine), len(other))
                differing += abs(len(mine) - len(other)) + sum(a != b for a, b in zip(mine, other, strict=False))
        table.add(FORMS[form], f"{name}, its other rounds" if name == own else name, compared, differing)
    classes = Counter(label for per_device in reference.values() for label in per_device)
    if len(classes) < 2:
        raise RuntimeError("labels of at least two classes expected, got one: nothing would be compared")


def _by_device(labels: Sequence[Label]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for device, label in labels:
        found[device].append(label)
    return found
