"""One MQTT session, driven from the loop of its owner: no thread, and callbacks that only keep what came.

The facts about paho 2 and mosquitto that shape this file: an exception in a callback ends paho's own thread while
``is_connected()`` stays true, so there is no such thread here; the topic of a message may be no UTF-8, which raises
where it is read; a broker may deliver before the subscription is sent again, so ``on_message`` is set before the
first connect; the broker limits how much may be on the way to it (ReceiveMaximum of its CONNACK) and closes the
connection on more.
"""

from __future__ import annotations

import logging
import random
import select
import socket
import time
from collections import deque
from collections.abc import Sequence
from itertools import count

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge_agent.config import AgentConfig
from edge_agent.shell.complaints import Complaints
from edge_agent.shell.device_clock import DeviceClock
from edge_agent.shell.mqtt_client import LARGEST_PACKET_BYTES, RECEIVE_MAXIMUM, FastClient, build_client, read_to_end
from edge_agent.shell.outgoing import Outgoing
from edge_agent.shell.packets_out import PACKET_OVERHEAD_BYTES, PacketsOut
from edge_agent.shell.publish_packets import Burst, Packet

log = logging.getLogger(__name__)

BURST_MESSAGES = 2_000
"""At most about this many messages are read before the burst is handed over."""

_BURST_PIECES = 4
"""At most so many pieces of 64 KiB: what was read should still stand in the cache when it is decoded."""

FIRST_RECONNECT_S = 0.5
_CONNACK_TIMEOUT_S = 10.0
_FIRST_CONNACK_TIMEOUT_S = 2.0
_STEADY_S = 5.0
_UNSUPPORTED_PROTOCOL = 0x84
_FAILURE = 0x80
_OWN_IN_FLIGHT = 1_000

NO_GUARANTEE = (
    "this connection cannot promise delivery (MQTT 3.1.1): messages are acknowledged on receipt, a killed agent loses "
    "the samples of open windows, and a label is not known to have reached a subscriber"
)

_HOUSEKEEPING_S = 0.25
_BUSY_PACKETS = 8
_BREATH_S = 0.001
"""After a burst of at least so many packets the socket is left alone so long: what comes in that time is one burst.

Under load this saves half of the turns, for a millisecond; where packets come one by one it is not done.
"""


