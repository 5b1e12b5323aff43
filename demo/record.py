"""A recorder: sensor messages and the truth about them, off the broker, into one stream ``.npz`` (DESIGN section 4).

It decodes with ``signals.codecs`` and the mapping of the agent, and labels each sample by the state that the truth tree
told for its time. Sensors that report on change give rows with NaN where a channel was silent: the grid policy of the
model fills them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from demo.errors import DemoError
from demo.plant.messages import StateChange, parse_truth
from demo.streams import Stream
from schemas import TopicTemplate
from signals import Block, DecodeError, Decoder, FloatArray, IntArray, compile_decoder, device_id

UNLABELLED = -1


class Series(NamedTuple):
    """What was recorded of one device, in order of time.

    Attributes
    ----------
    t_ns : ndarray of shape (n_samples,), int64
    values : ndarray of shape (n_samples, n_channels), float32
        NaN = this channel said nothing then.
    class_indices : ndarray of shape (n_samples,), int64
        -1 = no truth was told for that time.
    """

    t_ns: IntArray
    values: FloatArray
    class_indices: IntArray


@dataclass(slots=True)
class _Tape:
    times: list[IntArray] = field(default_factory=list)
    rows: list[FloatArray] = field(default_factory=list)
    changes: list[StateChange] = field(default_factory=list)


class Recorder:
    """Collects the samples and the true states of every device of one stream.

    Parameters
    ----------
    stream : Stream
        What to decode and how.

    Attributes
    ----------
    n_messages : int
        Sensor messages that were decoded.
    refused : dict of str to int
        Messages that the decoder refused, by reason.
    """

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.n_messages = 0
        self.refused: dict[str, int] = {}
        self._templates = [TopicTemplate(topic) for topic in stream.topics]
        self._decoder: Decoder = compile_decoder(
            stream.mapping, stream.topics, stream.channels, stream.sampling_rate_hz
        )
        self._tapes: dict[str, _Tape] = {}
        self._truth: dict[str, list[StateChange]] = {}

    @property
    def devices(self) -> list[str]:
        """Devices of which samples came, in order of their names."""
        return sorted(self._tapes)

    def offer(self, topic: str, payload: bytes) -> bool:
        """Take a message if it belongs here: True if it did."""
        if (change := parse_truth(topic, payload)) is not None:
            self._truth.setdefault(device_id(change.device), []).append(change)
            return True
        if not any(template.match(topic) is not None for template in self._templates):
            return False
        try:
            blocks = self._decoder.decode(topic, payload)
        except DecodeError as error:
            self.refused[error.reason] = self.refused.get(error.reason, 0) + 1
            return True
        self.n_messages += 1
        for block in blocks:
            self._keep(block)
        return True

    def series(self) -> dict[str, Series]:
        """What was recorded so far, by device id."""
        return {device: self._series_of(device) for device in self.devices}

    def save(self, path: Path, *, first_group: int = 0) -> int:
        """Write the recording, complete or not at all; each device is a run and a group of its own.

        Returns
        -------
        n_samples : int
            Rows written.

        Raises
        ------
        DemoError
            If nothing was recorded.
        """
        return save_stream(path, self.series(), self.stream, first_group=first_group)

    def _keep(self, block: Block) -> None:
        n_samples = block.values.shape[1]
        times = block_times(block, self.stream.sampling_rate_hz)
        rows = np.full((n_samples, len(self.stream.channels)), np.nan, dtype=np.float32)
        rows[:, list(block.channels)] = block.values.T
        tape = self._tapes.setdefault(device_id(block.device), _Tape())
        tape.times.append(times)
        tape.rows.append(rows)

    def _series_of(self, device: str) -> Series:
        tape = self._tapes[device]
        t_ns, values = np.concatenate(tape.times), np.concatenate(tape.rows)
        # Stable: reports of one instant stay in the order in which they came.
        order = np.argsort(t_ns, kind="stable")
        t_ns = t_ns[order]
        return Series(t_ns, values[order], self._states_at(device, t_ns))

    def _states_at(self, device: str, t_ns: IntArray) -> IntArray:
        changes = sorted(self._truth.get(device, []), key=lambda change: change.t_ns)
        known = {name: position for position, name in enumerate(self.stream.classes)}
        states = np.array(
            [known.get(change.state or "", UNLABELLED) for change in changes] or [UNLABELLED], dtype=np.int64
        )
        starts = np.array([change.t_ns for change in changes], dtype=np.int64)
        position = np.searchsorted(starts, t_ns, side="right") - 1
        return np.where(position >= 0, states[np.maximum(position, 0)], UNLABELLED)


def block_times(block: Block, sampling_rate_hz: float) -> IntArray:
    """Time of every sample of a block, nanoseconds since the epoch.

    Raises
    ------
    DemoError
        If the message carried no time: what a recording is worth depends on it.

    Examples
    --------
    >>> block = Block("pump", (0,), np.zeros((1, 3), np.float32), t0_ns=10, rate_hz=1e9)
    >>> block_times(block, 200.0).tolist()
    [10, 11, 12]
    """
    if block.t_ns is not None:
        return block.t_ns
    if block.t0_ns is None:
        raise DemoError(f"recorder: {block.device}: messages with a time expected, got one without")
    period_ns = 1e9 / (block.rate_hz or sampling_rate_hz)
    offsets_ns = np.rint(np.arange(block.values.shape[1]) * period_ns).astype(np.int64)
    return np.asarray(block.t0_ns + offsets_ns, np.int64)


def save_stream(path: Path, series: dict[str, Series], stream: Stream, *, first_group: int = 0) -> int:
    """Write devices as the runs of one stream file: beside the target, flushed, then put in place.

    Returns
    -------
    n_samples : int
        Rows written.

    Raises
    ------
    DemoError
        If there is nothing to write.
    """
    if not series:
        raise DemoError(f"recorder: {stream.name}: messages on {' '.join(stream.topics)} expected, got none")
    lengths = [len(one.t_ns) for one in series.values()]
    arrays: dict[str, NDArray[np.generic]] = {
        "X": np.concatenate([one.values for one in series.values()]),
        "t": np.concatenate([one.t_ns for one in series.values()]).astype(np.float64) / 1e9,
        "y": np.concatenate([one.class_indices for one in series.values()]),
        "run": np.repeat(np.arange(len(series)), lengths),
        "run_group": np.arange(first_group, first_group + len(series)),
        "run_names": np.array(list(series)),
        "classes": np.array(stream.classes),
        "channels": np.array(stream.channels),
        "fs": np.array(stream.sampling_rate_hz),
    }
    write_npz(path, arrays)
    return sum(lengths)


def write_npz(path: Path, arrays: dict[str, NDArray[np.generic]]) -> None:
    """Write an ``.npz`` that is either complete or not there."""
    beside = path.with_name(f".{path.name}.part")
    try:
        with beside.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def drain_into(recorders: Iterable[Recorder], messages: Iterable[tuple[str, bytes]]) -> int:
    """Offer messages to every recorder; return how many sensor messages and truths one of them took."""
    recorders = list(recorders)
    n_taken = 0
    for topic, payload in messages:
        # To every one of them, also after one took it: the truth belongs to all.
        took = [recorder.offer(topic, payload) for recorder in recorders]
        n_taken += any(took)
    return n_taken
