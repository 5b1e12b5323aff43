"""The one value that the fit and the evaluation work on: labelled windows with all that is known about them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from signals import FloatArray, IntArray

UNLABELLED = -1
"""Class index of a window without a label, and group of a window whose group is unknown."""


@dataclass(frozen=True, slots=True, eq=False)
class WindowedData:
    """Windows of equal length, their labels and where each came from.

    Attributes
    ----------
    name : str
        The file it was read from, for messages.
    windows : ndarray of shape (n_windows, n_channels, window_length), float32
        NaN = missing value or padding.
    class_indices : ndarray of shape (n_windows,), int64
        Position in ``classes``; -1 = unlabelled.
    classes, channels : tuple of str
        Names, unique.
    units : tuple of (str or None)
        Unit of each channel, None where unknown.
    sampling_rate_hz : float or None
        None where unknown: such data can be fitted and evaluated, but not streamed.
    hop_length : int
        Samples from the start of a window to the start of the next.
    groups : ndarray of shape (n_windows,), int64
        Windows of one group stay on one side of every split; -1 = unknown.
    group_key : str or None
        What a group is (subject, run group, device).
    split : ndarray of shape (n_windows,), int64
        0 train, 1 test, -1 the file does not say.
    recordings, starts : ndarray of shape (n_windows,), int64
        Two windows share samples exactly where their recording is the same and their starts (in samples) are closer
        than ``window_length``.
    rows : ndarray of shape (n_windows,), int64
        Row of a windowed file, or the index of the window on the grid of its device.
    is_stream : bool
        Whether the windows were cut from continuous recordings.
    """

    name: str
    windows: FloatArray
    class_indices: IntArray
    classes: tuple[str, ...]
    channels: tuple[str, ...]
    units: tuple[str | None, ...]
    sampling_rate_hz: float | None
    hop_length: int
    groups: IntArray
    group_key: str | None
    split: IntArray
    recordings: IntArray
    starts: IntArray
    rows: IntArray
    is_stream: bool

    def __len__(self) -> int:
        return len(self.windows)

    @property
    def window_length(self) -> int:
        """Samples of a window."""
        return int(self.windows.shape[2])

    @property
    def has_split(self) -> bool:
        """Whether the file says which rows are for training and which for testing."""
        return bool(np.any(self.split >= 0))

    @property
    def present(self) -> NDArray[np.float64]:
        """Share of (channel, sample) cells with a value, per window, shape ``(n_windows,)``."""
        if not len(self):
            return np.zeros(0)
        counts = np.count_nonzero(~np.isnan(self.windows), axis=(1, 2))
        share: NDArray[np.float64] = counts / float(self.windows.shape[1] * self.windows.shape[2])
        return share

    def rows_per_class(self) -> dict[str, int]:
        """Number of labelled windows of each class, in the order of ``classes``."""
        counts = np.bincount(self.class_indices[self.class_indices >= 0], minlength=len(self.classes))
        return {name: int(count) for name, count in zip(self.classes, counts, strict=True)}

    def take(self, chosen: NDArray[np.bool_] | IntArray) -> WindowedData:
        """The chosen windows, in the order asked for."""
        return replace(
            self,
            windows=self.windows[chosen],
            class_indices=self.class_indices[chosen],
            groups=self.groups[chosen],
            split=self.split[chosen],
            recordings=self.recordings[chosen],
            starts=self.starts[chosen],
            rows=self.rows[chosen],
        )

    def without_unused_classes(self) -> WindowedData:
        """The same windows with only those classes that label at least one of them."""
        used = np.unique(self.class_indices[self.class_indices >= 0])
        position = np.full(len(self.classes) + 1, UNLABELLED, np.int64)
        position[used] = np.arange(len(used))
        return replace(
            self,
            classes=tuple(self.classes[index] for index in used),
            class_indices=position[self.class_indices],
        )

    def sha256(self) -> str:
        """Digest of windows, labels, groups and names: the same data gives the same digest on every machine."""
        digest = hashlib.sha256()
        for names in (self.classes, self.channels):
            digest.update("\0".join(names).encode() + b"\n")
        digest.update(repr((self.sampling_rate_hz, self.windows.shape)).encode())
        # One bit pattern for every NaN, so that a missing value is the same missing value however it was written.
        clean = np.where(np.isnan(self.windows), np.float32(np.nan), self.windows)
        digest.update(np.ascontiguousarray(clean, "<f4").tobytes())
        for array in (self.class_indices, self.groups):
            digest.update(np.ascontiguousarray(array, "<i8").tobytes())
        return digest.hexdigest()
