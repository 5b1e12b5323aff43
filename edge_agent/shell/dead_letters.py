"""Messages that could not be used: counted by reason, and told in one line of each kind now and then."""

from __future__ import annotations

import logging
from collections import Counter

from edge_agent.shell.journal import RateLimit

log = logging.getLogger(__name__)

_DETAIL_CHARACTERS = 300


class DeadLetters:
    """What was refused on the way in or out.

    Attributes
    ----------
    counts : Counter
        By reason.

    Examples
    --------
    >>> letters = DeadLetters()
    >>> letters.bury("too_large_to_publish", "a/b: at most 100 bytes expected by the broker")
    >>> letters.counts
    Counter({'too_large_to_publish': 1})
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._limit = RateLimit()

    def bury(self, reason: str, detail: str) -> None:
        """Count a message that could not be used, and log one line of its kind now and then."""
        self.counts[reason] += 1
        said = " ".join(detail.split())[:_DETAIL_CHARACTERS]
        self._limit.say(log, logging.WARNING, reason, "dead letter, %s: %s", reason, said)
