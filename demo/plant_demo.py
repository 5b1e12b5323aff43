"""The demo on the simulated plant: record, fit, label devices that nobody trained on."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from demo.errors import DemoError
from demo.look import number
from demo.pace import paced
from demo.perform import FittedModel, LiveFile, Performance, Show, fit, fit_note, perform
from demo.plant import Message, Site, pump_names, room_names
from demo.plant.messages import TRUTH_TOPIC, parse_truth
from demo.plant.room import ROOM_HASTE
from demo.record import Recorder, drain_into
from demo.screen import Screen
from demo.streams import PUMP, ROOM, Stream
from demo.truth import TruthTrack
from demo.wire import Address, Publisher, Subscriber
from schemas import TopicTemplate
from signals import recordings_from_stream

PLANT_EPOCH_NS = 1_767_600_000_000_000_000
"""When the plant's clock starts: Monday, 2026-01-05, 08:00 UTC. Fixed, so that one seed gives one recording."""

_DAY_NS = 86_400_000_000_000
_FIRST_LIVE = 11
_ARRIVE_S = 30.0
STREAMS = (PUMP, ROOM)


@dataclass(frozen=True, slots=True)
class PlantOptions:
    """What the demo is asked for.

    Attributes
    ----------
    seed : int
        Of the plant and of the fits.
    n_live, n_training : int
        Devices of each kind that are labelled live, and that are trained on.
    live_s, training_s : float
        Plant time of each; a room lives `ROOM_HASTE` times as long.
    speed : float
        Plant seconds in a second while labelling.
    """

    seed: int = 1
    n_live: int = 3
    n_training: int = 6
    live_s: float = 120.0
    training_s: float = 120.0
    speed: float = 10.0


def fit_arguments(stream: Stream) -> list[str]:
    """What ``trainer fit`` is asked for on a stream of the plant."""
    features = {"pump": "spectral", "room": "statistics"}[stream.name]
    arguments = ["--features", features, "--grid", stream.policy]
    if stream.window_s is not None and stream.hop_s is not None:
        arguments += ["--window", str(stream.window_s), "--hop", str(stream.hop_s)]
    return arguments


def plant_filters(streams: Iterable[Stream] = STREAMS) -> list[str]:
    """Topics that a recorder subscribes to: the sensors and the truth about them."""
    topics = [topic for stream in streams for topic in stream.topics]
    return [TopicTemplate(topic).filter for topic in (*topics, TRUTH_TOPIC)]


def record(
    address: Address, messages: Iterable[Message], speed: float | None = None
) -> tuple[dict[str, Recorder], int]:
    """Send messages through the broker and record what comes out of it.

    Returns
    -------
    recorders : dict of str to Recorder
        By name of the stream.
    n_messages : int
        Sensor messages that were sent and recorded.

    Raises
    ------
    DemoError
        If not every message came back, or one was refused.
    """
    recorders = {stream.name: Recorder(stream) for stream in STREAMS}
    n_sent = 0
    with Subscriber(address, plant_filters(), "recorder") as inbox, Publisher(address, "plant") as publisher:
        for message in paced(messages, speed):
            publisher.publish(message.topic, message.payload)
            n_sent += 1
        publisher.drain()
        wait_received(inbox, n_sent)
        drain_into(recorders.values(), ((message.topic, message.payload) for message in inbox.take()))
    check_recorded(recorders, n_sent, inbox.n_received)
    return recorders, sum(recorder.n_messages for recorder in recorders.values())


def wait_received(inbox: Subscriber, n_messages: int) -> None:
    """Return once so many messages arrived, or when they had time enough."""
    deadline = time.monotonic() + _ARRIVE_S
    while inbox.n_received < n_messages and time.monotonic() < deadline:
        time.sleep(0.01)


def check_recorded(recorders: Mapping[str, Recorder], n_sent: int, n_received: int) -> None:
    """Return if every message that was sent came back and was understood.

    Raises
    ------
    DemoError
        If not.
    """
    refused = {reason: count for recorder in recorders.values() for reason, count in recorder.refused.items()}
    if n_received != n_sent or refused:
        raise DemoError(f"recorder: {n_sent} messages expected, got {n_received}, refused: {refused or 'none'}")


