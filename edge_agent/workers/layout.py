"""How many workers share the devices of this gateway, and what each of them goes on with: folders, names, watermarks.

The number is kept beside the watermarks. A change of it is a hand-over in two steps that may each be cut off by a power
failure: the watermarks of all the old workers are written as one file together with the new number; from that file the
new workers' folders are made, as often as it takes, and it is removed at the end.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from edge_agent.config import AgentConfig
from edge_agent.shell.disk_writer import DiskWriter
from edge_agent.shell.state import FILE_NAME, LOG_NAME, StateFile
from edge_agent.workers.share import share_of

LAYOUT_FILE = "workers.json"
HANDOVER_FILE = "handover.json"
SCHEMA = "workers/1"
WATERMARK_SCHEMA = "watermark/1"

Watermarks = dict[str, Any]


class Handover(NamedTuple):
    """A change that was decided and may not be finished: workers before and to come, and all watermarks."""

    n_before: int
    n_workers: int
    watermarks: Watermarks


def worker_config(config: AgentConfig, n_workers: int, worker: int) -> AgentConfig:
    """What the agent of one worker is told; for one worker alone, what an agent without a supervisor is told.

    Examples
    --------
    >>> from edge_agent.workers.share import example_config
    >>> config = worker_config(example_config("plant/{device}/v"), 3, 1)
    >>> config.client_id, str(config.gateway.state_dir), config.gateway.worker
    ('edge-agent-pi4-w1', '/var/lib/edge-agent/w1', 1)
    """
    if n_workers == 1:
        return config.model_copy(update={"gateway": config.gateway.model_copy(update={"workers": 1, "worker": None})})
    gateway = config.gateway.model_copy(
        update={"workers": n_workers, "worker": worker, "state_dir": config.gateway.state_dir / f"w{worker}"}
    )
    mqtt = config.mqtt.model_copy(update={"client_id": f"{config.client_id}-w{worker}"})
    status = config.status
    if status.prometheus_port:
        status = status.model_copy(update={"prometheus_port": status.prometheus_port + worker})
    return config.model_copy(update={"gateway": gateway, "mqtt": mqtt, "status": status})


def overrides_of(config: AgentConfig) -> list[str]:
    """The ``--set`` arguments that make, of the same file, the configuration of this worker."""
    gateway, pairs = config.gateway, [("gateway.workers", str(config.gateway.workers))]
    if gateway.worker is not None:
        pairs += [
            ("gateway.worker", str(gateway.worker)),
            ("gateway.state_dir", str(gateway.state_dir)),
            ("mqtt.client_id", config.client_id),
            ("status.prometheus_port", str(config.status.prometheus_port)),
        ]
    return [part for name, value in pairs for part in ("--set", f"{name}={value}")]


def every_worker(config: AgentConfig, n_workers: int) -> list[AgentConfig]:
    """The configurations of all workers."""
    return [worker_config(config, n_workers, worker) for worker in range(n_workers)]


class LayoutFile:
    """The number of workers that ran last on this gateway, and the hand-over that is not finished.

    Parameters
    ----------
    config : AgentConfig
        Of the gateway, not of a worker.

    Raises
    ------
    OSError
        If the state folder cannot be made.
    """

    def __init__(self, config: AgentConfig) -> None:
        self._config = config
        self._folder = config.gateway.state_dir
        self._folder.mkdir(parents=True, exist_ok=True)

    @property
    def is_of_one(self) -> bool:
        """Whether this gateway has one agent and never had anything else, or has handed over to it."""
        return self.handover() is None and self.n_workers() in {None, 1}

    def n_workers(self) -> int | None:
        """How many ran last; None on a gateway where none ever did."""
        kept = _read(self._folder / LAYOUT_FILE)
        number = kept.get("workers")
        if isinstance(number, int) and number >= 1:
            return number
        return 1 if (self._folder / FILE_NAME).exists() else None

    def handover(self) -> Handover | None:
        """The hand-over that was decided and not finished."""
        kept = _read(self._folder / HANDOVER_FILE)
        before, number, watermarks = kept.get("before"), kept.get("workers"), kept.get("pipelines")
        if isinstance(before, int) and isinstance(number, int) and isinstance(watermarks, dict):
            return Handover(before, number, watermarks)
        return None

    def decide(self, n_before: int | None, n_workers: int) -> Handover:
        """Write down all watermarks of the workers there were, and how many are to come: from here on, forward only.

        Raises
        ------
        OSError
            If the disk takes no file.
        """
        n_before = n_before or 1
        merged = merge(_watermarks(old.gateway.state_dir) for old in every_worker(self._config, n_before))
        content = {"schema": SCHEMA, "before": n_before, "workers": n_workers, "pipelines": merged}
        _write(self._folder / HANDOVER_FILE, content)
        return Handover(n_before, n_workers, merged)

    def carry_out(self, handover: Handover) -> None:
        """Give each worker to come the watermarks of its devices; safe to be repeated.

        Raises
        ------
        OSError
            If the disk takes no file.
        """
        for new in every_worker(self._config, handover.n_workers):
            share = share_of(new)
            mine = {
                pipeline: {
                    **kept,
                    "devices": {
                        device: entry
                        for device, entry in kept["devices"].items()
                        if share is None or share.has_device(pipeline, device)
                    },
                }
                for pipeline, kept in handover.watermarks.items()
            }
            new.gateway.state_dir.mkdir(parents=True, exist_ok=True)
            # Without a generation: no log of an earlier run belongs to it.
            _write(new.gateway.state_dir / FILE_NAME, {"schema": WATERMARK_SCHEMA, "pipelines": mine})
        _write(self._folder / LAYOUT_FILE, {"schema": SCHEMA, "workers": handover.n_workers})

    def finish(self, n_workers: int) -> None:
        """Forget the hand-over and the folders of workers that are no more: they are empty or handed over."""
        if n_workers > 1:
            for name in (FILE_NAME, LOG_NAME):
                (self._folder / name).unlink(missing_ok=True)
        for folder in self._folder.glob("w[0-9]*"):
            number = folder.name[1:]
            if number.isdigit() and (n_workers == 1 or int(number) >= n_workers):
                shutil.rmtree(folder, ignore_errors=True)
        (self._folder / HANDOVER_FILE).unlink(missing_ok=True)


def _watermarks(folder: Path) -> Watermarks:
    return StateFile(folder, DiskWriter()).read()


def _write(path: Path, content: dict[str, Any]) -> None:
    beside = path.with_name(f"{path.name}.tmp")
    with beside.open("wb") as file:
        file.write(orjson.dumps(content))
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def merge(watermarks: Iterable[Watermarks]) -> Watermarks:
    """All watermarks as one: of a device that several know, the one that is further.

    Examples
    --------
    >>> first = {"p": {"grid": "g", "devices": {"a": {"closed_through": 7}, "b": {"closed_through": 1}}}}
    >>> second = {"p": {"grid": "g", "devices": {"a": {"closed_through": 5}}}}
    >>> merge([first, second]) == first
    True
    """
    merged: Watermarks = {}
    for state in watermarks:
        for pipeline, kept in state.items():
            if not isinstance(kept, dict) or not isinstance(kept.get("devices"), dict):
                continue
            target = merged.setdefault(pipeline, {"grid": kept.get("grid"), "devices": {}})
            if target["grid"] != kept.get("grid"):
                continue  # another grid numbers its windows differently
            for device, entry in kept["devices"].items():
                if _closed_through(entry) > _closed_through(target["devices"].get(device)):
                    target["devices"][device] = entry
    return merged


def _closed_through(entry: object) -> float:
    index = entry.get("closed_through") if isinstance(entry, dict) else None
    return index if isinstance(index, int) else float("-inf")


def _read(path: Path) -> dict[str, Any]:
    try:
        kept = orjson.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) and kept.get("schema") == SCHEMA else {}
