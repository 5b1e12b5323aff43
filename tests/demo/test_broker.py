import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.broker import Broker, EmbeddedBroker, MosquittoBroker, find_mosquitto, mosquitto_config
from demo.errors import DemoError
from demo.wire import Address, Publisher, Subscriber
from tests.edge_agent.gateway import wait_until

KINDS = ("mosquitto", "amqtt")


@pytest.fixture(params=KINDS)
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    if request.param == "mosquitto" and find_mosquitto() is None:
        pytest.skip("mosquitto is not installed: sudo apt-get install mosquitto")
    with Broker.auto(request.param) as running:
        yield running


def address_of(broker: Broker) -> Address:
    return Address(broker.host, broker.port, broker.speaks_mqtt5)


def test_messages_go_through_in_order(broker: Broker) -> None:
    address = address_of(broker)
    with Subscriber(address, ["a/#"]) as inbox, Publisher(address) as publisher:
        for number in range(200):
            publisher.publish(f"a/{number}", b"%d" % number)
        publisher.drain()
        wait_until(lambda: inbox.n_received == 200, "200 messages")
        assert [message.payload for message in inbox.take()] == [b"%d" % number for number in range(200)]
        assert inbox.take() == []


def test_after_a_stop_nobody_listens_and_nothing_is_left(broker: Broker) -> None:
    port = broker.port
    folder = Path(broker._folder.name) if isinstance(broker, MosquittoBroker) and broker._folder else None
    broker.stop()
    broker.stop()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    assert folder is None or not folder.exists()


def test_two_brokers_do_not_meet(broker: Broker) -> None:
    other = Broker.auto("amqtt")
    with other:
        assert other.port != broker.port


def test_auto_prefers_mosquitto_and_falls_back_to_the_embedded_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demo.broker.find_mosquitto", lambda: None)
    fallback = Broker.auto()
    assert isinstance(fallback, EmbeddedBroker)
    assert "no delivery guarantee" in fallback.promise
    assert not fallback.speaks_mqtt5
    with pytest.raises(DemoError, match="mosquitto expected on PATH, found none"):
        Broker.auto("mosquitto")


def test_mosquitto_keeps_what_it_accepted_for_a_client_that_is_away(tmp_path: Path) -> None:
    lines = mosquitto_config(1884, tmp_path).splitlines()
    assert "listener 1884 127.0.0.1" in lines
    assert {"max_queued_messages 100000", "max_inflight_messages 0", "persistence true"} <= set(lines)


def test_a_broker_that_cannot_start_says_why(tmp_path: Path) -> None:
    program = tmp_path / "mosquitto"
    program.write_text("#!/bin/sh\necho 'Error: no such thing' >&2\nexit 3\n")
    program.chmod(0o755)
    with pytest.raises(DemoError, match=r"did not come up on 127.0.0.1: Error: no such thing"):
        MosquittoBroker(str(program)).start()


def test_a_client_without_a_broker_says_where_it_looked() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(DemoError, match=f"plant: broker 127.0.0.1:{port}"):
            Publisher(Address("127.0.0.1", port), "plant").open(patience_s=0.0)


@pytest.mark.parametrize("text", ["broker:", "broker:0", "broker:70000", "broker:mqtt", ":1883", ""])
def test_an_address_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(DemoError, match="HOST:PORT expected"):
        Address.parse(text)
