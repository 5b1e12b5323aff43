"""What a message costs at 10 to 10,000 devices: the same number of messages and of windows, spread over more of them.

Before the clock starts every device has sent its first batch, so that each message that is counted closes one window.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.bench_gateway import bench_gateway, packets_in_turn, skipped_without_broker
from benchmarks.measure import Effort, ratio, spread
from benchmarks.model_file import write_model_files
from benchmarks.table import Table
from benchmarks.workload import FORMS, HOP_LENGTH, Form

N_DEVICES = (10, 100, 1_000, 10_000)
N_MESSAGES = 20_000
_ROUNDS = 3
_FORM: Form = "binary"


def run(effort: Effort, work: Path) -> list[Table]:
    """The table of costs."""
    if skipped := skipped_without_broker():
        return skipped
    model = write_model_files(work, n_devices=6, n_windows=20).onnx_file
    counts = [n for n in N_DEVICES if n <= max(100, effort.of(N_DEVICES[-1]))]
    n_messages = max(counts[-1], effort.of(N_MESSAGES))
    found: dict[int, list[float]] = {n: [] for n in counts}
    for _ in range(effort.at_most(_ROUNDS).repeats):
        for n_devices in counts:
            found[n_devices].append(_cost_us(n_devices, n_messages, model, work))
    table = Table(
        f"CPU of one message, {FORMS[_FORM]}, {n_messages:,} messages, a window each",
        ("devices", "CPU µs/message", "CPU, times that of 100 devices"),
    )
    for n_devices in counts:
        table.add(f"{n_devices:,}", spread(found[n_devices]), ratio(found[n_devices], found[100]))
    return [table]


def _cost_us(n_devices: int, n_messages: int, model: Path, work: Path) -> float:
    devices = [f"device-{number:05d}" for number in range(n_devices)]
    n_each = n_messages // n_devices
    first, _ = packets_in_turn(work, f"first-{n_devices}", _FORM, devices, slice(0, HOP_LENGTH))
    rest, n_rest = packets_in_turn(
        work, f"rest-{n_devices}", _FORM, devices, slice(HOP_LENGTH, (n_each + 1) * HOP_LENGTH)
    )
    with bench_gateway(_FORM, model, work, "limits.devices=20000", "pipelines.0.deadline_s=600") as gateway:
        gateway.send(first, 0)
        return 1e6 * gateway.send(rest, n_rest).total_s / n_rest
