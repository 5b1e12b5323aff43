"""Whether the clock of a device was set: what late samples and far leaps mean.

Kept only for devices that gave cause for it. A sample behind what has closed is late. Where nothing else comes for a
while, the device has set its clock back, or its counter began anew; where samples go on behind a far leap, the leap was
a lie.
"""

from __future__ import annotations

from signals.plan import CutPlan

CLOCK_STEP_S = 10.0
"""A device from which only late samples came for this long (receipt clock) has set its clock back; it starts anew."""

LEAP_S = 86_400.0
"""A device whose time moves on by more than this at once has set its clock, or one message lies.

It is believed, and the windows between are declared in one range. If the next samples go on where it was before, it is
not: then the device is taken back at once instead of after ``CLOCK_STEP_S``, but not again before that has passed."""

_NS = 1_000_000_000


class Doubt:
    """What is doubted of one device's clock.

    Attributes
    ----------
    late_since_ns : int or None
        Receipt clock of the first late sample since the last one in time.
    late_first : int
        Its grid point.
    leap : tuple of int or None
        Grid points: from where to where the device has leapt.
    returned_ns : int or None
        Receipt clock at which it was last taken back.
    """

    __slots__ = ("late_first", "late_since_ns", "leap", "returned_ns")

    def __init__(self) -> None:
        self.late_since_ns: int | None = None
        self.late_first = 0
        self.leap: tuple[int, int] | None = None
        self.returned_ns: int | None = None

    def is_back(self, plan: CutPlan, point: int, newest: int, clock_ns: int) -> bool:
        """Whether a late sample goes on where the device was before a leap that did not last for a window."""
        if self.leap is None:
            return False
        if self.returned_ns is not None and clock_ns - self.returned_ns < CLOCK_STEP_S * _NS:
            return False
        before, leapt_to = self.leap
        return abs(point - before) <= plan.span and newest - leapt_to < plan.length

    def is_far(self, plan: CutPlan, newest: int) -> bool:
        """Whether the late samples are later than any that a broker only delivers again."""
        far = max(CLOCK_STEP_S * plan.rate, plan.length) + 2 * plan.span
        return self.late_since_ns is not None and newest - self.late_first > far


def patience_ns(plan: CutPlan, *, in_time: bool) -> int:
    """How long only late samples may come before the clock is taken to be set back."""
    patience_s = max(CLOCK_STEP_S, plan.length / plan.rate)
    # after a restart the broker may deliver a long tail that was labelled before
    return int((patience_s if in_time else 6 * patience_s) * _NS)
