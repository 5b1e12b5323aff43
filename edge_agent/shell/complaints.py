"""What is wrong with the connection to the broker: one line of the log for each new trouble, not one for each try."""

from __future__ import annotations

import logging

from edge_agent.config import MqttConfig

log = logging.getLogger(__name__)

_UNANSWERED_TRIES = 3


class Complaints:
    """Troubles of one connection, told once.

    Parameters
    ----------
    mqtt : MqttConfig
        Names the broker in what is told.
    """

    def __init__(self, mqtt: MqttConfig) -> None:
        self._mqtt = mqtt
        self._last = ""
        self._n_unanswered = 0
        self._tls_trouble = ""

    def say(self, complaint: str) -> None:
        """Log the complaint, unless it was the last one too."""
        if complaint != self._last:
            self._last = complaint
            log.warning("%s", complaint)

    def settle(self) -> None:
        """The broker has accepted the connection: whatever comes next is new."""
        self._last = self._tls_trouble = ""
        self._n_unanswered = 0

    def unanswered(self, trouble: str) -> None:
        """Say that the broker hung up without a word, and why: one of three tries usually brings the reason of TLS.

        Parameters
        ----------
        trouble : str
            What the socket said when it ended; empty where the broker simply closed it.
        """
        self._n_unanswered += 1
        mqtt = self._mqtt
        if "SSL" in trouble:
            self._tls_trouble = trouble
        if self._tls_trouble:
            why = f"it refuses this agent's certificate or TLS: {self._tls_trouble}"
        elif self._n_unanswered < _UNANSWERED_TRIES:
            return
        else:
            why = "it may expect TLS, and mqtt.ca_file is not set" if mqtt.ca_file is None else "it gives no reason"
        self.say(f"the broker at {mqtt.host}:{mqtt.port} ends the connection before it answers: {why}")
