"""The broker of deploy/mosquitto/fleet.conf with a certificate authority of its own, and clients that it knows."""

import os
import pwd
import threading
from pathlib import Path
from typing import Self

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from tests.edge_agent.certificates import Authority, Certificate
from tests.edge_agent.gateway import DEADLINE_S, ROOT, wait_until, write_config
from tests.mosquitto import Mosquitto

DEPLOYED = ROOT / "deploy" / "mosquitto"
GATEWAY = "gw"
HOST = "IP:127.0.0.1"


class FleetBroker(Mosquitto):
    """Runs the deployed files as they stand; only paths and the port are of this machine.

    Parameters
    ----------
    folder : Path
    authority : Authority
        Signs the broker's certificate, and is the one the broker trusts.
    host : str
        What the broker's certificate is for.
    changes : dict or None
        Lines of the two files -> what stands there instead.
    """

    def __init__(
        self, folder: Path, authority: Authority, host: str = HOST, changes: dict[str, str] | None = None
    ) -> None:
        super().__init__(folder)
        self._changes = changes or {}
        self.authority = authority
        certificate = authority.server(host)
        self._places = {
            "/etc/mosquitto/certs/ca.crt": authority.cert,
            "/etc/mosquitto/certs/server.crt": certificate.cert,
            "/etc/mosquitto/certs/server.key": certificate.key,
            "/etc/mosquitto/telltale.acl": folder / "fleet.acl",
            "/var/lib/mosquitto/": f"{folder}/",
        }

    def _config(self, port: int) -> list[str]:
        (self.folder / "fleet.acl").write_text(self._changed((DEPLOYED / "fleet.acl").read_text()))
        text = self._changed((DEPLOYED / "fleet.conf").read_text())
        for place, here in self._places.items():
            assert place in text
            text = text.replace(place, str(here))
        assert "listener 8883\n" in text
        text = text.replace("listener 8883\n", f"listener {port} {self.host}\n")
        log = ["log_dest stderr", *(f"log_type {kind}" for kind in ("error", "warning", "notice", "information"))]
        return [*text.splitlines(), *log, f"user {pwd.getpwuid(os.geteuid()).pw_name}"]

    def _changed(self, text: str) -> str:
        for line, instead in self._changes.items():
            text = text.replace(f"{line}\n", f"{instead}\n")
        return text


def fleet_config(
    folder: Path,
    port: int,
    ca: Path | None,
    client: Certificate | None,
    *,
    host: str = Mosquitto.host,
    gateway: str = GATEWAY,
) -> Path:
    """The path of an agent's configuration for this broker."""
    path = write_config(folder, port)
    lines = [f'host = "{host}"']
    lines += [f'ca_file = "{ca}"'] if ca else []
    lines += [f'cert_file = "{client.cert}"', f'key_file = "{client.key}"'] if client else []
    text = path.read_text().replace("[mqtt]\n", "[mqtt]\n" + "\n".join(lines) + "\n")
    text = text.replace('id = "gw"', f'id = "{gateway}"', 1).replace(
        "plant/{device}/v", f"plant/{gateway}/{{device}}/v"
    )
    path.write_text(text)
    return path


class FleetClient:
    """A client with a certificate, which keeps what it hears and what the broker says to what it says."""

    def __init__(
        self, broker: FleetBroker, name: str, filters: tuple[str, ...] = (), client_id: str | None = None
    ) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self.granted: list[int] = []
        self._answers: dict[int, int] = {}
        self._filters = filters
        self._ready = threading.Event()
        certificate = broker.authority.client(name)
        client = Client(
            CallbackAPIVersion.VERSION2, client_id=client_id or f"{name}-test", protocol=MQTTProtocolVersion.MQTTv5
        )
        client.tls_set(str(broker.authority.cert), str(certificate.cert), str(certificate.key))
        client.max_inflight_messages_set(0)
        client.on_connect = self._subscribe
        client.on_subscribe = self._note
        client.on_message = lambda _client, _userdata, message: self.messages.append(
            (message.topic, bytes(message.payload))
        )
        client.on_publish = self._answered
        client.connect(broker.host, broker.port, clean_start=client_id is None)
        client.loop_start()
        self._client = client
        assert self._ready.wait(DEADLINE_S)

    def say(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """The broker's reason code to a QoS 1 message."""
        mid = self.send(topic, payload, retain=retain)
        wait_until(lambda: mid in self._answers, f"an answer to {topic}")
        return self._answers[mid]

    def send(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        return self._client.publish(topic, payload, qos=1, retain=retain).mid

    @property
    def n_answered(self) -> int:
        return len(self._answers)

    def heard(self, leaf: str) -> list[bytes]:
        return [payload for topic, payload in list(self.messages) if topic.endswith(leaf)]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _subscribe(self, client: Client, *_: object) -> None:
        if self._filters:
            client.subscribe([(text, 1) for text in self._filters])
        else:
            self._ready.set()

    def _note(
        self, _client: Client, _userdata: object, _mid: int, reasons: list[ReasonCode], _properties: object
    ) -> None:
        self.granted = [reason.value for reason in reasons]
        self._ready.set()

    def _keep(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        self.messages.append((message.topic, bytes(message.payload)))

    def _answered(self, _client: Client, _userdata: object, mid: int, reason: ReasonCode, _properties: object) -> None:
        self._answers[mid] = reason.value

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
