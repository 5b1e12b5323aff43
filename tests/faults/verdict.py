"""The verdict: what became of every window all of whose samples the broker had accepted.

Two files are all it reads: what the publisher holds a PUBACK for, and what the consumer got.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from tests.faults.plant import Plant
from tests.faults.publisher import ACCEPTED

Window = tuple[int, int]
"""Device and index."""

Labelled = tuple[int, int, str]
"""Device, index and the digest of the model: the identity of a label."""

Answer = tuple[str, tuple[float, ...]]
"""Label and probabilities of a whole label."""

Predict = Callable[[NDArray[np.float32]], tuple[list[str], NDArray[np.float32]]]
"""The model, asked apart: labels of windows of shape (n, channels, length), and probabilities by name of class."""

_TOLERANCE = 1e-4


class Verdict(NamedTuple):
    """Windows by what became of them; ``wrong`` and ``duplicates`` count labels.

    Attributes
    ----------
    windows : int
        Covered by accepted samples from end to end; = whole + partial + declared + silent.
    whole, partial, declared, silent : int
        A label of all samples; of fewer, which it says; no label but a declared gap; nothing.
    wrong : int
        Whole labels that differ from the model's answer on the true samples, or from one another.
    duplicates : int
        Labels of a window beyond its first.
    """

    windows: int
    whole: int
    partial: int
    declared: int
    silent: int
    wrong: int
    duplicates: int


@dataclass
class Witness:
    """What the consumer got, read from its file bit by bit."""

    plant: Plant
    path: Path
    samples: dict[Window, int] = field(default_factory=dict)
    answers: dict[Labelled, Answer] = field(default_factory=dict)
    gaps: set[tuple[int, int, int]] = field(default_factory=set)
    gap_reasons: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    metrics: list[dict[str, Any]] = field(default_factory=list)
    alarms: list[dict[str, Any]] = field(default_factory=list)
    births: list[str] = field(default_factory=list)
    infos: list[dict[str, Any]] = field(default_factory=list)
    broker_dropped: int = 0
    n_labels: int = 0
    newest: int = 0
    n_contradictions: int = 0
    _dropped_before: int = 0
    _at: int = 0
    _rest: bytes = b""

    def read(self) -> None:
        """Take in what has come since the last call."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self._at)
            content = file.read()
        self._at += len(content)
        *lines, self._rest = (self._rest + content).split(b"\n")
        for line in lines:
            topic, tab, payload = line.partition(b"\t")
            if tab:
                self._take(topic.decode(), payload)

    def declares(self, window: Window) -> bool:
        """Whether the window lies in a gap that was declared."""
        device, index = window
        return any(first <= index <= last for who, first, last in self.gaps if who == device)

    def _take(self, topic: str, payload: bytes) -> None:
        try:
            said = orjson.loads(payload)
        except orjson.JSONDecodeError:
            return  # half a line of a consumer that was killed: unacknowledged, so it comes again
        leaf = topic.rpartition("/")[2]
        if leaf == "label":
            self._take_label(said)
        elif leaf == "gap":
            self.gaps.add((self.plant.number(said["device"]), said["first_index"], said["last_index"]))
            self.gap_reasons[said["reason"]] += 1
        elif leaf == "metrics":
            self.metrics.append(said)
        elif leaf == "alarm":
            self.alarms.append(said)
        elif leaf == "info":
            self.infos.append(said)
        elif leaf == "availability":
            self.births.append(said["state"])
        elif leaf == "dropped":
            count = int(said)  # since the broker started: a lower one is that of another start
            self.broker_dropped += count - self._dropped_before if count >= self._dropped_before else count
            self._dropped_before = count

    def _take_label(self, label: dict[str, Any]) -> None:
        window = (self.plant.number(label["device"]), int(label["window"]["index"]))
        n_samples = int(label["window"]["n_samples"])
        self.n_labels += 1
        self.newest = max(self.newest, window[1])
        self.samples[window] = max(n_samples, self.samples.get(window, 0))
        if n_samples < self.plant.window_length:
            return
        probabilities = label["probabilities"] or {}
        answer = (str(label["label"]), tuple(probabilities[name] for name in sorted(probabilities)))
        if self.answers.setdefault((*window, label["model"]["digest"]), answer) != answer:
            self.n_contradictions += 1


def read_accepted(path: Path) -> NDArray[np.void]:
    """The records of the publisher; a last one that is not whole yet is left out."""
    content = path.read_bytes() if path.exists() else b""
    size = ACCEPTED.itemsize
    return np.frombuffer(content[: len(content) // size * size], dtype=ACCEPTED)


def covered_windows(plant: Plant, accepted: NDArray[np.void]) -> set[Window]:
    """Every window all of whose samples the broker has accepted."""
    windows: set[Window] = set()
    for device in np.unique(accepted["device"]).tolist():
        seqs = np.unique(accepted["seq"][accepted["device"] == device]).astype(np.int64)
        windows.update((device, index) for index in plant.windows_of(seqs).tolist())
    return windows


def judge(plant: Plant, covered: set[Window], testimony: Witness, models: Mapping[str, Predict] | None) -> Verdict:
    """What became of the covered windows; ``models`` by digest, None = right and wrong are not asked yet."""
    whole = partial = declared = silent = 0
    for window in covered:
        n_samples = testimony.samples.get(window)
        if n_samples == plant.window_length:
            whole += 1
        elif n_samples is not None:
            partial += 1
        elif testimony.declares(window):
            declared += 1
        else:
            silent += 1
    wrong = testimony.n_contradictions + (0 if models is None else _count_wrong(plant, testimony, models))
    return Verdict(len(covered), whole, partial, declared, silent, wrong, testimony.n_labels - len(testimony.samples))


def silent_windows(covered: set[Window], testimony: Witness) -> set[Window]:
    """The covered windows of which nothing at all was said."""
    return {window for window in covered if window not in testimony.samples and not testimony.declares(window)}


def _count_wrong(plant: Plant, testimony: Witness, models: Mapping[str, Predict]) -> int:
    """Whole labels that their model would not give on the true samples, or of a model that nobody installed."""
    wrong = 0
    for digest in {digest for _, _, digest in testimony.answers}:
        said = [(device, index, answer) for (device, index, by), answer in testimony.answers.items() if by == digest]
        if digest not in models:
            wrong += len(said)
            continue
        labels, probabilities = models[digest](np.stack([plant.window(device, index) for device, index, _ in said]))
        for (_, _, (name, shares)), label, row in zip(said, labels, probabilities, strict=True):
            is_clear = float(np.abs(row - 1.0 / len(row)).max()) > _TOLERANCE
            is_near = len(shares) == len(row) and bool(np.allclose(row, shares, rtol=0.0, atol=_TOLERANCE))
            wrong += not is_near or (is_clear and name != label)
    return wrong
