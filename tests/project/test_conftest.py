"""The fixtures that other tests rely on do what they promise."""

import socket
import threading
from collections.abc import Callable

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.mosquitto import Mosquitto

_DEADLINE_S = 60.0


def publish_retained(broker: Mosquitto, topic: str, payload: bytes) -> None:
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.connect(broker.host, broker.port)
    client.loop_start()
    client.publish(topic, payload, qos=1, retain=True).wait_for_publish(_DEADLINE_S)
    client.disconnect()
    client.loop_stop()


def retained(broker: Mosquitto, topic: str) -> list[bytes]:
    """Payloads of ``topic/#`` that the broker holds; the broker answers a subscription before a later publish."""
    found: list[bytes] = []
    done = threading.Event()

    def on_message(client: mqtt.Client, userdata: object, message: mqtt.MQTTMessage) -> None:
        if message.topic == "end":
            done.set()
        else:
            found.append(bytes(message.payload))

    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.on_message = on_message
    client.connect(broker.host, broker.port)
    client.subscribe([(f"{topic}/#", 1), ("end", 1)])
    client.loop_start()
    client.publish("end", b"", qos=1)
    assert done.wait(_DEADLINE_S)
    client.disconnect()
    client.loop_stop()
    return found


def test_two_brokers_live_side_by_side(start_broker: Callable[..., Mosquitto]) -> None:
    first, second = start_broker(), start_broker()
    publish_retained(first, "room/a", b"only in the first")

    assert retained(first, "room") == [b"only in the first"]
    assert retained(second, "room") == []


def test_broker_keeps_its_port_and_journal_over_a_stop(broker: Mosquitto) -> None:
    port = broker.port
    publish_retained(broker, "room/a", b"kept")
    broker.stop()

    with pytest.raises(ConnectionRefusedError), socket.create_connection((broker.host, port), timeout=_DEADLINE_S):
        pass
    broker.start()

    assert broker.port == port
    assert retained(broker, "room") == [b"kept"]


def test_killed_broker_loses_what_was_not_written(broker: Mosquitto) -> None:
    publish_retained(broker, "room/a", b"lost")
    broker.kill()
    broker.start()

    assert retained(broker, "room") == []


def test_broker_with_a_wrong_setting_says_what_mosquitto_said(start_broker: Callable[..., Mosquitto]) -> None:
    with pytest.raises(RuntimeError, match=r"(?s)did not come up.*no_such_setting"):
        start_broker("no_such_setting true")


def test_connection_to_a_public_host_is_refused() -> None:
    # 192.0.2.1 is reserved for documentation (RFC 5737): nothing answers there even without the guard.
    with socket.socket() as outgoing, pytest.raises(AssertionError, match=r"192\.0\.2\.1.*loopback"):
        outgoing.connect(("192.0.2.1", 1883))
