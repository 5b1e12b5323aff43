"""The two long-running parts that a composed system is made of: a plant that never stops, and a trainer beside it."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

from demo.errors import DemoError
from demo.look import number
from demo.pace import paced
from demo.perform import fit, fit_note
from demo.plant import Site, pump_names, room_names
from demo.plant_demo import STREAMS, fit_arguments, plant_filters
from demo.record import Recorder, drain_into
from demo.screen import Screen
from demo.wire import Address, Publisher, Subscriber

_PATIENCE_S = 120.0
_TELL_EVERY_S = 10.0


def run_plant(
    screen: Screen, address: Address, *, n_devices: int, seed: int, speed: float, seconds: float | None
) -> None:
    """Publish the simulated plant, for ever or for ``seconds`` of the wall clock. Its clock starts now.

    Raises
    ------
    DemoError
        If the broker cannot be reached or stops acknowledging.
    """
    site = Site(pump_names(1, n_devices), room_names(1, n_devices), seed=seed, start_ns=time.time_ns())
    plant_s = None if seconds is None else seconds * speed
    screen.console.print(
        f"plant: {n_devices} pumps and {n_devices} rooms, ×{speed:g}, seed {seed} → {address.host}:{address.port}"
    )
    told_s, n_sent = time.monotonic(), 0
    with Publisher(address, "plant").open(_PATIENCE_S) as publisher:
        for message in paced(site.messages(plant_s), speed):
            publisher.publish(message.topic, message.payload)
            n_sent += 1
            if time.monotonic() - told_s >= _TELL_EVERY_S:
                told_s = time.monotonic()
                screen.console.print(f"plant: {number(n_sent)} messages, {message.due_s:.0f} s of plant time")
        publisher.drain()
    screen.console.print(f"plant: {number(n_sent)} messages sent, all acknowledged")


def run_train(screen: Screen, address: Address, out: Path, *, head: str, seed: int, seconds: float) -> None:
    """Record labelled data off a broker for ``seconds``, fit, and put ``pump.onnx`` and ``room.onnx`` into ``out``.

    Raises
    ------
    StepFailedError
        Names the step that did not hold.
    """
    recorders = {stream.name: Recorder(stream) for stream in STREAMS}
    with tempfile.TemporaryDirectory(prefix="telltale-train-") as temporary:
        folder = Path(temporary)
        with screen.step("record") as step:
            with Subscriber(address, plant_filters(), "recorder").open(_PATIENCE_S) as inbox:
                deadline = time.monotonic() + seconds
                while time.monotonic() < deadline:
                    time.sleep(min(0.2, seconds))
                    drain_into(recorders.values(), ((message.topic, message.payload) for message in inbox.take()))
            counts = []
            for name, recorder in recorders.items():
                counts.append(
                    f"{number(recorder.save(folder / f'{name}.npz'))} {name} samples of {len(recorder.devices)} devices"
                )
            step.note(f"{seconds:g} s: {' and '.join(counts)}")
        out.mkdir(parents=True, exist_ok=True)
        for stream in STREAMS:
            with screen.step("fit") as step:
                models = fit(stream, folder / f"{stream.name}.npz", folder, seed=seed, arguments=fit_arguments(stream))
                chosen = next((model for model in models if model.head == head), None)
                if chosen is None:
                    raise DemoError(
                        f"--head: one of {', '.join(model.head for model in models)} expected, got {head!r}"
                    )
                put_in_place(chosen.path, out / f"{stream.name}.onnx")
                step.note(f"{stream.name}: {fit_note(models)}; {head} → {stream.name}.onnx")


def put_in_place(source: Path, target: Path) -> None:
    """Copy a file so that its reader sees the old one or the new one, never a half."""
    beside = target.with_name(f".{target.name}.part")
    try:
        with source.open("rb") as reader, beside.open("wb") as writer:
            shutil.copyfileobj(reader, writer)
            writer.flush()
            os.fsync(writer.fileno())
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
