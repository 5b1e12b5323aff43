"""The clock by which devices are late: monotonic time that stands still while the broker is away.

A device cannot publish to a broker that is down, and takes a moment to come back to one that is up again: neither is
silence, so neither may close a window by its deadline.
"""

from __future__ import annotations

GRACE_NS = 5_000_000_000
"""How long devices are given to come back after the agent itself has."""


class DeviceClock:
    """Monotonic nanoseconds without the outages of the broker.

    Examples
    --------
    >>> clock = DeviceClock()
    >>> clock.connected(1_000_000_000)
    >>> clock.lost(9_000_000_000)
    >>> clock.connected(29_000_000_000)
    >>> clock.read(29_000_000_000) / 1e9, clock.read(34_000_000_000) / 1e9, clock.read(35_000_000_000) / 1e9
    (9.0, 9.0, 10.0)
    """

    def __init__(self) -> None:
        self._stood_ns = 0
        self._lost_ns: int | None = None
        self._newest_ns = 0

    def lost(self, now_ns: int) -> None:
        """The connection ended; saying so twice changes nothing."""
        if self._lost_ns is None:
            self.read(now_ns)
            self._lost_ns = now_ns

    def connected(self, now_ns: int) -> None:
        """The connection is there (again)."""
        if self._lost_ns is not None:
            self._stood_ns += now_ns - self._lost_ns + GRACE_NS
            self._lost_ns = None

    def read(self, now_ns: int) -> int:
        """What the clock says at ``now_ns``; never less than before."""
        until_ns = now_ns if self._lost_ns is None else self._lost_ns
        self._newest_ns = max(self._newest_ns, until_ns - self._stood_ns)
        return self._newest_ns
