"""The clock by which devices are late: monotonic time that stops while the broker is away or stands still itself.

A device cannot publish to a broker that is down, and takes a moment to come back to one that is up again: neither is
silence, so neither may close a window by its deadline. The same holds for a broker that is connected and says nothing
at all, although the barrier gives it something to say five times a second: it may read the barrier that waited for it
before the samples that waited for it.
"""

from __future__ import annotations

GRACE_NS = 5_000_000_000
"""How long devices are given to come back after the agent itself has."""

QUIET_NS = 500_000_000
"""A broker of which nothing was heard for longer than this stands still, and the clock with it."""


class DeviceClock:
    """Monotonic nanoseconds without the outages of the broker, and without the times in which it stands still.

    Examples
    --------
    >>> clock = DeviceClock()
    >>> clock.connected(1_000_000_000)
    >>> clock.heard(9_000_000_000)
    >>> clock.lost(9_000_000_000)
    >>> clock.connected(29_000_000_000)
    >>> clock.heard(35_000_000_000)
    >>> clock.read(29_000_000_000) / 1e9, clock.read(34_000_000_000) / 1e9, clock.read(35_000_000_000) / 1e9
    (9.0, 9.0, 10.0)
    """

    def __init__(self) -> None:
        self._stood_ns = 0
        self._lost_ns: int | None = None
        self._heard_ns: int | None = None
        self._quiet_ns = 0
        self._newest_ns = 0

    def lost(self, now_ns: int) -> None:
        """The connection ended; saying so twice changes nothing."""
        if self._lost_ns is None:
            self.read(now_ns)
            self._lost_ns = now_ns if self._heard_ns is None else min(now_ns, self._heard_ns + QUIET_NS)
            self._heard_ns = None

    def connected(self, now_ns: int) -> None:
        """The connection is there (again)."""
        if self._lost_ns is not None:
            self._stood_ns += now_ns - self._lost_ns + GRACE_NS
            self._lost_ns = None
        self._heard_ns = self._quiet_ns = now_ns

    def heard(self, now_ns: int) -> None:
        """Something came from the broker; what counts as quiet before is only time in which the agent did listen."""
        if self._heard_ns is None:
            return
        if self._quiet_ns - self._heard_ns > QUIET_NS:
            self._stood_ns += now_ns - self._heard_ns - QUIET_NS + GRACE_NS
        self._heard_ns = self._quiet_ns = now_ns

    def quiet(self, now_ns: int) -> None:
        """The agent listened, and nothing was there."""
        self._quiet_ns = now_ns

    def read(self, now_ns: int) -> int:
        """What the clock says at ``now_ns``; never less than before."""
        until_ns = now_ns
        if self._lost_ns is not None:
            until_ns = self._lost_ns
        elif self._heard_ns is not None:
            until_ns = min(now_ns, self._heard_ns + QUIET_NS)
        self._newest_ns = max(self._newest_ns, until_ns - self._stood_ns)
        return self._newest_ns
