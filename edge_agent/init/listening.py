"""Listening to somebody's broker as a guest: a clean session of its own, QoS 0, nothing published."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge_agent.config import MqttConfig
from edge_agent.errors import InitError
from edge_agent.init.hearing import Hearing
from schemas import ConfigError

_CONNECT_S = 10.0
_TURN_S = 0.2
_MAX_PACKET_BYTES = 1_048_576
_UNSUPPORTED_PROTOCOL = 0x84
_OTHER_VERSION = "another version of the protocol"


class Listener:
    """One connection that keeps what it hears.

    Parameters
    ----------
    mqtt : MqttConfig
        Host, port, credentials and certificates.
    topics : sequence of str
        Topic filters.

    Raises
    ------
    ConfigError
        If a certificate or password file cannot be used.
    """

    def __init__(self, mqtt: MqttConfig, topics: Sequence[str]) -> None:
        self.hearing = Hearing()
        self._mqtt = mqtt
        self._topics = topics
        self._refusal: str | None = None
        self._speaks_5 = True
        self._is_subscribed = False
        self._client = self._build()

    @property
    def where(self) -> str:
        """The broker, as host:port."""
        return f"{self._mqtt.host}:{self._mqtt.port}"

    def listen(self, seconds: float, progress: Callable[[float], None]) -> float:
        """Listen so long, or until Ctrl-C; the seconds it was.

        Raises
        ------
        InitError
            If there is no broker, or it refuses us.
        """
        try:
            self._connect()
            return self._hear(seconds, progress)
        finally:
            self._client.disconnect()
            _let_go(self._client)

    def _hear(self, seconds: float, progress: Callable[[float], None]) -> float:
        started_s = time.monotonic()
        try:
            while (passed_s := time.monotonic() - started_s) < seconds:
                progress(passed_s)
                if self._client.loop(min(_TURN_S, seconds - passed_s)) != MQTTErrorCode.MQTT_ERR_SUCCESS:
                    self._connect()
        except KeyboardInterrupt:
            pass  # enough was heard
        return time.monotonic() - started_s

    def _build(self) -> Client:
        mqtt = self._mqtt
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"edge-agent-init-{secrets.token_hex(4)}",
            protocol=MQTTProtocolVersion.MQTTv5 if self._speaks_5 else MQTTProtocolVersion.MQTTv311,
            clean_session=None if self._speaks_5 else True,
            reconnect_on_failure=False,
        )
        client.connect_timeout = _CONNECT_S
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        if mqtt.username is not None:
            password = mqtt.password()
            client.username_pw_set(mqtt.username, password.get_secret_value() if password else None)
        if mqtt.ca_file is not None:
            try:
                client.tls_set(
                    str(mqtt.ca_file),
                    str(mqtt.cert_file) if mqtt.cert_file else None,
                    str(mqtt.key_file) if mqtt.key_file else None,
                )
            except (OSError, ValueError) as error:
                problem = f"readable PEM files expected in ca_file, cert_file and key_file, got {error}"
                raise ConfigError("mqtt", [problem]) from error
        return client

    def _connect(self) -> None:
        """Connect and subscribe; a broker that does not speak MQTT 5 is asked again in 3.1.1."""
        while not self._try_to_connect():
            self._speaks_5 = False
            _let_go(self._client)
            self._client = self._build()

    def _try_to_connect(self) -> bool:
        """Whether we are subscribed; False = the broker speaks another version than ours."""
        self._forget_answers()
        properties = None
        if self._speaks_5:
            properties = Properties(PacketTypes.CONNECT)
            properties.MaximumPacketSize = _MAX_PACKET_BYTES
        try:
            self._client.connect(self._mqtt.host, self._mqtt.port, 30, properties=properties)
        except (OSError, ValueError) as error:
            raise InitError(f"a broker expected at {self.where}, got {error}") from error
        until_s = time.monotonic() + _CONNECT_S
        while time.monotonic() < until_s:
            code = self._client.loop(_TURN_S)
            refusal = self._refusal
            if refusal == _OTHER_VERSION:
                return False
            if refusal is not None:
                raise InitError(f"{self.where} refuses: {refusal}")
            if self._is_subscribed:
                return True
            if code != MQTTErrorCode.MQTT_ERR_SUCCESS and self._client.socket() is None:
                if self._speaks_5:  # some brokers of 3.1.1 just close on a CONNECT of 5
                    return False
                raise InitError(f"{self.where} closes the connection: {code.name}")
        raise InitError(f"{self.where} does not answer as an MQTT broker within {_CONNECT_S:g} s")

    def _forget_answers(self) -> None:
        self._is_subscribed, self._refusal = False, None

    def _on_connect(
        self, client: Client, _userdata: object, _flags: ConnectFlags, reason: ReasonCode, _properties: object
    ) -> None:
        if reason.is_failure:
            is_version = reason.value == _UNSUPPORTED_PROTOCOL and self._speaks_5
            self._refusal = _OTHER_VERSION if is_version else str(reason)
        else:
            client.subscribe([(topic, 0) for topic in self._topics])

    def _on_subscribe(
        self, _client: Client, _userdata: object, _mid: int, reasons: list[ReasonCode], _properties: object
    ) -> None:
        refused = [topic for topic, reason in zip(self._topics, reasons, strict=False) if reason.is_failure]
        if refused:
            self._refusal = f"subscription to {', '.join(refused)} is not allowed; name topics with --topics"
        self._is_subscribed = True

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return  # an agent refuses such a topic too
        self.hearing.take(topic, bytes(message.payload), is_retained=message.retain, wall_ns=time.time_ns())


def _let_go(client: Client) -> None:
    """Break the ring of references, so that paho closes its sockets now and not when memory is next swept."""
    client.on_connect = client.on_subscribe = client.on_message = None
