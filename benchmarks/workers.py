"""One process beside two and four that share the devices: what the work costs in all, and how evenly it is spread.

On a machine with fewer cores than processes wall time says nothing about workers; CPU does: the busiest worker is what
a gateway with enough cores would wait for.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.bench_gateway import Spent, bench_gateway, packets_in_turn, skipped_without_broker
from benchmarks.measure import Effort, ratio, spread
from benchmarks.model_file import write_model_files
from benchmarks.table import Table
from benchmarks.workload import FORMS, HOP_LENGTH, WINDOW_LENGTH, Form

_HOPS: dict[Form, int] = {"single": 8, "json": 100}
_DEVICES = 100
_COUNTS = (1, 2, 4)
_ROUNDS = 3


def run(effort: Effort, work: Path) -> list[Table]:
    """A table for each form of payload."""
    if skipped := skipped_without_broker():
        return skipped
    model = write_model_files(work, n_devices=6, n_windows=20).onnx_file
    return [_table(form, effort, model, work) for form in _HOPS]


def _table(form: Form, effort: Effort, model: Path, work: Path) -> Table:
    n_samples = max(WINDOW_LENGTH + HOP_LENGTH, effort.of(_HOPS[form]) * HOP_LENGTH)
    n_devices = effort.of(_DEVICES, least=8)
    devices = [f"device-{number:03d}" for number in range(n_devices)]
    packets, n_messages = packets_in_turn(work, form, form, devices, slice(0, n_samples))
    n_windows = n_devices * ((n_samples - WINDOW_LENGTH) // HOP_LENGTH + 1)
    found: dict[int, list[Spent]] = {count: [] for count in _COUNTS}
    for _ in range(effort.at_most(_ROUNDS).repeats):
        for count in _COUNTS:
            with bench_gateway(form, model, work, f"gateway.workers={count}") as gateway:
                found[count].append(gateway.send(packets, n_windows))
    table = Table(
        f"{FORMS[form]}: {n_messages:,} messages of {n_devices} devices",
        (
            "workers",
            "CPU µs/message, all processes",
            "CPU µs/message, the busiest",
            "one process's CPU, times the busiest's",
            "CPU of all, times one process's",
        ),
    )
    alone = [one.total_s for one in found[1]]
    for count, spent in found.items():
        busiest = [max(one.cpu_s.values()) for one in spent]
        table.add(
            str(count),
            spread([1e6 * one.total_s / n_messages for one in spent]),
            spread([1e6 * one / n_messages for one in busiest]),
            ratio(alone, busiest),
            ratio([one.total_s for one in spent], alone),
        )
    table.notes.append(
        "every worker reads every message and leaves what is not its own undecoded; the supervisor is in the sum"
    )
    return table
