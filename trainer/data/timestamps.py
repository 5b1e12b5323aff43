"""What a column of timestamps means: ISO 8601 with a zone, or numbers whose unit is told by their size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from schemas import format_timestamp
from trainer.errors import DatasetError

# Times since 1970 in s, ms, us and ns stay a factor of 1000 apart: a number of seconds below 1e11 ends in the year
# 5138, the same number of milliseconds in March 1973.
_UNITS = (
    (1e11, "seconds", 1.0),
    (1e14, "milliseconds", 1e-3),
    (1e17, "microseconds", 1e-6),
    (np.inf, "nanoseconds", 1e-9),
)


def seconds_of_numbers(numbers: NDArray[np.float64], path: Path) -> tuple[NDArray[np.float64], str]:
    """Seconds, and one sentence that says how the numbers were read.

    Parameters
    ----------
    numbers : ndarray of shape (n_samples,), float64
        Finite. The unit is taken from the median size.

    Raises
    ------
    DatasetError
        If a number is not finite.

    Examples
    --------
    >>> seconds, remark = seconds_of_numbers(np.array([1.7e12, 1.7e12 + 20]), Path("a.csv"))
    >>> round(float(seconds[1] - seconds[0]), 6), remark
    (0.02, 'timestamps are numbers, read as milliseconds since 1970-01-01, from 2023-11-14T22:13:20.000000Z on')
    >>> seconds_of_numbers(np.array([0.0, 0.5]), Path("a.csv"))[1]
    'timestamps are numbers, read as seconds'
    """
    if not np.isfinite(numbers).all():
        row = int(np.argmin(np.isfinite(numbers)))
        raise DatasetError(f"{path}: timestamp: finite numbers expected, got {numbers[row]} in data row {row + 1}")
    size = float(np.median(np.abs(numbers)))
    _, unit, factor = next(entry for entry in _UNITS if size < entry[0])
    seconds = numbers * factor
    remark = f"timestamps are numbers, read as {unit}"
    # Below a year it is a counter from the start of the recording, for which a date would be misleading.
    if size * factor > 3.2e7:
        remark += f" since 1970-01-01, from {format_timestamp(int(seconds.min() * 1e9))} on"
    return seconds, remark


def infer_rate(t: NDArray[np.float64], runs: NDArray[np.int64]) -> float | None:
    """The nominal sampling rate in Hz: one over the median step inside a run, drawn to a round number within 1 %.

    None where no run has two different times.

    Examples
    --------
    >>> infer_rate(np.array([0.0, 0.0201, 0.0399, 0.06]), np.zeros(4, np.int64))
    50.0
    >>> infer_rate(np.array([0.0, 60.0, 120.2, 180.0]), np.zeros(4, np.int64))
    0.016666666666666666
    """
    steps = np.diff(t)[np.diff(runs) == 0]
    steps = steps[steps > 0]
    if not len(steps):
        return None
    step = float(np.median(steps))
    # Sensors are set to whole hertz, or to whole seconds between readings; jitter and rounding hide it.
    for whole, is_period in ((round(1.0 / step), False), (round(step), True)):
        if whole >= 1:
            rounded = float(whole) if not is_period else 1.0 / whole
            if abs(rounded * step - 1.0) < 0.01:
                return rounded
    return float(f"{1.0 / step:.6g}")
