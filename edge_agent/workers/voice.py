"""The one voice of several workers: the gateway is online while all of them are, and its counters are their sum.

A connection of its own, so that the broker says ``offline`` for the gateway when the supervisor dies, as it says it for
each worker. Nothing here is needed for a label: a broker that is away is asked again, and nobody waits for it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode
from pydantic import BaseModel, ValidationError

from edge_agent.config import AgentConfig
from edge_agent.shell.mqtt_client import build_client
from schemas import ROUTES, AgentMetrics, Availability, topic_for

log = logging.getLogger(__name__)

_ANY = "+"
_LEAST = {"uptime_s", "state_free_bytes"}
_GOODBYE_S = 2.0


class Voice:
    """Speaks for the gateway on its own connection.

    Parameters
    ----------
    config : AgentConfig
        Of the gateway.
    n_workers : int

    Raises
    ------
    ConfigError
        If a certificate or password file cannot be used.
    """

    def __init__(self, config: AgentConfig, n_workers: int) -> None:
        mqtt = config.mqtt.model_copy(update={"client_id": f"{config.client_id}-workers"})
        self._config = config.model_copy(update={"mqtt": mqtt})
        self._n_workers = n_workers
        self._is_auto = mqtt.protocol == "auto"
        self._is_5 = mqtt.protocol != "3.1.1"
        self._online: set[int] = set()
        self._metrics: dict[int, AgentMetrics] = {}
        self._is_connected = False
        self._said: bool | None = None
        self._next_try_s = 0.0
        self._next_metrics_s = time.monotonic() + config.status.metrics_interval_s
        self._client = self._new_client()

    @property
    def is_online(self) -> bool:
        """Whether every worker has said that it is."""
        return len(self._online) == self._n_workers

    def turn(self, timeout_s: float) -> None:
        """Hear the workers for so long, and say what changed."""
        now_s = time.monotonic()
        if self._client.socket() is None:
            self._is_connected, self._said = False, None
            if now_s < self._next_try_s:
                time.sleep(min(timeout_s, self._next_try_s - now_s))
                return
            self._next_try_s = now_s + self._config.mqtt.reconnect_max_s / 2
            self._connect()
        if self._client.loop(timeout_s) != MQTTErrorCode.MQTT_ERR_SUCCESS:
            time.sleep(min(timeout_s, 0.05))
        if not self._is_connected:
            return
        if self._said != self.is_online:
            self._say_availability(is_online=self.is_online)
        if now_s >= self._next_metrics_s and self._metrics:
            self._next_metrics_s = now_s + self._config.status.metrics_interval_s
            self._publish("metrics", total([self._metrics[worker] for worker in sorted(self._metrics)]))

    def close(self) -> None:
        """Say ``offline`` and go."""
        if self._is_connected:
            self._say_availability(is_online=False)
            self._client.disconnect()
        until_s = time.monotonic() + _GOODBYE_S
        while self._client.socket() is not None and time.monotonic() < until_s:
            self._client.loop(0.05)

    def _new_client(self) -> Client:
        config, gateway = self._config, self._config.gateway.id
        offline = Availability(state="offline").model_dump_json().encode()
        client = build_client(config, is_5=self._is_5, will=(topic_for("availability", gateway=gateway), offline))
        client.manual_ack_set(on=False)
        if self._is_5:
            # Nothing need be kept for us: what the workers say of themselves is retained.
            client.connect_async(config.mqtt.host, config.mqtt.port, config.mqtt.keepalive_s, clean_start=True)
        client.on_connect = self._on_connect
        client.on_message = self._on_message
        return client

    def _connect(self) -> None:
        try:
            self._client.reconnect()
        except (OSError, ValueError) as error:
            log.debug("the supervisor has no connection: %s", error)

    def _on_connect(
        self, client: Client, _userdata: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        if reason.is_failure:
            if self._is_auto:
                self._is_5 = not self._is_5
                self._client = self._new_client()
            return
        self._is_connected, self._said = True, None
        self._online.clear()
        gateway = self._config.gateway.id
        client.subscribe([(_of_any(name, gateway), 1) for name in ("worker_availability", "worker_metrics")])

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        try:
            *_, number, leaf = message.topic.split("/")
            worker = int(number)
            if not 0 <= worker < self._n_workers:
                return
            if leaf == "availability":
                is_online = Availability.model_validate_json(message.payload).state == "online"
                (self._online.add if is_online else self._online.discard)(worker)
            else:
                self._metrics[worker] = AgentMetrics.model_validate_json(message.payload)
        except (ValueError, ValidationError):  # whatever it is, no worker of this version wrote it
            return

    def _say_availability(self, *, is_online: bool) -> None:
        self._said = is_online
        self._publish("availability", Availability(state="online" if is_online else "offline"))

    def _publish(self, route: str, contract: Availability | AgentMetrics) -> None:
        row, topic = ROUTES[route], topic_for(route, gateway=self._config.gateway.id)
        self._client.publish(topic, contract.model_dump_json(by_alias=True), qos=row.qos, retain=row.retain)


def _of_any(route: str, gateway: str) -> str:
    return ROUTES[route].template.replace("{gateway}", gateway).replace("{worker}", _ANY)


def total(metrics: Sequence[AgentMetrics]) -> AgentMetrics:
    """The counters of all workers as one: counts are added, times are the newest, what is left is the least.

    What is neither count nor time (a share, a latency) is the largest: the worst of the workers, no mean nobody saw.
    """
    return AgentMetrics.model_validate(
        {name: _joined(name, [getattr(one, name) for one in metrics]) for name in AgentMetrics.model_fields}
    )


def _joined(name: str, values: Sequence[object]) -> object:
    """Values of one field over all workers; ``name`` of the field decides where the type does not."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    first = known[0]
    if isinstance(first, BaseModel):
        return {field: _joined(field, [getattr(value, field) for value in known]) for field in type(first).model_fields}
    if isinstance(first, dict):
        tables = [value for value in known if isinstance(value, dict)]
        keys = dict.fromkeys(key for table in tables for key in table)
        return {key: _joined(key, [table[key] for table in tables if key in table]) for key in keys}
    if isinstance(first, list):
        rows = [value for value in known if isinstance(value, list)]
        return [_joined(name, cells) for cells in zip(*rows, strict=False)]
    if isinstance(first, bool):
        return all(known)
    if isinstance(first, str):
        return max(str(value) for value in known)
    numbers = [value for value in known if isinstance(value, int | float)]
    if name in _LEAST:
        return min(numbers)
    return sum(numbers) if isinstance(first, int) or name == "sum" else max(numbers)
