"""paho's client, set up the one way that the delivery protocol needs: every option that matters stands in this file."""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import suppress
from functools import cached_property

import paho.mqtt
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge_agent.config import AgentConfig
from edge_agent.shell.publish_packets import LONGEST_WAIT_BYTES, Packet, is_cut, read_large, read_packets
from schemas import ConfigError

READ_AHEAD_BYTES = 65_536
RECEIVE_MAXIMUM = 65_535
LARGEST_PACKET_BYTES = 268_435_455
"""Largest packet of MQTT (section 2.1.4 of version 5.0), where the broker states no limit of its own."""
_QUICK_ACK: int | None = getattr(socket, "TCP_QUICKACK", None)  # Linux: tcp(7)
_LINGER_S = 1.0
_LINGER_BYTES = 65_536
_CONNECT_TIMEOUT_S = 5.0
_PUBLISH_QOS_1 = 0x32
_KNOWN_PAHO = "2.2."
"""Series of paho whose source was read for the fast way."""

_PRIVATE_NAMES = (
    "_in_packet",
    "_last_bytes_received",
    "_last_mid",
    "_loop_rc_handle",
    "_msgtime_mutex",
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


class FastClient(_RememberingClient):
    """paho's client with a fast way in and out: 64 KiB of the socket at a time, whole packets taken out at once.

    paho reads single bytes, builds several objects for each message and a lock for each label, most of the cost of a
    message at the gateway. Here PUBLISH and PUBACK packets are read and written as bytes; all other packets, and
    whatever is malformed, go paho's way: connecting, subscribing, keep-alive and errors stay its own. What is written
    goes through paho's queue, never beside it, so that it cannot stand inside a half-written packet. The fast way uses
    private names of paho; where paho is of another series, or one of them is missing, stock paho is used
    (:attr:`is_fast`).
    """

    _ahead = b""
    _at = 0
    _is_cut = False
    _is_drained = False
    _is_over = False
    _passing: Packet | None = None
    _to_pass = 0
    max_packet_bytes = LONGEST_WAIT_BYTES
    """A longer PUBLISH is let pass unread. MQTT 5 brokers are told, 3.1.1 has no word for it."""

    @cached_property
    def is_fast(self) -> bool:
        """Whether this paho has what the fast way needs."""
        return paho.mqtt.__version__.startswith(_KNOWN_PAHO) and all(hasattr(self, name) for name in _PRIVATE_NAMES)

    @property
    def has_read_ahead(self) -> bool:
        """Whether bytes were read from the socket, or decrypted, with which something can be done at once."""
        if self._at < len(self._ahead) and not self._is_cut:
            return True
        connection = self.socket()
        return isinstance(connection, ssl.SSLSocket) and connection.pending() > 0

    def forget_connection(self) -> None:
        """Drop the tail of a connection that is over, and keep paho's identifiers below those of the outbox."""
        self._ahead, self._at = b"", 0
        self._is_cut = self._is_drained = self._is_over = False
        self._passing, self._to_pass = None, 0
        if self.is_fast:
            self._last_mid = 0

    def read_ahead(self) -> bool:
        """Read the socket once; whether there was something, were it the end of the connection."""
        if self._is_drained and not isinstance(self.socket(), ssl.SSLSocket):
            self._is_drained = False
            return False  # the last piece was short: there was no more, and ``select`` tells when there is
        try:
            piece = super()._sock_recv(READ_AHEAD_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            piece = b""
        self._ahead, self._at = self._ahead[self._at :] + piece if self._at < len(self._ahead) else piece, 0
        self._is_drained = len(piece) < READ_AHEAD_BYTES
        self._is_over = not piece
        with self._msgtime_mutex:
            self._last_bytes_received = time.monotonic()
        _confirm_at_once(self.socket())
        return True

    def take_packets(
        self, packets: list[Packet], accepted: list[int], refused: list[tuple[int, int]], *, is_5: bool
    ) -> bool:
        """Take out the PUBLISH and PUBACK packets that stand next; False where paho has to read the one behind them."""
        if self._in_packet["command"] or self._is_over:
            return False  # paho is in the middle of a packet, or has to find the end of the connection
        is_waiting = False
        while self._let_pass(packets):
            self._at = read_packets(self._ahead, self._at, packets, accepted, refused, is_5=is_5)
            large, length = read_large(self._ahead, self._at, self.max_packet_bytes)
            if large is None:
                is_waiting = length > 0
                break
            self._passing, self._to_pass = large, length
        self._is_cut = is_waiting or is_cut(self._ahead, self._at)
        return self._is_cut or self._at >= len(self._ahead)

    def _let_pass(self, packets: list[Packet]) -> bool:
        """Drop what is here of a PUBLISH that is too long; False while more of it is to come."""
        if self._passing is None:
            return True
        here = min(self._to_pass, len(self._ahead) - self._at)
        self._at += here
        self._to_pass -= here
        if self._to_pass:
            return False
        packets.append(self._passing)
        self._passing = None
        return True

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

    def write(self, content: bytes) -> None:
        """Send whole packets as one piece of the stream (the fast way out)."""
        # Under QoS 1 paho has nothing to report when they are out; PUBACKs are ours to read.
        self._packet_queue(_PUBLISH_QOS_1, content, 0, 1)

    def acknowledge(self, mids: list[int]) -> None:
        """Send PUBACKs of success in this order, stock paho's way."""
        for mid in mids:
            self.ack(mid, 1)

    def _sock_recv(self, bufsize: int) -> bytes:
        if self._at >= len(self._ahead):
            self._ahead, self._at = super()._sock_recv(READ_AHEAD_BYTES), 0
        piece = self._ahead[self._at : self._at + bufsize]
        self._at += len(piece)
        return piece


def build_client(config: AgentConfig, *, is_5: bool, will: tuple[str, bytes] | None) -> FastClient:
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
    client = FastClient(
        CallbackAPIVersion.VERSION2,
        client_id=f"{config.client_id}-probe" if is_probe else config.client_id,
        protocol=MQTTProtocolVersion.MQTTv5 if is_5 else MQTTProtocolVersion.MQTTv311,
        clean_session=None if is_5 else False,
        reconnect_on_failure=False,
        manual_ack=True,
    )
    client.max_packet_bytes = mqtt.max_packet_bytes
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


def _confirm_at_once(connection: object) -> None:
    """Have the kernel confirm what was read at once; it may wait up to 40 ms, and forgets after each confirmation.

    A broker that joins small packets (Nagle, the default of mosquitto) sends nothing more until then, and our PUBACKs,
    on which the confirmation could travel, wait for labels.
    """
    if _QUICK_ACK is not None and isinstance(connection, socket.socket):
        with suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)


def read_to_end(connection: socket.socket) -> None:
    """Say that nothing more comes, and read until the broker closes, for at most a second.

    A socket that is closed with unread messages in it is reset, and a reset may reach the broker before our DISCONNECT
    does: it would then send the last will of an agent that said goodbye.
    """
    until_s = time.monotonic() + _LINGER_S
    try:
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(_LINGER_S)
        while connection.recv(_LINGER_BYTES) and time.monotonic() < until_s:
            pass
    except OSError:
        return  # the broker was faster, or is gone
