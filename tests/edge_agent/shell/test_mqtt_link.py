"""The link against a broker that does what no good broker does: raw packets over a real socket."""

import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.config import AgentConfig
from edge_agent.shell import mqtt_client
from edge_agent.shell.mqtt_link import MqttLink
from edge_agent.shell.outgoing import Outgoing
from edge_agent.shell.publish_packets import puback_run, publish_parts, topic_field
from tests.edge_agent.gateway import wait_until

CONNACK_5 = bytes([0x20, 3, 0, 0, 0])
CONNACK_311 = bytes([0x20, 2, 0, 0])


LINKS: list[MqttLink] = []
"""Made by a test; the fixture of the brokers closes them."""


def publish_packet(topic: bytes, payload: bytes, *, mid: int = 0, retain: bool = False, version: int = 5) -> bytes:
    body = struct.pack(">H", len(topic)) + topic
    if mid:
        body += struct.pack(">H", mid)
    body += (b"\x00" if version == 5 else b"") + payload
    assert len(body) < 128
    return bytes([0x30 | (2 if mid else 0) | retain, len(body)]) + body


class RawBroker:
    """Accepts connections and plays the packets of a script (None = hangs up); keeps what the client sends."""

    def __init__(self, *scripts: bytes | None) -> None:
        self._scripts = list(scripts)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.05)
        self._connections: list[socket.socket] = []
        self._is_over = False
        self.port = self._listener.getsockname()[1]
        self.received: list[bytearray] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while not self._is_over:
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                self._read()
                continue
            connection.settimeout(0.01)
            self._connections.append(connection)
            self.received.append(bytearray())
            first = connection.recv(4096)
            self.received[-1] += first
            if len(self.received) <= len(self._scripts):
                script = self._scripts[len(self.received) - 1]
                if script is None:
                    connection.shutdown(socket.SHUT_RDWR)
                else:
                    connection.sendall(script)
            self._read()

    def _read(self) -> None:
        for connection, kept in zip(self._connections, self.received, strict=True):
            try:
                kept.extend(connection.recv(262_144))
            except OSError:
                continue

    def send(self, content: bytes) -> None:
        self._connections[-1].sendall(content)

    def drop(self) -> None:
        self._connections[-1].shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._is_over = True
        self._thread.join()
        for connection in [self._listener, *self._connections]:
            connection.close()


@pytest.fixture
def brokers() -> Iterator[list[RawBroker]]:
    made: list[RawBroker] = []
    yield made
    for link in LINKS:
        link.close(deadline_s=0.0)
    LINKS.clear()
    for broker in made:
        broker.close()


