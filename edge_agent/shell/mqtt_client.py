"""paho's client, set up the one way that the delivery protocol needs: every option that matters stands in this file."""

from __future__ import annotations

import socket
import ssl
import struct
import time
from functools import cached_property

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge_agent.config import AgentConfig
from edge_agent.shell.publish_packets import Packet, read_pubacks, read_publishes
from schemas import ConfigError

READ_AHEAD_BYTES = 65_536
RECEIVE_MAXIMUM = 65_535
_CONNECT_TIMEOUT_S = 5.0
_PUBACK = 0x40
_PUBACK_PACKET = struct.Struct("!BBH")
_SUCCESS = ReasonCode(PacketTypes.PUBACK)
_NO_PROPERTIES = Properties(PacketTypes.PUBACK)
_PRIVATE_NAMES = (
    "_do_on_publish",
    "_in_packet",
    "_last_bytes_received",
    "_loop_rc_handle",
    "_msgtime_mutex",
    "_out_message_mutex",
    "_out_messages",
    "_packet_queue",
    "_packet_read",
    "_sock_recv",
)


class _RememberingClient(Client):
    """paho's client, which logs why a connection ended and forgets it; here it can be asked."""

    trouble = ""
    """What the socket said when it ended; empty where the other side simply closed it."""

    def _sock_recv(self, bufsize: int) -> bytes:
        try:
            return super()._sock_recv(bufsize)
        except BlockingIOError:
            raise
        except OSError as error:
            self.trouble = str(error)
            raise


class ReadAheadClient(_RememberingClient):
    """paho's client with a fast way in: 64 KiB of the socket at a time, and whole PUBLISH packets taken out at once.

    paho reads single bytes and builds several objects for each message, most of the cost of a message at the gateway.
    All other packets, and whatever is not whole, go paho's way: connecting, keep-alive and errors stay its own. The
    fast way uses private names of paho; where one of them is missing the stock path is used (:attr:`is_fast`).
    """

    _ahead = b""
    _at = 0

    @cached_property
    def is_fast(self) -> bool:
        """Whether this paho has what the fast way needs."""
        return all(hasattr(self, name) for name in _PRIVATE_NAMES)

    @property
    def has_read_ahead(self) -> bool:
        """Whether bytes were read from the socket, or decrypted, that nobody has yet asked for."""
        if self._at < len(self._ahead):
            return True
        connection = self.socket()
        return isinstance(connection, ssl.SSLSocket) and connection.pending() > 0

    def forget_read_ahead(self) -> None:
        """Drop the tail of a connection that is over."""
        self._ahead, self._at = b"", 0

    def take_publishes(self, most: int, *, is_5: bool) -> list[Packet]:
        """Whole PUBLISH packets that stand next in the stream; none where paho has to read first.

        Parameters
        ----------
        most : int
            At most this many.
        is_5 : bool
            MQTT 5, else 3.1.1.
        """
        if self._in_packet["command"] or self.socket() is None:
            return []  # paho is in the middle of a packet
        if self._at >= len(self._ahead):
            try:
                self._ahead, self._at = super()._sock_recv(READ_AHEAD_BYTES), 0
            except OSError:
                return []  # nothing there, or a lost connection: paho finds out the same and acts on it
            with self._msgtime_mutex:
                self._last_bytes_received = time.monotonic()
        packets, self._at = read_publishes(self._ahead, self._at, is_5=is_5, most=most)
        return packets

    def take_pubacks(self) -> bool:
        """Act, as paho would, on the PUBACKs of success that stand next in the stream; whether there were any."""
        if self._in_packet["command"]:
            return False
        mids, self._at = read_pubacks(self._ahead, self._at)
        for mid in mids:
            with self._out_message_mutex:
                if mid in self._out_messages:
                    self._do_on_publish(mid, _SUCCESS, _NO_PROPERTIES)
        return bool(mids)

    def read_packet(self) -> bool:
        """Let paho read one packet; False where the connection is over or nothing is whole.

        ``loop_read`` reads one for every message in flight, and with them the PUBLISH packets that the fast way takes.
        """
        if not self.is_fast:
            return self.loop_read() == MQTTErrorCode.MQTT_ERR_SUCCESS
        code = self._packet_read()
        if code > 0:
            self._loop_rc_handle(code)
        return code == MQTTErrorCode.MQTT_ERR_SUCCESS

    def acknowledge(self, mids: list[int]) -> None:
        """Send PUBACKs of success in this order, as one piece of the stream."""
        if self.is_fast:
            self._packet_queue(_PUBACK, b"".join(_PUBACK_PACKET.pack(_PUBACK, 2, mid) for mid in mids), mids[-1], 1)
            return
        for mid in mids:
            self.ack(mid, 1)

    def _sock_recv(self, bufsize: int) -> bytes:
        if self._at >= len(self._ahead):
            self._ahead, self._at = super()._sock_recv(READ_AHEAD_BYTES), 0
        piece = self._ahead[self._at : self._at + bufsize]
        self._at += len(piece)
        return piece


def build_client(config: AgentConfig, *, is_5: bool, will: tuple[str, bytes] | None) -> ReadAheadClient:
    """A client ready to connect; it does not reconnect by itself and acknowledges nothing by itself.

    Parameters
    ----------
    config : AgentConfig
    is_5 : bool
        MQTT 5, else 3.1.1.
    will : (topic, payload) or None
        Last will, QoS 1, retained. None = a probe: the plainest CONNECT, under a client id of its own, which leaves the
        session of this agent alone.

    Raises
    ------
    ConfigError
        If a certificate or password file cannot be used.
    """
    is_probe = will is None
    mqtt = config.mqtt
    client = ReadAheadClient(
        CallbackAPIVersion.VERSION2,
        client_id=f"{config.client_id}-probe" if is_probe else config.client_id,
        protocol=MQTTProtocolVersion.MQTTv5 if is_5 else MQTTProtocolVersion.MQTTv311,
        clean_session=None if is_5 else False,
        reconnect_on_failure=False,
        manual_ack=True,
    )
    client.on_socket_open = _without_delay
    client.connect_timeout = _CONNECT_TIMEOUT_S
    # The outbox keeps to what the broker allows; a second limit inside paho would hold messages back unseen.
    client.max_inflight_messages_set(0)
    if will is not None:
        client.will_set(*will, qos=1, retain=True)
    if mqtt.username is not None and not is_probe:
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
    properties = None
    if is_probe:
        client.connect_async(mqtt.host, mqtt.port, mqtt.keepalive_s, clean_start=True)
    elif is_5:
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = mqtt.session_expiry_s
        properties.ReceiveMaximum = RECEIVE_MAXIMUM
        properties.MaximumPacketSize = mqtt.max_packet_bytes
        client.connect_async(mqtt.host, mqtt.port, mqtt.keepalive_s, clean_start=False, properties=properties)
    else:
        client.connect_async(mqtt.host, mqtt.port, mqtt.keepalive_s)
    return client


def _without_delay(_client: Client, _userdata: object, connection: object) -> None:
    """Send small packets at once: waiting to join them (Nagle) costs up to 40 ms a label."""
    if isinstance(connection, socket.socket):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
