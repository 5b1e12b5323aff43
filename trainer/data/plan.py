"""How a source is cut: what the caller asked for, and what is chosen where nothing was asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from schemas import ModelCard
from signals import WindowSpec, find_overlap_hop
from trainer.data.source import Source
from trainer.data.windowed import WindowedData
from trainer.errors import DatasetError

GridPolicy = Literal["nearest", "linear", "hold"]

DEFAULT_WINDOW_LENGTH = 128
LEAST_WINDOW_LENGTH = 8
DEFAULT_MIN_PRESENT = 0.9
_LEAST_MIN_PRESENT = 0.01


@dataclass(frozen=True, slots=True)
class CutOptions:
    """What the caller asked for; None = choose.

    Attributes
    ----------
    window_s, hop_s : float or None
        Length of a window and start to start, in seconds.
    sampling_rate_hz : float or None
        Rate of the grid; None = the rate of the file.
    policy : {"nearest", "linear", "hold"}
        How samples come onto the grid (DESIGN section 3).
    max_age_s : float or None
        Hold: how long a value stands; linear: the longest gap bridged. None = one window.
    min_present : float or None
        Below this share of present values a window is incomplete.
    min_purity : float
        Least share of the majority label among the labelled samples of a window.
    """

    window_s: float | None = None
    hop_s: float | None = None
    sampling_rate_hz: float | None = None
    policy: GridPolicy = "nearest"
    max_age_s: float | None = None
    min_present: float | None = None
    min_purity: float = 0.8


@dataclass(frozen=True, slots=True)
class CutPlan:
    """Lengths in samples, the rate, and the sentences that say how they were chosen."""

    window_length: int
    hop_length: int
    sampling_rate_hz: float | None
    policy: GridPolicy
    max_age_s: float | None
    min_present: float | None
    min_purity: float
    remarks: tuple[str, ...] = ()

    def spec(self, channels: tuple[str, ...]) -> WindowSpec:
        """The window specification of `signals`, the one that the agent will use.

        Raises
        ------
        ValueError
            If the rate is unknown.
        """
        if self.sampling_rate_hz is None:
            message = "a stream can be cut only at a known sampling rate"
            raise ValueError(message)
        return WindowSpec(
            channels=channels,
            sampling_rate_hz=self.sampling_rate_hz,
            window_length=self.window_length,
            hop_length=self.hop_length,
            policy=self.policy,
            max_age_s=self.max_age_s or self.window_length / self.sampling_rate_hz,
            min_present=DEFAULT_MIN_PRESENT if self.min_present is None else self.min_present,
        )


def min_present_for(data: WindowedData, plan: CutPlan) -> float:
    """What a card asks of a window: what was asked for; else 90 %, or as little as the sparsest ready-cut window had.

    Examples
    --------
    >>> from trainer.data.examples import example_windows
    >>> plan = CutPlan(32, 16, None, "nearest", None, None, 0.8)
    >>> min_present_for(example_windows(), plan)
    0.9
    """
    if plan.min_present is not None:
        return plan.min_present
    if data.is_stream:
        return DEFAULT_MIN_PRESENT
    sparsest = float(np.floor(float(data.present.min()) * 1e4) / 1e4)
    return max(_LEAST_MIN_PRESENT, min(DEFAULT_MIN_PRESENT, sparsest))


def plan_of_card(card: ModelCard) -> CutPlan:
    """The cut that a fitted model asks for."""
    return CutPlan(
        window_length=card.window_length,
        hop_length=card.hop_length,
        sampling_rate_hz=card.sampling_rate_hz,
        policy=card.grid.policy,
        max_age_s=card.grid.max_age_s or None,
        min_present=card.min_present,
        min_purity=CutOptions().min_purity,
    )


def plan_cut(source: Source, options: CutOptions) -> CutPlan:
    """The cut of a source under the options.

    Raises
    ------
    DatasetError
        If an option does not fit the source, naming the option and what was expected.
    """
    for name, share in (("--min-present", options.min_present), ("--min-purity", options.min_purity)):
        if share is not None and not 0.0 < share <= 1.0:
            raise DatasetError(f"{name}: a share above 0 and up to 1 expected, got {share:g}")
    for name, value in (
        ("--window", options.window_s),
        ("--hop", options.hop_s),
        ("--rate", options.sampling_rate_hz),
        ("--max-age", options.max_age_s),
    ):
        if value is not None and not (np.isfinite(value) and value > 0):
            raise DatasetError(f"{name}: a number above 0 expected, got {value:g}")
    rate = options.sampling_rate_hz or source.sampling_rate_hz
    if rate is None and (options.window_s is not None or options.hop_s is not None):
        raise DatasetError(
            f"{source.path}: fs: a known sampling rate expected for --window and --hop in seconds; give --rate"
        )
    return _plan_windows(source, options, rate) if source.kind == "windows" else _plan_stream(source, options, rate)


def _samples(seconds: float, rate: float) -> int:
    return max(1, round(seconds * rate))


def _plan_windows(source: Source, options: CutOptions, rate: float | None) -> CutPlan:
    length = int(source.arrays["X"].shape[2])
    if options.window_s is not None and rate is not None and _samples(options.window_s, rate) != length:
        got = f"--window {options.window_s:g} s = {_samples(options.window_s, rate)} samples"
        raise DatasetError(
            f"{source.path}: the windows are cut already, to {length} samples ({length / rate:g} s), got {got}"
        )
    if options.sampling_rate_hz is not None and source.sampling_rate_hz not in (None, options.sampling_rate_hz):
        got = f"--rate {options.sampling_rate_hz:g}"
        raise DatasetError(f"{source.path}: fs: the windows are sampled at {source.sampling_rate_hz:g} Hz, got {got}")
    remarks = [
        f"windows of {length} samples" + (f" ({length / rate:g} s at {rate:g} Hz)" if rate else ", rate unknown")
    ]
    found = find_overlap_hop(source.arrays)
    if options.hop_s is not None and rate is not None:
        hop = _samples(options.hop_s, rate)
        remarks.append(f"hop of {hop} samples as asked")
    elif found is not None:
        hop = found
        remarks.append(f"hop of {hop} samples: consecutive windows overlap by {length - hop}")
    else:
        hop = length
        remarks.append(f"hop of {hop} samples: consecutive windows do not overlap")
    return CutPlan(
        length, hop, rate, options.policy, options.max_age_s, options.min_present, options.min_purity, tuple(remarks)
    )


def _plan_stream(source: Source, options: CutOptions, rate: float | None) -> CutPlan:
    if rate is None:
        raise DatasetError(
            f"{source.path}: fs: a known sampling rate expected to cut a stream into windows; give --rate"
        )
    if options.window_s is not None:
        length, why = _samples(options.window_s, rate), "as asked"
    else:
        length, why = _default_length(source)
    if options.hop_s is not None:
        hop, hop_why = _samples(options.hop_s, rate), "as asked"
    else:
        hop, hop_why = max(1, length // 2), "half a window"
    remarks = (
        f"windows of {length} samples ({length / rate:g} s at {rate:g} Hz): {why}",
        f"hop of {hop} samples: {hop_why}",
        f"samples come onto the grid by {options.policy!r}",
    )
    return CutPlan(
        length, hop, rate, options.policy, options.max_age_s, options.min_present, options.min_purity, remarks
    )


def _default_length(source: Source) -> tuple[int, str]:
    """128 samples, but at most a quarter of the median labelled stretch, so that most windows hold one label only."""
    stretches = _labelled_stretches(source)
    if not len(stretches):
        return DEFAULT_WINDOW_LENGTH, "the default"
    quarter = int(np.median(stretches)) // 4
    if quarter >= DEFAULT_WINDOW_LENGTH:
        return DEFAULT_WINDOW_LENGTH, "the default"
    if quarter >= LEAST_WINDOW_LENGTH:
        return quarter, "a quarter of the median labelled stretch"
    return LEAST_WINDOW_LENGTH, "the least, because labelled stretches are short"


def _labelled_stretches(source: Source) -> NDArray[np.int64]:
    """Lengths in samples of the stretches of one label in one run; rows for testing are not looked at."""
    arrays = source.arrays
    if "y" not in arrays:
        return np.zeros(0, np.int64)
    labels = arrays["y"].astype(np.int64)
    runs = arrays["run"].astype(np.int64) if "run" in arrays else np.zeros(len(labels), np.int64)
    is_new = np.ones(len(labels), bool)
    is_new[1:] = (np.diff(labels) != 0) | (np.diff(runs) != 0)
    begins = np.flatnonzero(is_new)
    lengths = np.diff(np.append(begins, len(labels)))
    counts = labels[begins] >= 0
    if "split" in arrays:
        counts &= arrays["split"][begins] != 1
    return lengths[counts]
