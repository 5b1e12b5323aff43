"""Time for a stream without any: sample ``n`` stands at first receipt + ``n / rate``."""

from __future__ import annotations

MAX_DRIFT_S = 2.0
"""Count and receipt clock may part by this much before the stream is anchored anew; the break is counted."""


class CountedTime:
    """Counts the samples of a steady stream.

    Parameters
    ----------
    rate_hz : float
        Nominal rate of the stream.
    max_drift_s : float
        Bound on the distance between count and receipt clock.

    Examples
    --------
    >>> time = CountedTime(10.0)
    >>> time.place(1_000_000_000, 5), time.place(1_510_000_000, 5)
    (1000000000, 1500000000)
    >>> time.place(9_000_000_000, 5), time.reanchored
    (9000000000, 1)
    """

    __slots__ = ("_anchor_ns", "_count", "_max_drift_ns", "_rate_hz", "reanchored")

    def __init__(self, rate_hz: float, max_drift_s: float = MAX_DRIFT_S) -> None:
        self._rate_hz = rate_hz
        self._max_drift_ns = max_drift_s * 1e9
        self._anchor_ns: int | None = None
        self._count = 0
        self.reanchored = 0

    def place(self, wall_ns: int, n_samples: int) -> int:
        """The time of the first of ``n_samples`` samples received at ``wall_ns``, in nanoseconds since the epoch."""
        if self._anchor_ns is None:
            self._anchor_ns, self._count = wall_ns, 0
        t0_ns = self._anchor_ns + round(self._count * 1e9 / self._rate_hz)
        if abs(t0_ns - wall_ns) > self._max_drift_ns:
            self._anchor_ns, self._count = wall_ns, 0
            self.reanchored += 1
            t0_ns = wall_ns
        self._count += n_samples
        return t0_ns