@pytest.fixture(params=["fast", "stock"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every test runs both ways: with our packets, and as with a paho that nobody has read."""
    if request.param == "stock":
        monkeypatch.setattr("paho.mqtt.__version__", "9.0.0")
    return str(request.param)


def link_to(port: int, tmp_path: Path, protocol: str = "auto") -> MqttLink:
    config = AgentConfig.model_validate(
        {
            "version": 1,
            "gateway": {"id": "gw", "state_dir": str(tmp_path)},
            "mqtt": {"port": port, "protocol": protocol, "reconnect_max_s": 0.05},
            "pipelines": [
                {
                    "name": "p",
                    "topics": ["a/{device}"],
                    "model": "m",
                    "mapping": {"format": "json", "channels": {"x": "x"}},
                }
            ],
        }
    )
    link = MqttLink(config, config.filters(), "will", b"offline")
    LINKS.append(link)
    return link


def inbox_of(link: MqttLink) -> list[tuple[bytes, bytes, int | None, bool]]:
    return [packet for burst in link.inbox for packet in burst.packets]


def turn_until(link: MqttLink, condition: object, what: str) -> None:
    def check() -> bool:
        link.turn(0.01)
        assert callable(condition)
        return bool(condition())

    wait_until(check, what, 10.0)


def test_topic_of_invalid_utf8_is_handed_over_as_bytes_and_the_rest_goes_on(
    brokers: list[RawBroker], tmp_path: Path
) -> None:
    script = CONNACK_5 + publish_packet(b"a/\xff\xfe", b"1", mid=1) + publish_packet(b"a/b", b"2", mid=2)
    brokers.append(RawBroker(script))
    link = link_to(brokers[0].port, tmp_path)
    turn_until(link, lambda: link.n_waiting == 2, "both messages")
    assert inbox_of(link) == [(b"a/\xff\xfe", b"1", 1, False), (b"a/b", b"2", 2, False)]


def test_burst_is_read_whole_before_it_is_handed_over(brokers: list[RawBroker], tmp_path: Path) -> None:
    packets = b"".join(publish_packet(b"a/b", str(mid).encode(), mid=mid) for mid in range(1, 201))
    brokers.append(RawBroker(CONNACK_5 + packets))
    link = link_to(brokers[0].port, tmp_path)
    n_turns = 0

    def count() -> bool:
        nonlocal n_turns
        n_turns += bool(link.inbox)
        return link.n_waiting == 200

    turn_until(link, count, "the burst")
    assert n_turns == 1
    assert link.waiting_bytes == sum(len(str(mid)) for mid in range(1, 201))
    assert [mid for _, _, mid, _ in inbox_of(link)] == list(range(1, 201))
    while link.inbox:
        link.next_burst()
    assert (link.n_waiting, link.waiting_bytes) == (0, 0)


@pytest.mark.skipif(not hasattr(socket, "TCP_QUICKACK"), reason="only Linux has TCP_QUICKACK")
def test_kernel_is_told_to_confirm_what_was_read_at_once(
    brokers: list[RawBroker], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    confirmed: list[object] = []
    real = mqtt_client._confirm_at_once

    def confirm(connection: object) -> None:
        assert isinstance(connection, socket.socket)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
        real(connection)
        confirmed.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK))

    monkeypatch.setattr(mqtt_client, "_confirm_at_once", confirm)
    brokers.append(RawBroker(CONNACK_5 + publish_packet(b"a/b", b"1", mid=7)))
    link = link_to(brokers[0].port, tmp_path)
    turn_until(link, lambda: link.n_waiting == 1, "the message")
    assert set(confirmed) == ({1} if way == "fast" else set())


def test_nothing_is_acknowledged_unless_asked_and_then_in_order(brokers: list[RawBroker], tmp_path: Path) -> None:
    brokers.append(RawBroker(CONNACK_5 + publish_packet(b"a/b", b"1", mid=7) + publish_packet(b"a/b", b"2", mid=8)))
    link = link_to(brokers[0].port, tmp_path)
    turn_until(link, lambda: link.n_waiting == 2, "both messages")
    assert b"\x40\x02\x00\x07" not in brokers[0].received[0]
    link.acknowledge([7, 8])
    link.flush()
    turn_until(link, lambda: b"\x40\x02\x00\x07\x40\x02\x00\x08" in brokers[0].received[0], "acknowledgements")


@pytest.mark.parametrize(
    "rubbish",
    [
        b"\xf0\x00",
        b"\x30\xff\xff\xff\xff\xff",
        b"\x30\x02\x00\x50",
        b"\x90\x01\x00",
        b"\x40\x01\x00",
        b"\x00\x00",
        b"\x30\x00",
    ],
)
def test_rubbish_costs_the_connection_not_the_loop(brokers: list[RawBroker], tmp_path: Path, rubbish: bytes) -> None:
    brokers.append(RawBroker(CONNACK_5 + rubbish, CONNACK_5 + publish_packet(b"a/b", b"1", mid=1)))
    link = link_to(brokers[0].port, tmp_path)
    if rubbish in {b"\x90\x01\x00", b"\x40\x01\x00"}:  # swallowed by paho
        turn_until(link, lambda: link.epoch >= 1, "the connection")
        brokers[0].drop()
    turn_until(link, lambda: bool(link.inbox), "the next connection")
    assert link.epoch == 2
    assert link.inbox[0].epoch == 2


def test_will_and_session_stand_in_the_connect_packet(brokers: list[RawBroker], tmp_path: Path) -> None:
    brokers.append(RawBroker(CONNACK_5))
    link = link_to(brokers[0].port, tmp_path)
    turn_until(link, lambda: b"\x82" in brokers[0].received[0], "the subscription")
    connect = bytes(brokers[0].received[0])
    flags = connect[9]
    assert flags & 0x02 == 0, "clean start must be 0: the session is the journal"
    assert flags & 0x3C == 0x2C, "a last will, QoS 1, retained"
    assert b"edge-agent-gw" in connect
    assert b"\x11" + (7 * 86_400).to_bytes(4, "big") in connect, "session expiry"
    assert b"\x21\xff\xff" in connect, "receive maximum"
    subscribe = connect[connect.index(b"a/+") :]
    assert subscribe[3] == 0x21, "QoS 1, no retained messages"


def test_limits_of_the_broker_are_kept_to(brokers: list[RawBroker], tmp_path: Path) -> None:
    properties = b"\x21\x00\x03" + b"\x27\x00\x00\x10\x00"
    brokers.append(RawBroker(bytes([0x20, 3 + len(properties), 0, 0, len(properties)]) + properties))
    link = link_to(brokers[0].port, tmp_path)
    turn_until(link, lambda: link.is_connected, "the connection")
    assert (link.room, link.max_packet_bytes) == (3, 4096)


def test_broker_that_refuses_mqtt_5_is_spoken_to_in_3_1_1_with_a_warning(
    brokers: list[RawBroker], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    refuse = bytes([0x20, 2, 0, 1])
    brokers.append(RawBroker(refuse, CONNACK_311 + publish_packet(b"a/b", b"1", mid=1, version=4)))
    link = link_to(brokers[0].port, tmp_path)
    turn_until(link, lambda: bool(link.inbox), "a message over 3.1.1")
    assert link.protocol == "3.1.1"
    assert brokers[0].received[1][9] & 0x02 == 0, "the session is asked to stay here too"
    assert sum("cannot promise delivery" in record.message for record in caplog.records) == 1


def test_silent_broker_is_asked_again_without_a_will_and_its_refusal_leads_to_3_1_1(
    brokers: list[RawBroker], tmp_path: Path
) -> None:
    brokers.append(RawBroker(b"", bytes([0x20, 2, 0, 1]), CONNACK_311))
    link = link_to(brokers[0].port, tmp_path)
    turn_until(link, lambda: link.is_connected, "the connection")
    assert (link.protocol, link.epoch) == ("3.1.1", 1)
    assert [bool(received[9] & 0x04) for received in brokers[0].received] == [True, False, True]


@pytest.mark.parametrize("first", [None, b""])
def test_broker_that_only_stood_still_is_spoken_to_in_mqtt_5_with_the_will(
    brokers: list[RawBroker], tmp_path: Path, first: bytes | None
) -> None:
    brokers.append(RawBroker(first, CONNACK_5, CONNACK_5))
    link = link_to(brokers[0].port, tmp_path)
    turn_until(link, lambda: link.is_connected, "the connection")
    assert (link.protocol, link.epoch) == ("5", 1)
    assert [bool(received[9] & 0x04) for received in brokers[0].received] == [True, False, True]


def test_connection_lost_after_a_fallback_tries_mqtt_5_first_again(brokers: list[RawBroker], tmp_path: Path) -> None:
    brokers.append(RawBroker(bytes([0x20, 2, 0, 1]), CONNACK_311, CONNACK_5))
    link = link_to(brokers[0].port, tmp_path)
    turn_until(link, lambda: link.is_connected, "the connection")
    brokers[0].drop()
    turn_until(link, lambda: link.epoch == 2, "the next connection")
    assert link.protocol == "5"


def test_protocol_5_in_the_configuration_never_falls_back(
    brokers: list[RawBroker], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    refuse = bytes([0x20, 2, 0, 1])
    brokers.append(RawBroker(refuse, refuse, refuse))
    link = link_to(brokers[0].port, tmp_path, protocol="5")
    turn_until(link, lambda: len(brokers[0].received) >= 2, "a second try")
    assert not link.is_connected
    assert link.protocol == "5"
    assert sum("refuses this connection" in record.message for record in caplog.records) == 1


def test_message_given_while_not_connected_is_not_taken(brokers: list[RawBroker], tmp_path: Path) -> None:
    link = link_to(1, tmp_path)
    assert link.publish("a", b"x", qos=0, retain=False) is None


def test_installed_paho_is_one_whose_fast_way_is_known(brokers: list[RawBroker], tmp_path: Path, way: str) -> None:
    brokers.append(RawBroker(CONNACK_5 + publish_packet(b"a/b", b"1")))
    link = link_to(brokers[0].port, tmp_path)
    turn_until(link, lambda: bool(link.inbox), "a message")
    assert link.is_fast == (way == "fast")
    assert inbox_of(link) == [(b"a/b", b"1", None, False)]


def labels(*mids: int, payload: bytes = b"{}", is_dup: bool = False) -> list[Outgoing]:
    return [Outgoing("label", "gw/a/label", payload, retain=True, mid=mid, is_dup=is_dup) for mid in mids]


@pytest.mark.parametrize("way", ["fast"], indirect=True)
def test_labels_leave_as_one_piece_behind_the_subscription_and_are_confirmed_with_their_reasons(
    brokers: list[RawBroker], tmp_path: Path
) -> None:
    answers = b"\x40\x02\x40\x01" + b"\x40\x03\x40\x02\x10" + b"\x40\x04\x40\x03\x87\x00"
    brokers.append(RawBroker(CONNACK_5 + answers))
    link = link_to(brokers[0].port, tmp_path)
    turn_until(link, lambda: link.is_connected, "the connection")
    assert link.send(labels(0x4001, 0x4002), newest=[True, False]) == []
    assert link.send(labels(0x4001, is_dup=True), newest=[False]) == []
    link.acknowledge([7])
    link.flush()
    one = b"\x00\x0agw/a/label\x40%b\x00{}"
    sent = b"\x33\x11" + one % b"\x01" + b"\x32\x11" + one % b"\x02" + b"\x3a\x11" + one % b"\x01" + b"\x40\x02\x00\x07"
    turn_until(link, lambda: sent in brokers[0].received[0], "the labels")
    turn_until(link, lambda: len(link.not_accepted) == 2, "the answers")
    assert link.accepted == [0x4001]
    assert link.not_accepted == [(0x4002, 0x10), (0x4003, 0x87)]


@pytest.mark.parametrize("way", ["fast"], indirect=True)
def test_label_larger_than_the_broker_takes_is_given_back(brokers: list[RawBroker], tmp_path: Path) -> None:
    properties = b"\x27\x00\x00\x00\x40"
    brokers.append(RawBroker(bytes([0x20, 3 + len(properties), 0, 0, len(properties)]) + properties))
    link = link_to(brokers[0].port, tmp_path)
    turn_until(link, lambda: link.is_connected, "the connection")
    large, small = labels(1, payload=b"x" * 64)[0], labels(2)[0]
    assert link.send([large, small], newest=[False, False]) == [large]


@pytest.mark.parametrize("way", ["fast"], indirect=True)
def test_large_burst_goes_out_whole_while_packets_come_in(brokers: list[RawBroker], tmp_path: Path) -> None:
    packets = b"".join(publish_packet(b"a/b", str(mid).encode(), mid=mid) for mid in range(1, 101))
    brokers.append(RawBroker(CONNACK_5 + packets))
    link = link_to(brokers[0].port, tmp_path)
    turn_until(link, lambda: link.n_waiting == 100, "the messages")
    payload = bytes(range(256)) * 4096  # a megabyte: more than the socket takes at once
    link.send(labels(0x4001, 0x4002, payload=payload), newest=[False, False])
    link.flush()
    link.acknowledge(list(range(1, 101)))
    link.flush()
    expected = b"".join(
        b"".join(publish_parts(topic_field("gw/a/label"), payload, mid, retain=False, is_dup=False, is_5=True))
        for mid in (0x4001, 0x4002)
    ) + puback_run(list(range(1, 101)))
    turn_until(link, lambda: brokers[0].received[0].endswith(expected), "all of it, in order")


@pytest.mark.parametrize("cut", [1, 2, 9])
def test_packet_in_two_pieces_is_taken_whole(brokers: list[RawBroker], tmp_path: Path, cut: int) -> None:
    packet = publish_packet(b"a/b", b"12345", mid=3)
    brokers.append(RawBroker(CONNACK_5 + publish_packet(b"a/b", b"1", mid=1) + packet[:cut]))
    link = link_to(brokers[0].port, tmp_path)
    turn_until(link, lambda: link.n_waiting == 1, "the first message")
    brokers[0].send(packet[cut:] + publish_packet(b"a/b", b"4", mid=4))
    turn_until(link, lambda: link.n_waiting == 3, "the others")
    assert [mid for _, _, mid, _ in inbox_of(link)] == [1, 3, 4]


def test_half_a_packet_of_a_lost_connection_is_forgotten(brokers: list[RawBroker], tmp_path: Path) -> None:
    whole = publish_packet(b"a/b", b"2", mid=2)
    brokers.append(RawBroker(CONNACK_5 + whole + whole[:5], CONNACK_5 + publish_packet(b"a/b", b"3", mid=3)))
    link = link_to(brokers[0].port, tmp_path)
    turn_until(link, lambda: link.n_waiting == 1, "the first message")
    brokers[0].drop()
    turn_until(link, lambda: link.n_waiting == 2, "the message of the next connection")
    assert [(burst.epoch, burst.packets[0][2]) for burst in link.inbox] == [(1, 2), (2, 3)]


def test_last_words_leave_before_the_goodbye(brokers: list[RawBroker], tmp_path: Path) -> None:
    brokers.append(RawBroker(CONNACK_5))
    link = link_to(brokers[0].port, tmp_path)
    turn_until(link, lambda: link.is_connected, "the connection")
    assert link.publish("gw/metrics", b"{}", qos=0, retain=True) is not None
    link.close(deadline_s=0.0)
    said = b"\x31\x0f\x00\x0agw/metrics\x00{}\xe0"
    wait_until(lambda: said in brokers[0].received[0], "metrics, then DISCONNECT", 10.0)
    assert not link.is_connected
