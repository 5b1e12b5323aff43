"""What was true when: of the simulated plant by its changes of state, of a recording by its labels."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

import numpy as np

from demo.plant.messages import StateChange
from demo.score import LEAST_SHARE, majority, window_times
from schemas import ModelCard
from signals import Recording
from signals.grid import grid_positions, nearest_points


class TruthTrack:
    """The states of simulated devices over time.

    Examples
    --------
    >>> track = TruthTrack()
    >>> for t_ns, state in ((0, "idle"), (70, "pumping"), (200, None)):
    ...     track.add(StateChange("pump-01", t_ns, state))
    >>> track.at("pump-01", 69), track.at("pump-01", 70), track.at("pump-01", 200)
    ('idle', 'pumping', None)
    >>> track.most_of("pump-01", 0, 80), track.most_of("pump-01", 0, 140), track.most_of("pump-01", 180, 280)
    ('idle', None, None)
    """

    def __init__(self) -> None:
        self._times: dict[str, list[int]] = {}
        self._states: dict[str, list[str | None]] = {}

    def add(self, change: StateChange) -> None:
        """Enter a change; those of one device come in order."""
        # The state first: another thread may look up while this one enters, and it goes by the times.
        self._states.setdefault(change.device, []).append(change.state)
        self._times.setdefault(change.device, []).append(change.t_ns)

    def at(self, device: str, t_ns: int) -> str | None:
        """The state at a time; None before the first change and after the end."""
        position = bisect_right(self._times.get(device, []), t_ns) - 1
        return self._states[device][position] if position >= 0 else None

    def newest(self, device: str) -> str | None:
        """The state that was told last."""
        states = self._states.get(device, [])
        return states[-1] if states else None

    def most_of(self, device: str, start_ns: int, end_ns: int) -> str | None:
        """The state that holds for at least 80 % of ``[start_ns, end_ns)``; None where no state does."""
        times, states = self._times.get(device, []), self._states.get(device, [])
        first = max(0, bisect_right(times, start_ns) - 1)
        shares: dict[str, int] = {}
        for position in range(first, len(times)):
            begin = max(times[position], start_ns)
            end = min(times[position + 1] if position + 1 < len(times) else end_ns, end_ns)
            if begin >= end_ns:
                break
            if (state := states[position]) is not None:
                shares[state] = shares.get(state, 0) + max(0, end - begin)
        best = max(shares, key=shares.__getitem__, default=None)
        return best if best is not None and shares[best] >= LEAST_SHARE * (end_ns - start_ns) else None

    def of_window(self, device: str, index: int, card: ModelCard) -> str | None:
        """The true state of a window of a model."""
        times = window_times(card, index)
        return self.most_of(device, times.start_ns, times.end_ns)


class RecordedTruth:
    """The labels of recordings, looked up by window.

    Parameters
    ----------
    recordings : iterable of Recording
        With ``class_indices``.
    classes : sequence of str
        Names of the classes of the file.
    """

    def __init__(self, recordings: Iterable[Recording], classes: Iterable[str]) -> None:
        self._recordings = {recording.device: recording for recording in recordings}
        self._classes = tuple(classes)
        self._points: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.int64]]] = {}

    def at(self, device: str, t_ns: int) -> str | None:
        """The label of the newest sample at a time; None where it is not labelled."""
        recording = self._recordings.get(device)
        if recording is None or recording.class_indices is None:
            return None
        position = int(np.searchsorted(recording.t_ns, t_ns, side="right")) - 1
        class_index = int(recording.class_indices[position]) if position >= 0 else -1
        return self._classes[class_index] if class_index >= 0 else None

    def of_window(self, device: str, index: int, card: ModelCard) -> str | None:
        """The true class of a window: that of its row in a windowed file, else what most of its samples say."""
        recording = self._recordings.get(device)
        if recording is None or recording.class_indices is None or card.sampling_rate_hz is None:
            return None
        if device not in self._points:
            self._points[device] = nearest_points(*grid_positions(recording.t_ns, card.sampling_rate_hz))
        points = self._points[device]
        first = index * card.hop_length
        begin, end = np.searchsorted(points, (first, first + card.window_length))
        best = majority(recording.class_indices[begin:end], len(self._classes))
        return self._classes[best] if best >= 0 else None