def run_plant_demo(screen: Screen, address: Address, folder: Path, options: PlantOptions) -> Performance:
    """Record, fit, label, judge.

    Raises
    ------
    StepFailedError
        Names the step that did not hold.
    """
    n, seed = options.n_training, options.seed
    with screen.step("plant") as step:
        training = Site(pump_names(1, n), room_names(1, n), seed=seed, start_ns=PLANT_EPOCH_NS)
        live = Site(
            pump_names(_FIRST_LIVE, options.n_live),
            room_names(_FIRST_LIVE, options.n_live),
            seed=seed,
            start_ns=PLANT_EPOCH_NS + _DAY_NS,
        )
        step.note(
            f"{n} pumps (3 axes, 200 Hz) and {n} rooms (CO2, temperature, humidity, light, on change) to learn from, "
            f"{options.n_live} + {options.n_live} others to label; seed {seed}"
        )
    with screen.step("record") as step:
        recorders, n_messages = record(address, training.messages(options.training_s))
        counts = []
        for name, recorder in recorders.items():
            n_rows = recorder.save(folder / f"{name}-training.npz")
            counts.append(f"{number(n_rows)} {name} samples")
        hours = options.training_s * ROOM_HASTE / 3600.0
        step.note(
            f"{number(n_messages)} messages through the broker: {' and '.join(counts)} with their labels "
            f"({options.training_s:.0f} s of each pump, {hours:.0f} h of each room)"
        )
    models: list[FittedModel] = []
    for stream in STREAMS:
        with screen.step("fit") as step:
            fitted = fit(
                stream, folder / f"{stream.name}-training.npz", folder, seed=seed, arguments=fit_arguments(stream)
            )
            models += fitted
            step.note(f"{stream.name}: {fit_note(fitted)}")
    with screen.step("export") as step:
        n_golden = sum(len(model.card.golden) for model in models)
        names = ", ".join(model.path.name for model in models)
        step.note(
            f"{names}: one ONNX each from raw window to label, {n_golden} golden windows, passed the agents' guard"
        )

    with Subscriber(address, plant_filters(), "recorder") as inbox:
        tape = LiveTape(live.messages(options.live_s), inbox, folder)
        show = Show(
            models=models,
            messages=tape.messages(),
            truth=tape.truth,
            live_files=tape.files,
            speed=options.speed,
            title=f"labelling live · plant ×{options.speed:g} · rooms ×{options.speed * ROOM_HASTE:g}",
            with_predict=False,
        )
        return perform(screen, address, folder, show)


class LiveTape:
    """What the live devices send: passed on, counted, and recorded off the broker like the training data.

    Parameters
    ----------
    source : iterable of Message
        What they send.
    inbox : Subscriber
        Subscribed to the plant.
    folder : Path
        Where the recordings go.
    """

    def __init__(self, source: Iterable[Message], inbox: Subscriber, folder: Path) -> None:
        self.truth = TruthTrack()
        self.n_sent = 0
        self._source = source
        self._inbox = inbox
        self._folder = folder

    def messages(self) -> Iterator[Message]:
        """The same messages; what they tell of the truth is entered before they leave."""
        for message in self._source:
            if message.is_truth and (change := parse_truth(message.topic, message.payload)) is not None:
                self.truth.add(change)
            self.n_sent += 1
            yield message

    def files(self) -> dict[str, LiveFile]:
        """The recordings as files for the replay; waits until the last message arrived.

        Raises
        ------
        DemoError
            If not every message came back.
        """
        wait_received(self._inbox, self.n_sent)
        recorders = {stream.name: Recorder(stream) for stream in STREAMS}
        drain_into(recorders.values(), ((message.topic, message.payload) for message in self._inbox.take()))
        check_recorded(recorders, self.n_sent, self._inbox.n_received)
        files = {}
        for name, recorder in recorders.items():
            path = self._folder / f"{name}-live.npz"
            recorder.save(path)
            with np.load(path, allow_pickle=False) as arrays:
                files[name] = LiveFile(path, "all", recordings_from_stream(dict(arrays), path.name))
        return files
