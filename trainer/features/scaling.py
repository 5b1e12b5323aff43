"""One scale per channel, fitted once, so that every floor of the feature graph means the same for every sensor.

A channel is divided by its scale, never shifted: zero stays zero. Three axes of one sensor share their scale, so that
their magnitude does not depend on how the sensor is turned.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]

_AXIS = re.compile(r"(?:(?P<sensor>.*)[_.\- ])?(?P<axis>[xyz])", re.IGNORECASE)

# Share of the values at either end that say nothing about the scale: a spike of a loose contact must not set it.
_TAIL = 0.001
# Scales are fitted on at most this many values a channel; more would change the fourth digit and cost seconds.
_MAX_VALUES = 1_000_000


@dataclass(frozen=True, slots=True)
class AxisGroup:
    """Three channels that are the axes of one sensor.

    Parameters
    ----------
    name : str
        Name of the derived channel, ``|sensor|``.
    positions : tuple of int
        Where x, y and z stand among the channels.
    """

    name: str
    positions: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class ChannelScaling:
    """What each channel is divided by before any feature is taken.

    Parameters
    ----------
    channels : tuple of str
    scales : tuple of float
        In the unit of the channel, > 0; the same for the three axes of a sensor.
    """

    channels: tuple[str, ...]
    scales: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse scales that cannot be divided by."""
        if len(self.scales) != len(self.channels):
            raise ValueError(f"scales: one per channel expected ({len(self.channels)}), got {len(self.scales)}")
        if not all(np.isfinite(scale) and scale > 0.0 for scale in self.scales):
            raise ValueError(f"scales: finite numbers above 0 expected, got {list(self.scales)}")

    @property
    def axis_groups(self) -> tuple[AxisGroup, ...]:
        """The sensors with three axes among the channels."""
        return find_axis_groups(self.channels)


def find_axis_groups(channels: Sequence[str]) -> tuple[AxisGroup, ...]:
    """Return the triples of channels named ``*_x``, ``*_y``, ``*_z``, in the order of their x.

    Examples
    --------
    >>> [group.name for group in find_axis_groups(["acc_x", "acc_y", "acc_z", "max", "gyro_x"])]
    ['|acc|']
    """
    axes_of: dict[str, dict[str, int]] = {}
    for position, channel in enumerate(channels):
        match = _AXIS.fullmatch(channel)
        if match:
            axes_of.setdefault(match["sensor"] or "xyz", {})[match["axis"].lower()] = position
    return tuple(
        AxisGroup(f"|{sensor}|", (axes["x"], axes["y"], axes["z"]))
        for sensor, axes in axes_of.items()
        if len(axes) == 3
    )


def fit_scaling(windows: FloatArray, channels: Sequence[str]) -> ChannelScaling:
    """Return the scales of the channels: the standard deviation over all windows, without the outermost values.

    Parameters
    ----------
    windows : ndarray of shape (n_windows, n_channels, window_length), float32
        NaN = missing value.
    channels : sequence of str
        Names; they tell which channels are axes of one sensor and share the largest of their scales.

    Raises
    ------
    ValueError
        If the number of channels does not fit.

    Examples
    --------
    >>> fit_scaling(np.array([[[1.0, -1.0], [7.0, 7.0]]], dtype=np.float32), ["current", "supply"]).scales
    (1.0, 7.0)
    """
    if windows.ndim != 3 or windows.shape[1] != len(channels):
        raise ValueError(f"windows: shape (n_windows, {len(channels)}, window_length) expected, got {windows.shape}")
    scales = [_scale_of(windows[:, index]) for index in range(len(channels))]
    for group in find_axis_groups(channels):
        shared = max(scales[position] for position in group.positions)
        for position in group.positions:
            scales[position] = shared
    return ChannelScaling(tuple(channels), tuple(scales))


def _scale_of(channel: FloatArray) -> float:
    values = channel.ravel()
    values = values[np.isfinite(values)]
    values = values[:: -(-len(values) // _MAX_VALUES) or 1].astype(np.float64)
    if not len(values):
        return 1.0
    low, high = np.quantile(values, [_TAIL, 1.0 - _TAIL])
    # A signal that is nearly always off has its events in the tails: then all of the values count.
    scale = float(np.std(np.clip(values, low, high))) or float(np.std(values))
    # A channel that never moved is measured by its level; one that is always zero has no scale.
    level = float(max(abs(low), abs(high)))
    if scale <= 1e-6 * level:
        scale = level
    # Six digits are plenty, and keep the numbers in the card readable. float32 ends at 1e-38 and 3e38.
    return float(f"{min(max(scale, 1e-30), 1e30):.6g}") if scale > 0.0 else 1.0
