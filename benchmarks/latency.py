"""From the last sample of a window to its label, at 500 batches a second, beside the bare broker in the same run.

Sender, receiver, broker and agent are four processes. The sender keeps its pace with packets made beforehand and notes
when each left; the receiver notes when bytes came; who belongs to whom is found after the run, by device and window. A
tenth as many messages of the same size go to a topic that only the receiver reads: the broker's own way, at that load.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.bench_gateway import skipped_without_broker
from benchmarks.collector import Collector
from benchmarks.measure import Effort, Spread, spread, wait_until_idle
from benchmarks.model_file import write_model_files
from benchmarks.publisher import write_packets
from benchmarks.receiver import arrivals
from benchmarks.rivals import ROOT, Rival, Running, rivals
from benchmarks.table import Table
from benchmarks.workload import (
    BATCH_SAMPLES,
    FORMS,
    HOP_LENGTH,
    N_DEVICES,
    START_MS,
    STEP_MS,
    TOPIC,
    WINDOW_LENGTH,
    Form,
    device_name,
    payloads,
    stream,
)
from tests.mosquitto import Mosquitto

RATE_HZ = 500.0
_SECONDS = 8.0
_PROBE_EVERY = 10
_ROUNDS = 3
_START_S = 180.0
_FORMS_HERE: tuple[Form, ...] = ("json", "binary")
_QUANTILES = (0.5, 0.9, 0.99)
_PROBE = "probe/{number}"
_WAIT_S = 120.0

Millis = NDArray[np.float64]


class Load(NamedTuple):
    """Topics and payloads in the order they are sent; what each is: (device, window) that it completes, or a probe."""

    messages: list[tuple[str, bytes]]
    completes: list[tuple[str, int] | int | None]


def run(effort: Effort, work: Path) -> list[Table]:
    """A table for each form of payload."""
    if skipped := skipped_without_broker():
        return skipped
    models = write_model_files(work, n_devices=6, n_windows=20)
    agent = rivals(models)[0]
    return [_table(form, agent, effort, work) for form in _FORMS_HERE]


def _table(form: Form, agent: Rival, effort: Effort, work: Path) -> Table:
    load = _load(form, effort.of(round(RATE_HZ * _SECONDS), least=5 * N_DEVICES))
    labels, probes = list[Millis](), list[Millis]()
    for number in range(effort.at_most(_ROUNDS).repeats):
        folder = work / f"{form}-{number}"
        folder.mkdir()
        of_label, of_probe = _one_run(agent, form, load, folder)
        labels.append(of_label)
        probes.append(of_probe)
    table = Table(
        f"{FORMS[form]}: {RATE_HZ:.0f} a second and {RATE_HZ / _PROBE_EVERY:.0f} probes, milliseconds",
        ("what", "messages", "median", "90th percentile", "99th percentile"),
    )
    for what, rounds in (("last sample to label", labels), ("bare broker round trip", probes)):
        table.add(what, sum(len(one) for one in rounds), *(_quantile(rounds, share) for share in _QUANTILES))
    table.notes.append("a label crosses the broker twice: its floor is two bare round trips")
    return table


def _quantile(rounds: list[Millis], share: float) -> Spread:
    return spread([float(np.quantile(one, share)) for one in rounds])


def _load(form: Form, n_batches: int) -> Load:
    n_each = -(-n_batches // N_DEVICES) + WINDOW_LENGTH // HOP_LENGTH - 1
    per_device = [payloads(form, stream(number, n_each * BATCH_SAMPLES)[0]) for number in range(N_DEVICES)]
    first_window = START_MS // (HOP_LENGTH * STEP_MS)
    messages: list[tuple[str, bytes]] = []
    completes: list[tuple[str, int] | int | None] = []
    for at in range(n_each):
        for number in range(N_DEVICES):
            name, payload = device_name(number), per_device[number][at]
            if len(messages) % (_PROBE_EVERY + 1) == _PROBE_EVERY:
                completes.append(len(messages))
                messages.append((_PROBE.format(number=len(messages)), payload))
            messages.append((TOPIC.format(device=name), payload))
            window = at + 1 - WINDOW_LENGTH // HOP_LENGTH
            completes.append((name, first_window + window) if window >= 0 else None)
    return Load(messages, completes)


def _one_run(agent: Rival, form: Form, load: Load, folder: Path) -> tuple[Millis, Millis]:
    """Milliseconds of every label and of every probe."""
    content, ends = write_packets(folder, "paced", load.messages)
    sent_file, kept_file = folder / "sent.npy", folder / "kept.npz"
    broker = Mosquitto(folder)
    broker.start()
    try:
        with Running(agent.command(broker.port, form, folder), folder / "log") as one:
            with Collector(broker.port) as birth:
                if birth.wait_online(_START_S) is None:
                    raise RuntimeError(f"{agent.name}: no birth within {_START_S:g} s; its output:\n{one.log}")
            wait_until_idle(one.pid)
            filters = ("telltale/v1/bench/+/label", "probe/+")
            receiver = _started("receiver", str(broker.port), str(kept_file), str(_n_labels(load)), *filters)
            pacer = _started("pacer", str(broker.port), str(content), str(ends), str(_rate(load)), str(sent_file))
            _tell(pacer, "go\n")
            if _line(pacer) != "done\n":
                raise RuntimeError("the pacer did not come to its end")
            wait_until_idle(one.pid)
            _end(receiver)
            _end(pacer)
    finally:
        broker.kill()
    return _matched(load, np.load(sent_file), kept_file)


def _n_labels(load: Load) -> int:
    """Labels that will come: those that are timed, and the first of each device, of a window that began before it."""
    return sum(isinstance(what, tuple) for what in load.completes) + N_DEVICES


def _rate(load: Load) -> float:
    """Packets a second, so that the batches among them come at their rate."""
    n_batches = sum(not isinstance(what, int) for what in load.completes)
    return RATE_HZ * len(load.messages) / n_batches


def _matched(load: Load, sent_ns: NDArray[np.int64], kept_file: Path) -> tuple[Millis, Millis]:
    sent_of = {what: int(sent_ns[number]) for number, what in enumerate(load.completes) if what is not None}
    labels, probes = list[float](), list[float]()
    for topic, payload, came_ns in arrivals(kept_file):
        if topic.startswith("probe/"):
            probes.append((came_ns - sent_of[int(topic.removeprefix("probe/"))]) / 1e6)
            continue
        message = json.loads(payload)
        began_ns = sent_of.pop((message["device"], message["window"]["index"]), None)
        if began_ns is not None:
            labels.append((came_ns - began_ns) / 1e6)
    n_expected = sum(isinstance(what, tuple) for what in load.completes)
    if len(labels) != n_expected or not probes:
        raise RuntimeError(f"{n_expected} labels expected, got {len(labels)}, and {len(probes)} probes")
    return np.array(labels), np.array(probes)


def _started(module: str, *arguments: str) -> subprocess.Popen[str]:
    """The process, when it has said that it is ready."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    if _line(process) != "ready\n":
        raise RuntimeError(f"the {module} did not come up")
    return process


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def _tell(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdin is not None
    process.stdin.write(text)
    process.stdin.flush()


def _end(process: subprocess.Popen[str]) -> None:
    """Close its input, wait for it, and give back its pipes."""
    process.communicate(timeout=_WAIT_S)
    if process.returncode:
        raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
