"""What a window is: how the stream is cut, and what comes out when a window closes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from schemas.card import ModelCard
from signals.block import FloatArray
from signals.marks import Carry


@dataclass(frozen=True, slots=True)
class WindowSpec:
    """How the stream of one pipeline is cut.

    Attributes
    ----------
    channels : tuple of str
        In the order of the model input.
    sampling_rate_hz : float
        Grid points a second.
    window_length, hop_length : int
        Samples.
    policy : str
        ``nearest``, ``linear`` or ``hold``.
    max_age_s : float
        Hold: how long a value stands. Linear: the longest gap bridged.
    min_present : float
        Below this share of present values a window is incomplete.
    deadline_s : float
        How long a window waits for what is missing after its end.
    minimum, maximum : tuple of float or None
        Range of each channel, for clipping.
    """

    channels: tuple[str, ...]
    sampling_rate_hz: float
    window_length: int
    hop_length: int
    policy: str = "nearest"
    max_age_s: float = 0.0
    min_present: float = 0.9
    deadline_s: float = 2.0
    minimum: tuple[float | None, ...] = ()
    maximum: tuple[float | None, ...] = ()

    @classmethod
    def from_card(cls, card: ModelCard, deadline_s: float = 2.0) -> WindowSpec:
        """The spec that a model asks for.

        Raises
        ------
        ValueError
            If the model was fitted on windows of unknown rate: it classifies windows, not streams.
        """
        if card.sampling_rate_hz is None:
            message = (
                f"{card.ref}: the sampling rate of its training data is unknown; it classifies windows, not streams"
            )
            raise ValueError(message)
        return cls(
            channels=tuple(card.channel_names),
            sampling_rate_hz=card.sampling_rate_hz,
            window_length=card.window_length,
            hop_length=card.hop_length,
            policy=card.grid.policy,
            max_age_s=card.grid.max_age_s or card.window_length / card.sampling_rate_hz,
            min_present=card.min_present,
            deadline_s=deadline_s,
            minimum=tuple(channel.minimum for channel in card.channels),
            maximum=tuple(channel.maximum for channel in card.channels),
        )


@dataclass(slots=True)
class ClosedWindow:
    """One window, ready for the model.

    Attributes
    ----------
    index : int
        ``k`` of the grid.
    values : ndarray of shape (n_channels, window_length), float32
        NaN = missing. Its own memory; not contiguous under the policy ``nearest`` (point after point).
    n_samples : int
        Grid points with a value in at least one channel.
    present : float
        Share of (channel, grid point) cells with a value.
    longest_gap_s : float
        Longest stretch without a value, over the channels.
    stuck, clipped : tuple of str
        Names of channels.
    carry : Carry or None
        What the next window needs of the samples before it (linear and hold).
    """

    index: int
    values: FloatArray
    n_samples: int
    present: float
    longest_gap_s: float
    stuck: tuple[str, ...]
    clipped: tuple[str, ...]
    carry: Carry | None = None


class SkippedWindows(NamedTuple):
    """Windows ``first_index ... last_index`` that nothing touched."""

    first_index: int
    last_index: int
    reason: str


@dataclass(slots=True)
class SampleCounts:
    """What became of the values; one object may serve many devices."""

    placed: int = 0
    late: int = 0
    duplicate: int = 0
    reanchored: int = 0
    clock_steps: int = 0


Closed = ClosedWindow | SkippedWindows