class MqttLink:
    """A persistent session with one broker.

    Parameters
    ----------
    config : AgentConfig
        Host, credentials, limits and the filters to subscribe to.
    filters : list of str
        Topic filters, subscribed at QoS 1 on every connect.
    will_topic : str
    will_payload : bytes
        Last will: QoS 1, retained.

    Attributes
    ----------
    epoch : int
        Number of the connection, from 1; 0 = never connected.
    is_connected : bool
        Whether the broker has accepted this connection.
    protocol : str
        ``"5"`` or ``"3.1.1"``, of this connection.
    room : int
        QoS 1 messages that may be on the way to the broker at once.
    max_packet_bytes : int
        Largest packet the broker takes.
    is_subscribed : bool
        Whether the broker has answered the subscription of this connection.
    refused : list of str
        Filters that it refused.
    inbox : deque of Burst
    n_waiting, waiting_bytes : int
        Messages in the inbox, and their payloads.
    accepted : list of int
        Packet identifiers that the broker took with success; the owner takes them out.
    not_accepted : list of (packet identifier, reason code)
        All other PUBACKs, 0x10 among them; the owner takes them out.
    has_session : bool
        Whether the broker kept the session of the connection before this one.
    is_replaced : bool
        Stock paho: what was in flight is lost with the client that sent it; the owner sends it again and clears this.

    Raises
    ------
    ConfigError
        If a certificate or password file cannot be used.
    """

    def __init__(self, config: AgentConfig, filters: list[str], will_topic: str, will_payload: bytes) -> None:
        self._config = config
        self._filters = filters
        self._will = (will_topic, will_payload)
        self._is_auto = config.mqtt.protocol == "auto"
        self.protocol: str = "5" if self._is_auto else config.mqtt.protocol
        self.inbox: deque[Burst] = deque()
        self.n_waiting = self.waiting_bytes = 0
        self.accepted: list[int] = []
        self.not_accepted: list[tuple[int, int]] = []
        self.has_session = False
        self._out = PacketsOut()
        self._housekeeping_s = 0.0
        self.epoch = 0
        self.is_connected = False
        self.is_replaced = False
        self.is_subscribed = False
        self.refused: list[str] = []
        self.room = 1
        self.max_packet_bytes = LARGEST_PACKET_BYTES
        self._delay_s = FIRST_RECONNECT_S
        self._next_attempt_s = 0.0
        self._since_s = 0.0
        self._is_reading = False
        self._is_busy = False
        self._is_fresh = False
        self._is_closing = False
        self._refused_5 = False
        self._is_probe = False
        self._is_answered = False
        self._connack_timeout_s = _FIRST_CONNACK_TIMEOUT_S
        self._complaints = Complaints(config.mqtt)
        self._clock = DeviceClock()
        self._client = self._new_client()

    @property
    def is_fast(self) -> bool:
        """Whether packets are read and written here, and the owner keeps what is in flight; else stock paho does."""
        return self._client.is_fast

    def clock_ns(self) -> int:
        """Monotonic time without the outages of the broker, for deadlines."""
        return self._clock.read(time.monotonic_ns())

    # ------------------------------------------------------------------ the turn

    def turn(self, timeout_s: float) -> None:
        """Wait at most so long for the broker, then read until the socket would block, write and keep alive."""
        now_s = time.monotonic()
        if self._client.socket() is None:
            self._down()
            if self._is_closing:
                return
            if now_s < self._next_attempt_s:
                time.sleep(min(timeout_s, self._next_attempt_s - now_s))
                return
            self._connect()
        elif not self.is_connected and now_s - self._since_s > self._connack_timeout_s:
            self._complaints.say("the broker does not answer CONNECT")
            self._connack_timeout_s = min(2 * self._connack_timeout_s, _CONNACK_TIMEOUT_S)
            self._turn_to(*self._next_try())
            self._connect()
        try:
            self._exchange(timeout_s, now_s)
        except Exception as error:  # noqa: BLE001 - what a broken peer makes paho raise costs the connection, not the loop
            self._complaints.say(f"connection given up: {type(error).__name__}: {error}")
            self._abandon()
        if self._is_fresh:
            self._is_fresh = False
            self._subscribe()

    def _exchange(self, timeout_s: float, now_s: float) -> None:
        client = self._client
        if self._is_busy and not client.has_read_ahead and not self.inbox:
            time.sleep(_BREATH_S)
        socket = client.socket()
        if socket is None:
            return
        wait_s = 0.0 if client.has_read_ahead else timeout_s
        readable, writable, _ = select.select([socket], [socket] if client.want_write() else [], [], wait_s)
        if readable or client.has_read_ahead:
            self._clock.heard(time.monotonic_ns())
            n_before = self.n_waiting + len(self.accepted)
            self._read_burst()
            self._is_busy = self.n_waiting + len(self.accepted) - n_before >= _BUSY_PACKETS
        else:
            self._is_busy = False
            self._clock.quiet(time.monotonic_ns())
        if writable and client.socket() is not None:
            client.loop_write()
        if client.socket() is not None and (wait_s or now_s >= self._housekeeping_s):
            self._housekeeping_s = now_s + _HOUSEKEEPING_S
            client.loop_misc()

    def _read_burst(self) -> None:
        client, is_5 = self._client, self.protocol == "5"
        # Counted from what waits already: while the intake pauses, PUBACKs and CONNACK still come over this socket.
        stop_at = self.n_waiting + BURST_MESSAGES
        self._is_reading = True
        try:
            if not client.is_fast:
                self._read_stock()
                return
            for n_pieces in count():
                packets: list[Packet] = []
                is_empty = client.take_packets(packets, self.accepted, self.not_accepted, is_5=is_5)
                if packets:
                    self._keep(packets)
                if not is_empty:
                    if not client.read_packet() or client.socket() is None:
                        return
                elif n_pieces >= _BURST_PIECES or self.n_waiting >= stop_at or not client.read_ahead():
                    return
        finally:
            self._is_reading = False

    def _read_stock(self) -> None:
        client, stop_at = self._client, self.n_waiting + BURST_MESSAGES
        while self.n_waiting < stop_at and client.read_packet():
            socket = client.socket()
            if not client.has_read_ahead and (socket is None or not select.select([socket], [], [], 0)[0]):
                return

    def _keep(self, packets: list[Packet]) -> None:
        n_bytes = sum([len(packet[1]) for packet in packets])
        self.inbox.append(Burst(packets, n_bytes, self.epoch, time.time_ns(), self.clock_ns(), time.monotonic_ns()))
        self.n_waiting += len(packets)
        self.waiting_bytes += n_bytes

    def next_burst(self) -> Burst:
        """The oldest of the inbox, taken out.

        Raises
        ------
        IndexError
            If the inbox is empty.
        """
        burst = self.inbox.popleft()
        self.n_waiting -= len(burst.packets)
        self.waiting_bytes -= burst.n_bytes
        return burst

    # ------------------------------------------------------------------ out

    def send(self, messages: Sequence[Outgoing], *, newest: Sequence[bool]) -> list[Outgoing]:
        """Write messages under the identifiers they have; those that the broker would not take are given back.

        The fast way only. They leave with :meth:`flush`.

        Parameters
        ----------
        messages : sequence of Outgoing
            With packet identifiers of the outbox.
        newest : sequence of bool
            Which of them may replace the retained message of their topic.
        """
        return self._out.labels(messages, newest, most_bytes=self.max_packet_bytes, is_5=self.protocol == "5")

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> int | None:
        """Hand a message over; its packet identifier, or None where it was not taken (not connected, or too large).

        Of QoS 1 with stock paho alone, where it survives a reconnect: it is sent again under the same identifier.
        """
        # On a packet above its bound the broker would end the connection, as often as it comes.
        if not self.is_connected or len(topic) + len(payload) + PACKET_OVERHEAD_BYTES > self.max_packet_bytes:
            return None
        if self.is_fast:
            if qos:
                raise ValueError("MqttLink.publish: QoS 0 expected; messages of QoS 1 go through send")
            self._out.unconfirmed(topic, payload, retain=retain, is_5=self.protocol == "5")
            return 0
        info = self._client.publish(topic, payload, qos=qos, retain=retain)
        if info.rc == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
            return None
        return info.mid

    def acknowledge(self, mids: list[int]) -> None:
        """Send PUBACKs, in this order; they leave with :meth:`flush`."""
        if mids and self.is_connected:
            if self.is_fast:
                self._out.acknowledge(mids)
            else:
                self._client.acknowledge(mids)

    def flush(self) -> None:
        """Give everything written to the socket, as one piece; what does not fit in leaves in the next turns."""
        content = self._out.take()
        if content and self.is_connected:
            self._client.write(content)

    def unsubscribe(self, filters: list[str]) -> None:
        """Take filters out of the session, which would else go on to collect their messages for us."""
        if filters and self.is_connected:
            self._client.unsubscribe(filters)

    def close(self, deadline_s: float, *, ends_session: bool = False) -> None:
        """Disconnect in good order; the session stays at the broker unless it is to end; the last will is not sent."""
        self._is_closing = True
        self.flush()
        if self._client.socket() is not None:
            properties = None
            if ends_session and self.protocol == "5":
                properties = Properties(PacketTypes.DISCONNECT)
                properties.SessionExpiryInterval = 0
            self._client.disconnect(properties=properties)
        while self._client.socket() is not None and time.monotonic() < deadline_s:
            self.turn(0.05)
        if (left := self._client.socket()) is not None:
            left.close()

    # ------------------------------------------------------------------ connecting

    def _new_client(self) -> FastClient:
        client = build_client(self._config, is_5=self.protocol == "5", will=None if self._is_probe else self._will)
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_socket_close = self._on_socket_close
        return client

    def _connect(self) -> None:
        self._since_s = time.monotonic()
        self._down()
        self._is_answered = False
        self._client.forget_connection()
        self._out.take()  # meant for a connection that is over
        self._client.trouble = ""
        try:
            self._client.reconnect()
        except (OSError, ValueError) as error:  # ValueError: a certificate for another host
            mqtt = self._config.mqtt
            self._complaints.say(f"cannot reach the broker at {mqtt.host}:{mqtt.port}: {error}")
            if self._is_auto:
                self._turn_to("5", is_probe=False)
            self._plan_reconnect()

    def _down(self) -> None:
        if self.is_connected:
            self._clock.lost(time.monotonic_ns())
        self.is_connected = False
        self.is_subscribed = False

    def _plan_reconnect(self) -> None:
        """Full jitter: gateways that lost one broker must not come back in step."""
        delay_s = random.uniform(0.0, self._delay_s)  # noqa: S311 - spreads load, no secret
        self._next_attempt_s = time.monotonic() + delay_s
        self._delay_s = min(2 * self._delay_s, self._config.mqtt.reconnect_max_s)

    def _abandon(self) -> None:
        """Drop a connection whose client may be in any state, and the client with it."""
        self._down()
        self._replace_client()
        self._plan_reconnect()

    def _next_try(self) -> tuple[str, bool]:
        """Protocol of the next connection, and whether it is a probe.

        Version 5 comes first at every reconnect: the broker may be another one by now. Only its explicit refusal
        leads to 3.1.1. A broker that does not answer at all is asked once more in the plainest way, under another
        client id: amqtt misreads the properties of version 5 and falls silent, where without them it refuses the
        version; a broker that merely stood still accepts it, and its session for this agent is not touched. With a
        certificate nothing is probed: brokers that take the name of the session from it would end the session.
        """
        if not self._is_auto:
            return self.protocol, False
        if self.protocol == "5" and self._refused_5:
            return "3.1.1", False
        may_probe = self._config.mqtt.cert_file is None
        return "5", may_probe and self.protocol == "5" and not self._is_answered and not self._is_probe

    def _turn_to(self, protocol: str, is_probe: bool) -> None:  # noqa: FBT001 - the pair that _next_try gives
        """Go on with a client of this kind; what was in flight on another one is sent again."""
        self._refused_5 = False
        if (protocol, is_probe) != (self.protocol, self._is_probe):
            self.protocol, self._is_probe = protocol, is_probe
            self._replace_client()

    def _replace_client(self) -> None:
        self.is_replaced = True
        left = self._client.socket()
        self._client = self._new_client()
        if left is not None:
            left.close()

    def _subscribe(self) -> None:
        if self.protocol == "5":
            options = SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
            # What the broker tells of itself is QoS 0: it must not queue for us while we are away.
            of_broker = SubscribeOptions(qos=0)
            self._client.subscribe([(text, of_broker if text.startswith("$") else options) for text in self._filters])
        else:
            self._client.subscribe([(text, 0 if text.startswith("$") else 1) for text in self._filters])

    # ------------------------------------------------------------------ callbacks: keep, nothing else

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        try:
            topic = message.topic.encode()
        except UnicodeDecodeError as error:
            topic = bytes(error.object)
        self._keep([(topic, bytes(message.payload), message.mid if message.qos else None, bool(message.retain))])

    def _on_publish(
        self, _client: Client, _userdata: object, mid: int, reason: ReasonCode, _properties: Properties
    ) -> None:
        # While writing, paho reports QoS 0 messages as published; only what was read is a word of the broker.
        if self._is_reading:
            if reason.value:
                self.not_accepted.append((mid, reason.value))
            else:
                self.accepted.append(mid)

    def _on_connect(
        self, client: Client, _userdata: object, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if client is not self._client:
            return
        self._is_answered = True
        if reason.is_failure:
            self._refused_5 = self._is_auto and self.protocol == "5" and reason.value == _UNSUPPORTED_PROTOCOL
            if not self._refused_5:
                self._complaints.say(f"the broker refuses this connection: {reason}")
            return
        self._connack_timeout_s = _FIRST_CONNACK_TIMEOUT_S
        if self._is_probe:
            self._turn_to("5", is_probe=False)
            return
        self.epoch += 1
        self.is_connected, self.has_session = True, bool(flags.session_present)
        self._clock.connected(time.monotonic_ns())
        self._is_fresh = True
        self._since_s = time.monotonic()
        given = properties.json() if properties is not None else {}
        self.room = min(_OWN_IN_FLIGHT, int(given.get("ReceiveMaximum", RECEIVE_MAXIMUM)))
        self.max_packet_bytes = int(given.get("MaximumPacketSize", LARGEST_PACKET_BYTES))
        mqtt = self._config.mqtt
        session = "the session was kept" if flags.session_present else "a new session"
        self._complaints.settle()
        log.info("connected to %s:%d with MQTT %s, %s", mqtt.host, mqtt.port, self.protocol, session)
        if self.protocol != "5":
            log.warning("%s", NO_GUARANTEE)

    def _on_disconnect(
        self,
        client: Client,
        _userdata: object,
        _flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if client is not self._client:
            return
        was_connected = self.is_connected
        self._down()
        if self._is_closing:
            return
        if was_connected:
            trouble = f" ({self._client.trouble})" if self._client.trouble else ""
            self._complaints.say(f"connection lost: {reason}{trouble}")
            if time.monotonic() - self._since_s > _STEADY_S:
                self._delay_s = FIRST_RECONNECT_S
        elif not self._is_answered:
            self._complaints.unanswered(self._client.trouble)
        self._turn_to(*self._next_try())
        self._plan_reconnect()

    def _on_socket_close(self, _client: Client, _userdata: object, connection: object) -> None:
        if self._is_closing and isinstance(connection, socket.socket):
            read_to_end(connection)

    def _on_subscribe(
        self, _client: Client, _userdata: object, _mid: int, reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        self.is_subscribed = True
        self.refused = []
        for text, reason in zip(self._filters, reasons, strict=False):
            if reason.value >= _FAILURE:
                self.refused.append(text)
                log.error("the broker refuses the subscription to %s: %s", text, reason)
