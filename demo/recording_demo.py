"""The demo on real recordings: fit on a part, play the rest through the broker, compare agent, replay and trainer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from demo.errors import DemoError
from demo.look import number
from demo.perform import LiveFile, Performance, Show, fit, fit_note, perform
from demo.player import PLAYER_TOPIC, PlayerFormat, messages_of, player_mapping
from demo.record import write_npz
from demo.screen import Screen
from demo.streams import Stream
from demo.truth import RecordedTruth
from demo.wire import Address
from schemas import ModelCard
from signals import IntArray, Recording, device_id, recordings_from_stream, recordings_from_windows
from trainer.data import read_source

Arrays = Mapping[str, NDArray[Any]]

_HELD_OUT_SHARE = 0.25
_SPLIT_SEED = 0
_ABOVE_CHANCE = 0.1


@dataclass(frozen=True, slots=True)
class RecordingOptions:
    """What the demo is asked for.

    Attributes
    ----------
    path : Path
        The ``.npz``, windowed or stream.
    seed : int
        Of the fits.
    speed : float or None
        Seconds of the recording in a second; None = as fast as PUBACKs come.
    payload_format : {"json", "binary"}
        What the messages look like.
    features : str
        What ``trainer fit`` is asked for.
    """

    path: Path
    seed: int = 1
    speed: float | None = None
    payload_format: PlayerFormat = "json"
    features: str = "auto"


def run_recording_demo(screen: Screen, address: Address, folder: Path, options: RecordingOptions) -> Performance:
    """Fit on the training part of a file, play the test part, label, judge.

    Raises
    ------
    StepFailedError
        Names the step that did not hold.
    """
    name = options.path.name
    with screen.step("split") as step:
        arrays = read_source(options.path).arrays
        data, how = split_file(options.path, arrays, folder)
        rate = float(arrays["fs"]) if "fs" in arrays else float("nan")
        if not np.isfinite(rate):
            raise DemoError(f"{name}: fs: a known sampling rate expected to play a recording, got none")
        step.note(f"{name}: {how}")
    channels = tuple(str(channel) for channel in arrays["channels"])
    stream = Stream(
        name=device_id(options.path.stem),
        topics=(PLAYER_TOPIC,),
        mapping=player_mapping(channels, options.payload_format),
        channels=channels,
        classes=tuple(str(label) for label in arrays["classes"]),
        sampling_rate_hz=rate,
    )
    with screen.step("fit") as step:
        fitted = fit(stream, data, folder, seed=options.seed, arguments=["--features", options.features])
        step.note(fit_note(fitted))
    with screen.step("play") as step:
        recordings = played_recordings(data, fitted[0].card)
        stream = _with_floor(stream, recordings)
        n_samples = sum(len(recording.t_ns) for recording in recordings)
        speed = "as fast as the broker acknowledges" if options.speed is None else f"×{options.speed:g}"
        step.note(f"{len(recordings)} recordings, {number(n_samples)} samples, as {options.payload_format}, {speed}")
    show = Show(
        models=[model._replace(stream=stream) for model in fitted],
        messages=messages_of(recordings, payload_format=options.payload_format),
        truth=RecordedTruth(recordings, stream.classes),
        live_files=lambda: {stream.name: LiveFile(data, "test", recordings)},
        speed=options.speed,
        title=f"labelling {name} live · {speed}",
        with_predict=True,
    )
    return perform(screen, address, folder, show)


def split_file(path: Path, arrays: Arrays, folder: Path) -> tuple[Path, str]:
    """A file that says which rows are for training and which are played, and how that was decided.

    Parameters
    ----------
    path : Path
        The file as it was given; taken as it is where it carries a split.
    arrays : mapping of str to ndarray
        Its content.
    folder : Path
        Where a copy with a ``split`` goes otherwise.

    Raises
    ------
    DemoError
        If the rows cannot be split by group or by recording.
    """
    if "y" not in arrays:
        raise DemoError(f"{path.name}: y: labelled recordings expected, got none")
    if "split" in arrays and {0, 1}.issubset(np.unique(arrays["split"]).tolist()):
        n_test = int(np.sum(arrays["split"] == 1))
        return (
            path,
            f"its own split: {number(len(arrays['split']) - n_test)} rows to learn from, {number(n_test)} to play",
        )
    for what, units in _units(arrays):
        held_out = held_out_units(units, arrays["y"].astype(np.int64))
        if held_out:
            split = np.isin(units, held_out).astype(np.int8)
            copy = folder / path.name
            write_npz(copy, {**arrays, "split": split})
            n_units = len(np.unique(units))
            return copy, f"no split in the file: {len(held_out)} of {n_units} {what} held out to be played"
    raise DemoError(f"{path.name}: a split, or groups or runs whose classes others have too, expected, got none")


def held_out_units(units: IntArray, class_indices: IntArray) -> list[int]:
    """Units to play: about a quarter of the rows, whole units, two classes or more, none that the rest does not know.

    Parameters
    ----------
    units, class_indices : ndarray of shape (n_rows,), int
        Group or run of each row, and its class; -1 = unlabelled.

    Returns
    -------
    list of int
        Empty where no unit can be spared.

    Examples
    --------
    >>> units = np.repeat([0, 1, 2, 3], 10)
    >>> len(held_out_units(units, np.tile([0, 1], 20))), held_out_units(units, units)
    (1, [])
    """
    order = np.random.default_rng(_SPLIT_SEED).permutation(np.unique(units)).tolist()
    sizes = {unit: int(np.sum(units == unit)) for unit in order}
    classes = {unit: set(class_indices[units == unit].tolist()) - {-1} for unit in order}
    chosen: list[int] = []
    played: set[int] = set()
    n_chosen = 0
    while n_chosen < _HELD_OUT_SHARE * len(units):
        kept = [unit for unit in order if unit not in chosen]
        room_left = (_HELD_OUT_SHARE + 0.1) * len(units) - n_chosen
        spare = []
        for unit in kept:
            known = set().union(*(classes[other] for other in kept if other != unit))
            if sizes[unit] <= room_left and played | classes[unit] <= known:
                spare.append(unit)
        if not spare:
            break
        # What brings a class that is not played yet goes first: one class alone would prove nothing.
        best = max(spare, key=lambda unit: len(classes[unit] - played))
        chosen.append(best)
        played |= classes[best]
        n_chosen += sizes[best]
    return chosen if len(played) >= 2 else []


def _units(arrays: Arrays) -> list[tuple[str, IntArray]]:
    """What rows can be held out by, best first: groups, then recordings."""
    found: list[tuple[str, IntArray]] = []
    if arrays["X"].ndim == 3:
        if "groups" in arrays and bool((arrays["groups"] >= 0).all()):
            found.append(("groups", arrays["groups"].astype(np.int64)))
        return found
    if "run" in arrays:
        runs = arrays["run"].astype(np.int64)
        if "run_group" in arrays and int(runs.min()) >= 0 and int(runs.max()) < len(arrays["run_group"]):
            found.append(("groups", arrays["run_group"].astype(np.int64)[runs]))
        found.append(("recordings", runs))
    return found


def played_recordings(path: Path, card: ModelCard) -> list[Recording]:
    """The recordings of the test part of a file, placed on the grid of a model.

    Raises
    ------
    ContractError
        If the arrays do not make recordings.
    """
    arrays = read_source(path).arrays
    if arrays["X"].ndim == 3:
        recordings = recordings_from_windows(arrays, path.name, hop_length=card.hop_length)
    else:
        recordings = recordings_from_stream(arrays, path.name)
    return [recording for recording in recordings if recording.split == 1]


def _with_floor(stream: Stream, recordings: Sequence[Recording]) -> Stream:
    """The stream with a floor well above chance, which is what mixed up classes, channels or times lead to."""
    there = {
        int(one)
        for recording in recordings
        if recording.class_indices is not None
        for one in np.unique(recording.class_indices)
    }
    n_classes = max(2, len(there - {-1}))
    return replace(stream, accuracy_floor=round(1.0 / n_classes + _ABOVE_CHANCE, 3))
