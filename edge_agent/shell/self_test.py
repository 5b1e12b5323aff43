"""Whether the broker really lets this agent do its work, found out by doing it: a SUBACK is no proof.

mosquitto grants a subscription that its access control forbids, and then delivers nothing (measured; so do others). So
after every connect the agent publishes on its own topic and waits for the echo: one line if it does not come back, one
for every kind of topic that may not be published. What sensors may say cannot be proven so, for an agent may not speak
in their place: silence since the connect is told as what it is, silence.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Literal

log = logging.getLogger(__name__)

ECHO_S = 5.0
"""An echo takes a round trip; a broker with much to deliver first is known by what it delivers."""

LONGEST_ECHO_S = 30.0
SILENCE_S = 60.0
_NOT_AUTHORIZED = 0x87
_MAX_KINDS = 16

State = Literal["waiting", "passed", "failed"]


class SelfTest:
    """The test of one agent; begins anew with each connection.

    Parameters
    ----------
    topic : str
        Of the echo.
    filters : sequence of str
        Of the sensors.

    Attributes
    ----------
    state : str
        ``waiting`` for the echo, ``passed``, or ``failed``.

    Examples
    --------
    >>> test = SelfTest("telltale/v1/pi4/barrier", ["plant/+/v"])
    >>> test.connected(0.0)
    >>> test.turn(4.0), test.state
    (None, 'waiting')
    >>> test.echoed()
    >>> test.turn(6.0), test.state, test.problems()
    (None, 'passed', [])
    """

    def __init__(self, topic: str, filters: Sequence[str]) -> None:
        self.state: State = "waiting"
        self._topic = topic
        self._filters = list(filters)
        self._echo_due_s: float | None = None
        self._echo_latest_s = 0.0
        self._silence_due_s: float | None = None
        self._has_echo = self._has_sensors = False
        self._forbidden: dict[str, int] = {}

    def connected(self, now_s: float) -> None:
        """A new connection: its session may have other rights."""
        self.state = "waiting"
        self._echo_due_s, self._silence_due_s = now_s + ECHO_S, now_s + SILENCE_S
        self._echo_latest_s = now_s + LONGEST_ECHO_S
        self._has_echo = self._has_sensors = False
        self._forbidden.clear()

    def lost(self) -> None:
        """No connection: nothing can be tested."""
        self._echo_due_s = self._silence_due_s = None

    def echoed(self) -> None:
        """The own message came back."""
        self._has_echo = True
        if not self._forbidden:
            self.state = "passed"

    def heard(self, now_s: float) -> None:
        """A sensor was heard; the echo stands behind what was there before it."""
        self._has_sensors = True
        if not self._has_echo and self._echo_due_s is not None:
            self._echo_due_s = min(max(self._echo_due_s, now_s + ECHO_S), self._echo_latest_s)

    def refused(self, topic: str, reason: int) -> None:
        """The broker refused a message; one line for each kind of topic."""
        kind = topic.rpartition("/")[2]
        if kind in self._forbidden or len(self._forbidden) >= _MAX_KINDS:
            return
        self._forbidden[kind] = reason
        self.state = "failed"
        log.error("%s", _forbidden(kind, reason, topic))

    def turn(self, now_s: float) -> None:
        """Say what has become clear by now."""
        if self._echo_due_s is not None and (self._has_echo or now_s >= self._echo_due_s):
            self._echo_due_s = None
            if not self._has_echo:
                self.state = "failed"
                log.error("%s", self._no_echo)
        if self._silence_due_s is not None and (self._has_sensors or now_s >= self._silence_due_s):
            self._silence_due_s = None
            if not self._has_sensors:
                log.warning(
                    "nothing heard on %s for %g s: no sensor publishes there, or the broker's access control keeps it "
                    "from this agent (a subscription is granted in both cases)",
                    ", ".join(self._filters),
                    SILENCE_S,
                )

    def problems(self) -> list[str]:
        """What does not work, one line each; empty while all works or nothing is known."""
        found = [_forbidden(kind, reason) for kind, reason in self._forbidden.items()]
        if self.state == "failed" and not self._has_echo and not self._forbidden:
            found.append(self._no_echo)
        return found

    @property
    def _no_echo(self) -> str:
        return (
            f"self-test: a message to {self._topic} does not come back: the broker's access control "
            "must let this agent write and read it, or windows of silent devices are never closed"
        )


def _forbidden(kind: str, reason: int, topic: str | None = None) -> str:
    """One line; with the topic where only the first of a kind is meant."""
    meant = f"messages like {topic}" if topic else f"messages on .../{kind}"
    why = "not authorized by its access control" if reason == _NOT_AUTHORIZED else f"reason 0x{reason:02x}"
    return f"self-test: the broker refuses {meant}: {why}"
