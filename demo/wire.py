"""The demo's own MQTT clients: one that publishes and counts PUBACKs, one that keeps what arrives.

paho's thread only enqueues and counts; nothing is parsed in a callback.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable
from types import TracebackType
from typing import NamedTuple, Self

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from demo.errors import DemoError

_ANSWER_S = 15.0
# Enough to keep the broker busy, few enough that a stop does not leave thousands behind.
_MOST_IN_FLIGHT = 400


class Address(NamedTuple):
    """Where a broker listens, and whether it speaks MQTT 5."""

    host: str
    port: int
    speaks_mqtt5: bool = True

    @classmethod
    def parse(cls, text: str) -> Address:
        """The address in ``host:port``; the port is 1883 where it is left out.

        Raises
        ------
        DemoError
            If the port is no number from 1 to 65535.

        Examples
        --------
        >>> Address.parse("broker"), Address.parse("[::1]:1884").host
        (Address(host='broker', port=1883, speaks_mqtt5=True), '::1')
        """
        host, colon, port = text.rpartition(":")
        if not colon or (":" in host and not host.endswith("]")):
            host, port = text, "1883"
        if not host or not port.isdecimal() or not 1 <= int(port) <= 65535:
            raise DemoError(f"--broker: HOST:PORT expected, got {text!r}")
        return cls(host.strip("[]"), int(port))


class Received(NamedTuple):
    """One message as it arrived."""

    topic: str
    payload: bytes
    retained: bool
    at_ns: int
    """Receipt on the monotonic clock."""


class Connection:
    """A connected client; use it as a context manager.

    Parameters
    ----------
    address : Address
        The broker.
    name : str
        What it is for; part of every error.

    Raises
    ------
    DemoError
        From `open`, when the broker cannot be reached or refuses.
    """

    def __init__(self, address: Address, name: str) -> None:
        self.address = address
        self.name = name
        self._changed = threading.Condition()
        self._connected = False
        self._refusal = ""
        protocol = MQTTv5 if address.speaks_mqtt5 else MQTTv311
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=protocol)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.max_inflight_messages_set(65_535)

    def open(self, patience_s: float = _ANSWER_S) -> Self:
        """Connect; wait up to ``patience_s`` for a broker that is still coming up."""
        deadline = time.monotonic() + patience_s
        while True:
            try:
                self._client.connect(self.address.host, self.address.port, keepalive=30)
                break
            except OSError as error:
                if time.monotonic() >= deadline:
                    raise DemoError(f"{self.name}: broker {self.address.host}:{self.address.port}: {error}") from error
                time.sleep(0.2)
        self._client.loop_start()
        with self._changed:
            self._changed.wait_for(lambda: self._connected or self._refusal, timeout=_ANSWER_S)
        if not self._connected:
            self.close()
            raise DemoError(
                f"{self.name}: broker {self.address.host}:{self.address.port}: {self._refusal or 'no answer'}"
            )
        return self

    def close(self) -> None:
        """Disconnect and end the network thread."""
        self._client.disconnect()
        self._client.loop_stop()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _on_connect(
        self, _client: Client, _data: object, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        with self._changed:
            if reason.is_failure:
                self._refusal = str(reason)
            else:
                self._connected = True
            self._changed.notify_all()

    def _on_disconnect(
        self, _client: Client, _data: object, flags: DisconnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        with self._changed:
            self._connected = False
            self._changed.notify_all()


class Publisher(Connection):
    """Publishes at QoS 1 with a bounded number of messages under way.

    Attributes
    ----------
    n_accepted, n_refused : int
        PUBACKs that said success, and that did not.
    """

    def __init__(self, address: Address, name: str = "publisher") -> None:
        super().__init__(address, name)
        self.n_sent = 0
        self.n_accepted = 0
        self.n_refused = 0
        self._client.on_publish = self._on_publish

    @property
    def n_in_flight(self) -> int:
        """Messages whose PUBACK is still out."""
        return self.n_sent - self.n_accepted - self.n_refused

    def publish(self, topic: str, payload: bytes) -> None:
        """Hand one message to the broker; wait first while too many are under way.

        Raises
        ------
        DemoError
            If PUBACKs stopped coming.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self.n_in_flight < _MOST_IN_FLIGHT, timeout=_ANSWER_S):
                raise DemoError(f"{self.name}: PUBACKs expected within {_ANSWER_S:.0f} s, {self.n_in_flight} are out")
            self.n_sent += 1
        self._client.publish(topic, payload, qos=1)

    def drain(self) -> None:
        """Return once every message was acknowledged.

        Raises
        ------
        DemoError
            If some were not, or were refused.
        """
        with self._changed:
            done = self._changed.wait_for(lambda: self.n_in_flight == 0, timeout=_ANSWER_S)
        if not done or self.n_refused:
            raise DemoError(
                f"{self.name}: {self.n_sent} PUBACKs expected, got {self.n_accepted}, {self.n_refused} refused"
            )

    def _on_publish(
        self, _client: Client, _data: object, mid: int, reason: ReasonCode, properties: Properties | None
    ) -> None:
        with self._changed:
            # 0x10, "no matching subscribers", is a success: the demo publishes the truth whether or not somebody
            # records it.
            if reason.is_failure:
                self.n_refused += 1
            else:
                self.n_accepted += 1
            # Not for every PUBACK: a publisher that is woken to send one message sleeps again at once.
            if self.n_in_flight in (0, _MOST_IN_FLIGHT // 2):
                self._changed.notify_all()


class Subscriber(Connection):
    """Keeps every message of some topics until it is taken, and counts them."""

    def __init__(self, address: Address, filters: Iterable[str], name: str = "subscriber") -> None:
        super().__init__(address, name)
        self._filters = list(filters)
        self._inbox: deque[Received] = deque()
        self._subscribed = False
        self.n_received = 0
        self._client.on_message = self._on_message
        self._client.on_subscribe = self._on_subscribe

    def open(self, patience_s: float = _ANSWER_S) -> Self:
        """Connect and subscribe; return once the broker granted it."""
        super().open(patience_s)
        with self._changed:
            if not self._changed.wait_for(lambda: self._subscribed, timeout=_ANSWER_S):
                raise DemoError(f"{self.name}: SUBACK expected within {_ANSWER_S:.0f} s")
        return self

    def take(self) -> list[Received]:
        """What arrived since the last call, in order."""
        taken = []
        while self._inbox:
            taken.append(self._inbox.popleft())
        return taken

    def _on_connect(
        self, client: Client, _data: object, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        super()._on_connect(client, _data, flags, reason, properties)
        # Every time, not once: a broker that was restarted knows nothing of us.
        if not reason.is_failure:
            client.subscribe([(topic_filter, 1) for topic_filter in self._filters])

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        self.n_received += 1
        self._inbox.append(Received(message.topic, bytes(message.payload), message.retain, time.monotonic_ns()))

    def _on_subscribe(
        self, _client: Client, _data: object, mid: int, reasons: list[ReasonCode], properties: Properties | None
    ) -> None:
        with self._changed:
            self._subscribed = not any(reason.is_failure for reason in reasons)
            self._changed.notify_all()
