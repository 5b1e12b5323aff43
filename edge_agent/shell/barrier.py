"""The agent's own echo: proof that the broker has delivered everything it got before a moment.

A window may close by its deadline only when a barrier sent after the deadline came back: while the broker stands
still, so does this clock, and nothing is declared lost that merely waits. The run id keeps the echo of an earlier
process, which a persistent session may deliver, from moving the clock of this one.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from pydantic import ValidationError

from schemas import Barrier

INTERVAL_S = 0.2
STALL_S = 5.0
"""An echo this late, although the broker took the barrier, means that its quota of unacknowledged ones is used up."""

_MAX_IN_FLIGHT = 4


class BarrierClock:
    """Sends barriers and reads their echoes.

    Examples
    --------
    >>> clock = BarrierClock()
    >>> payload = clock.next_payload(5_000_000_000, 5_000_000_000)
    >>> clock.echoed(payload), clock.echoed(b"rubbish"), BarrierClock().echoed(payload)
    (5000000000, None, None)
    """

    def __init__(self) -> None:
        self.run = uuid.uuid4().hex
        self._next_ns = 0
        self._newest_echo_ns = 0
        self._taken_ns: int | None = None
        self._mids: dict[int, int] = {}

    @property
    def in_flight(self) -> int:
        """Barriers sent whose PUBACK is not here yet."""
        return len(self._mids)

    @property
    def has_echoed(self) -> bool:
        """Whether a barrier of this run came back: all that the session held at the start has been delivered."""
        return self._newest_echo_ns > 0

    def is_due(self, now_ns: int) -> bool:
        """Whether the next barrier should be sent."""
        return now_ns >= self._next_ns and len(self._mids) < _MAX_IN_FLIGHT

    def next_payload(self, now_ns: int, clock_ns: int) -> bytes:
        """The barrier of this moment, which carries ``clock_ns``; the next one is due 0.2 s later."""
        self._next_ns = now_ns + int(INTERVAL_S * 1e9)
        return Barrier(run=self.run, monotonic_ns=clock_ns).model_dump_json().encode()

    def sent(self, mid: int, now_ns: int) -> None:
        """Note the packet identifier under which a barrier went out."""
        self._mids[mid] = now_ns

    def confirmed(self, mid: int, now_ns: int) -> bool:
        """Whether the PUBACK was one of a barrier; the broker took it at ``now_ns``."""
        if self._mids.pop(mid, None) is None:
            return False
        if self._taken_ns is None:
            self._taken_ns = now_ns
        return True

    def confirmed_among(self, mids: Sequence[int], now_ns: int) -> None:
        """Note which of these PUBACKs were those of barriers; the broker took them at ``now_ns``."""
        for mid in [mid for mid in self._mids if mid in mids]:
            self.confirmed(mid, now_ns)

    def refused(self, mid: int) -> None:
        """The broker refused a barrier: it will not come back."""
        self._mids.pop(mid, None)

    def reset(self) -> None:
        """A new connection: what was in flight will be sent again or is lost."""
        self._mids.clear()
        self._taken_ns = None
        self._next_ns = 0

    def echoed(self, payload: bytes) -> int | None:
        """The monotonic time of an echo of this run, in nanoseconds; None for anything else."""
        try:
            barrier = Barrier.model_validate_json(payload)
        except ValidationError:
            return None
        if barrier.run != self.run or barrier.monotonic_ns < self._newest_echo_ns:
            return None
        self._newest_echo_ns = barrier.monotonic_ns
        self._taken_ns = None
        return barrier.monotonic_ns

    def is_stalled(self, now_ns: int) -> bool:
        """Whether the broker took a barrier and has not delivered it for 5 s: it answers, but delivers no more."""
        return self._taken_ns is not None and now_ns - self._taken_ns > int(STALL_S * 1e9)

    def heard(self) -> None:
        """Something else was delivered: the broker is not stuck, it has much to say."""
        self._taken_ns = None
