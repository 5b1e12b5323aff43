"""Resident memory of an agent with one model, beside the bare libraries with it open; and of each device more."""

from __future__ import annotations

from pathlib import Path

from benchmarks.bench_gateway import bench_gateway, packets_in_turn, skipped_without_broker
from benchmarks.measure import MEBIBYTE, Effort, ratio, spread
from benchmarks.model_file import write_model_files
from benchmarks.startup import REFERENCE, compile_rooms, programs, start
from benchmarks.table import Table
from benchmarks.workload import CHANNELS, HOP_LENGTH, WINDOW_LENGTH

N_DEVICES = (1_000, 10_000)
_FEW = 10
_ROUNDS = 3
_WINDOW_BYTES = len(CHANNELS) * WINDOW_LENGTH * 4


def run(effort: Effort, work: Path) -> list[Table]:
    """The tables of one model and of devices."""
    if skipped := skipped_without_broker():
        return skipped
    compile_rooms()
    models = write_model_files(work, n_devices=6, n_windows=20)
    rounds = effort.at_most(_ROUNDS).repeats
    counts = (_FEW, *(effort.of(n, least=20) for n in N_DEVICES))
    reference, found = list[float](), {n: list[float]() for n in counts}
    for _ in range(rounds):
        reference.append(start(programs(models, work)[REFERENCE]).resident_mib)
        for n_devices in counts:
            found[n_devices].append(_resident_mib(n_devices, models.onnx_file, work))
    one = Table(
        "an agent that labels, with one model", ("program", "resident, MiB", "times the libraries with the model open")
    )
    one.add(REFERENCE, spread(reference), ratio(reference, reference))
    one.add(f"edge-agent run, {_FEW} devices", spread(found[_FEW]), ratio(found[_FEW], reference))
    more = Table(
        "each device more",
        ("devices", "resident, MiB", "bytes a device", "above the float32 of its window, bytes"),
    )
    for n_devices in counts[1:]:
        pairs = zip(found[n_devices], found[_FEW], strict=True)
        each = [(many - few) * MEBIBYTE / (n_devices - _FEW) for many, few in pairs]
        more.add(
            f"{n_devices:,}",
            spread(found[n_devices]),
            spread(each),
            spread([size - _WINDOW_BYTES for size in each]),
        )
    more.notes.append(
        f"{len(CHANNELS)} channels of {WINDOW_LENGTH} samples are {_WINDOW_BYTES:,} bytes; two windows overlap, each "
        "device has sent two batches and holds the second in an open one"
    )
    return [one, more]


def _resident_mib(n_devices: int, model: Path, work: Path) -> float:
    devices = [f"device-{number:05d}" for number in range(n_devices)]
    packets, _ = packets_in_turn(work, f"memory-{n_devices}", "binary", devices, slice(0, 2 * HOP_LENGTH))
    with bench_gateway("binary", model, work, "limits.devices=20000", "pipelines.0.deadline_s=600") as gateway:
        gateway.send(packets, n_devices)
        return gateway.resident_bytes / MEBIBYTE
