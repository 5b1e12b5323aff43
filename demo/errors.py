"""The errors of the demo."""

from __future__ import annotations

from schemas.errors import EdgeError


class DemoError(EdgeError):
    """A part of the demo that is needed is missing or did not answer; the message says which, in one line."""


class StepFailedError(DemoError):
    """A step of the demo did not hold. The demo ends with exit code 1 and names it.

    Parameters
    ----------
    step : str
        Name of the step.
    detail : str
        What was expected and what came, in one line.

    Examples
    --------
    >>> str(StepFailedError("labels", "480 windows expected, got 479"))
    'labels: 480 windows expected, got 479'
    """

    def __init__(self, step: str, detail: str) -> None:
        self.step = step
        self.detail = detail
        super().__init__(f"{step}: {detail}")
