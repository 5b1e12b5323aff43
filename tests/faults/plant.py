"""The true samples: what a device measures at a grid point is a function of both, known to publisher and oracle."""

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

_PERIOD = 4096
_DEVICE_STRIDE = 977


@dataclass(frozen=True)
class Plant:
    """Devices that sample in step.

    Attributes
    ----------
    step_ms : int
        Between two samples of one device; the grid of the model has the same step.
    start_ms : int
        Time of sample 0 since the Unix epoch, on the grid.
    """

    n_devices: int
    step_ms: int
    start_ms: int
    window_length: int = 32
    hop_length: int = 16
    seed: int = 3

    @property
    def rate_hz(self) -> float:
        """Messages a second of all devices together."""
        return 1000.0 / self.step_ms * self.n_devices

    @property
    def first_point(self) -> int:
        """Grid point of sample 0."""
        return self.start_ms // self.step_ms

    @cached_property
    def _table(self) -> NDArray[np.float64]:
        """Two channels: a slow wave whose mean changes sign, and noise; three decimals, as they are sent."""
        chance = np.random.default_rng(self.seed)
        phase = 2 * np.pi * np.arange(_PERIOD) / _PERIOD
        wave = np.sin(16 * phase) + 0.5 * np.sin(3 * phase)
        noise = chance.normal(0.0, 0.5, (2, _PERIOD))
        table: NDArray[np.float64] = np.round(np.stack([wave, -wave]) + noise, 3)
        return table

    @cached_property
    def _texts(self) -> list[bytes]:
        return [b'"x":%.3f,"y":%.3f}' % (x, y) for x, y in self._table.T.tolist()]

    def name(self, device: int) -> str:
        """As it stands in topics and labels."""
        return f"pump-{device:04d}"

    def number(self, name: str) -> int:
        """The device of a name."""
        return int(name.removeprefix("pump-"))

    def topic(self, device: int) -> bytes:
        """Where the device publishes."""
        return f"plant/{self.name(device)}/v".encode()

    def payload(self, device: int, seq: int) -> bytes:
        """Sample ``seq`` of a device, as JSON."""
        row = (self.first_point + seq + _DEVICE_STRIDE * device) % _PERIOD
        return b'{"t":%d,%b' % (self.start_ms + seq * self.step_ms, self._texts[row])

    def window(self, device: int, index: int) -> NDArray[np.float32]:
        """The values of a window, of shape (2, window_length), as float32 as the agent decodes them."""
        points = index * self.hop_length + np.arange(self.window_length)
        return self._table[:, (points + _DEVICE_STRIDE * device) % _PERIOD].astype(np.float32)

    def windows_of(self, seqs: NDArray[np.int64]) -> NDArray[np.int64]:
        """Indices of the windows all of whose samples are among ``seqs`` (sorted, each once) of one device."""
        if not len(seqs):
            return np.empty(0, dtype=np.int64)
        points = seqs + self.first_point
        index = np.arange(-(-points[0] // self.hop_length), points[-1] // self.hop_length + 1)
        first = index * self.hop_length
        n_there = np.searchsorted(points, first + self.window_length) - np.searchsorted(points, first)
        covered: NDArray[np.int64] = index[n_there == self.window_length]
        return covered

    def facts(self) -> dict[str, Any]:
        """What another process needs to make the same plant."""
        return asdict(self)
