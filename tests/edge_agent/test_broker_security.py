"""TLS, certificates and access control on a real mosquitto with deploy/mosquitto/fleet.conf (R28 of the scoreboard).

What is right works end to end, with labels and redelivery; what is wrong is refused, and the agent says why in one line
and goes on trying.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas import ROUTES
from tests.edge_agent.certificates import Authority
from tests.edge_agent.fleet import GATEWAY, FleetBroker, FleetClient, fleet_config
from tests.edge_agent.gateway import AgentProcess, wait_until, write_config
from tests.mosquitto import Mosquitto

SUCCESS = 0
NO_SUBSCRIBER = 0x10
NOT_AUTHORIZED = 0x87
N_SAMPLES = 60
OWN = f"telltale/v1/{GATEWAY}"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: certificates are not tested")
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"), "another authority")


@pytest.fixture
def fleet(
    mosquitto_program: str, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FleetBroker]:
    broker = FleetBroker(tmp_path_factory.mktemp("fleet"), authority)
    broker.start()
    yield broker
    broker.kill()


def sample(at: int) -> bytes:
    return json.dumps({"t": 1_700_000_000_000 + 10 * at, "x": 1.0, "y": 0.0}).encode()


def labels(dashboard: FleetClient) -> set[int]:
    return {json.loads(payload)["window"]["index"] for payload in dashboard.heard("/label")}


def whole_windows(dashboard: FleetClient) -> set[tuple[str, int]]:
    found = map(json.loads, dashboard.heard("/label"))
    return {(label["device"], label["window"]["index"]) for label in found if label["window"]["n_samples"] == 10}


def said(dashboard: FleetClient, name: str) -> object:
    """A value of the newest metrics; None before the first."""
    metrics = dashboard.heard("/metrics")
    return json.loads(metrics[-1])[name] if metrics else None


def agent_with(fleet: FleetBroker, folder: Path) -> AgentProcess:
    certificate = fleet.authority.client(GATEWAY)
    return AgentProcess(fleet_config(folder, fleet.port, fleet.authority.cert, certificate))


# ---------------------------------------------------------------------- what is right


@pytest.mark.fault
def test_gateway_with_its_certificate_labels_and_loses_nothing_over_a_kill(fleet: FleetBroker, tmp_path: Path) -> None:
    """Delayed acknowledgement, redelivery and the fast way in, all over TLS; bursts larger than a TLS record."""
    with (
        FleetClient(fleet, "dashboard", ("telltale/v1/#",)) as dashboard,
        FleetClient(fleet, "sensors") as sensors,
        agent_with(fleet, tmp_path) as agent,
    ):
        wait_until(lambda: b"online" in b"".join(dashboard.heard("/availability")), "the agent")
        for device in range(20):
            for at in range(N_SAMPLES // 2):
                sensors.send(f"plant/{GATEWAY}/d{device}/v", sample(at))
        wait_until(lambda: sensors.n_answered == 20 * N_SAMPLES // 2, "the first half at the broker")
        wait_until(lambda: dashboard.heard("/label"), "the first label")
        agent.kill()
        for device in range(20):
            for at in range(N_SAMPLES // 2, N_SAMPLES):
                sensors.send(f"plant/{GATEWAY}/d{device}/v", sample(at))
        wait_until(lambda: sensors.n_answered == 20 * N_SAMPLES, "the second half at the broker")
        agent.start()
        n_windows = 20 * ((N_SAMPLES - 10) // 5 + 1)
        wait_until(lambda: len(whole_windows(dashboard)) == n_windows, "every window of every device, whole")
        wait_until(lambda: said(dashboard, "self_test") == "passed", "the self-test")
        # Windows labelled just before the kill may be declared once more: the watermark is late, never early.
        assert {json.loads(gap)["reason"] for gap in dashboard.heard("/gap")} <= {"restart"}
        assert said(dashboard, "messages_rejected") == {}
        assert "Traceback" not in agent.log


def test_another_certificate_cannot_take_over_the_session_of_a_gateway(fleet: FleetBroker, tmp_path: Path) -> None:
    """By its client id it could end the session, and with it what is queued there: accepted samples, lost silently."""
    with agent_with(fleet, tmp_path) as agent:
        with FleetClient(fleet, "dashboard", ("telltale/v1/+/availability",)) as early:
            # Said on the same connection after it subscribed: from here on the broker keeps what is published.
            wait_until(lambda: b"online" in b"".join(early.heard("/availability")), "the agent's session")
        agent.kill()
        with FleetClient(fleet, "sensors") as sensors:
            assert {sensors.say(f"plant/{GATEWAY}/d/v", sample(at)) for at in range(15)} == {SUCCESS}
        with FleetClient(fleet, "gw2", client_id=f"edge-agent-{GATEWAY}") as thief:
            thief.say("telltale/v1/gw2/info", b"{}")
            assert thief.messages == []
        with FleetClient(fleet, "dashboard", ("telltale/v1/#",)) as dashboard:
            agent.start()
            wait_until(lambda: len(labels(dashboard)) >= 2, "labels of the samples that waited")
        assert "the session was kept" in agent.log


# ---------------------------------------------------------------------- who may say and hear what


def test_everybody_is_held_to_its_own_topics(fleet: FleetBroker) -> None:
    with (
        FleetClient(fleet, "dashboard", ("telltale/v1/#",)),
        FleetClient(fleet, "sensors") as sensors,
        FleetClient(fleet, "server") as server,
        FleetClient(fleet, "gw2") as other,
        FleetClient(fleet, GATEWAY) as gateway,
    ):
        # Of the table of topics, so that a new one cannot be forgotten in the file.
        own = {
            name: gateway.say(route.template.format(gateway=GATEWAY, device="d", worker="0"), b"{}")
            for name, route in ROUTES.items()
            if route.direction in {"out", "loop"}
        }
        assert own == dict.fromkeys(own, SUCCESS)
        assert len(own) >= 8
        forbidden = {
            "labels of another gateway": other.say(f"{OWN}/d/label", b"{}"),
            "state of another gateway": other.say(f"{OWN}/availability", b"{}"),
            "barrier of another gateway": other.say(f"{OWN}/barrier", b"{}"),
            "a forged command": other.say(f"{OWN}/cmd/reload", b"{}"),
            "a command to itself": gateway.say(f"{OWN}/cmd/reload", b"{}"),
            "samples in place of the sensors": gateway.say(f"plant/{GATEWAY}/d/v", b"{}"),
            "labels by a sensor": sensors.say(f"{OWN}/d/label", b"{}"),
            "samples by the server": server.say(f"plant/{GATEWAY}/d/v", b"{}"),
            "anything else": gateway.say("elsewhere", b"{}"),
        }
        assert set(forbidden.values()) == {NOT_AUTHORIZED}, forbidden
        assert server.say(f"{OWN}/cmd/reload", b"{}") in {SUCCESS, NO_SUBSCRIBER}


def test_a_granted_subscription_to_foreign_topics_delivers_nothing(fleet: FleetBroker) -> None:
    """The broker's word is no proof, which is why the agent tests itself by an echo."""
    foreign = (f"{OWN}/#", f"plant/{GATEWAY}/#", f"{OWN}/cmd/#", "#")
    with (
        FleetClient(fleet, "gw2", (*foreign, "telltale/v1/gw2/cmd/#")) as spy,
        FleetClient(fleet, GATEWAY) as gateway,
        FleetClient(fleet, "sensors") as sensors,
        FleetClient(fleet, "server") as server,
    ):
        assert max(spy.granted) < NOT_AUTHORIZED
        gateway.say(f"{OWN}/d/label", b"secret", retain=True)
        sensors.say(f"plant/{GATEWAY}/d/v", b"secret")
        server.say(f"{OWN}/cmd/reload", b"secret")
        server.say("telltale/v1/gw2/cmd/reload", b"yours")
        wait_until(lambda: spy.messages, "the spy's own command")
        assert {payload for _, payload in spy.messages} == {b"yours"}


# ---------------------------------------------------------------------- the agent finds out, and says it


def test_agent_under_another_name_than_its_certificate_says_so_once(fleet: FleetBroker, tmp_path: Path) -> None:
    certificate = fleet.authority.client("gw2")
    config = fleet_config(tmp_path, fleet.port, fleet.authority.cert, certificate)
    with AgentProcess(config) as agent:
        wait_until(lambda: f"messages like {OWN}/barrier: not authorized" in agent.log, "the word of the self-test")
        wait_until(lambda: f"messages like {OWN}/info: not authorized" in agent.log, "the word on the info")
        wait_until(lambda: fleet.log.count("Denied PUBLISH") > 20 or agent.log.count("self-test") > 1, "more refusals")
        assert agent.log.count(f"{OWN}/barrier: not authorized") == 1
        assert agent.is_running
        assert "Traceback" not in agent.log


def test_agent_that_may_not_read_its_own_echo_says_so(
    mosquitto_program: str, authority: Authority, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    changes = {"pattern readwrite telltale/v1/%u/barrier": "pattern write telltale/v1/%u/barrier"}
    broker = FleetBroker(tmp_path_factory.mktemp("deaf"), authority, changes=changes)
    broker.start()
    try:
        with agent_with(broker, tmp_path) as agent, FleetClient(broker, "dashboard", ("telltale/v1/#",)) as dashboard:
            wait_until(
                lambda: f"a message to {OWN}/barrier does not come back" in agent.log, "the word of the self-test"
            )
            wait_until(lambda: said(dashboard, "self_test") == "failed", "the metrics")
            assert agent.log.count("does not come back") == 1
            assert "the broker delivers nothing beyond" not in agent.log
    finally:
        broker.kill()


# ---------------------------------------------------------------------- what is wrong


def test_every_wrong_certificate_is_refused_with_one_clear_line(
    fleet: FleetBroker,
    authority: Authority,
    stranger: Authority,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    elsewhere = FleetBroker(tmp_path_factory.mktemp("elsewhere"), authority, "DNS:elsewhere.example")
    elsewhere.start()
    plain = Mosquitto(tmp_path_factory.mktemp("plain"))
    plain.start()
    good = authority.client(GATEWAY)
    cases = {
        "wrong authority": (fleet.port, stranger.cert, good, "certificate verify failed"),
        "expired certificate": (fleet.port, authority.cert, authority.client(GATEWAY, -1), "certificate expired"),
        "self-signed certificate": (fleet.port, authority.cert, authority.self_signed(GATEWAY), "unknown ca"),
        "certificate of a stranger": (fleet.port, authority.cert, stranger.client(GATEWAY), "unknown ca"),
        "server's certificate as a client": (fleet.port, authority.cert, authority.server("IP:127.0.0.1", "x"), "SSL"),
        "no certificate": (fleet.port, authority.cert, None, "certificate required"),
        "no TLS": (fleet.port, None, None, "it may expect TLS, and mqtt.ca_file is not set"),
        "TLS to a broker without": (plain.port, authority.cert, None, "cannot reach the broker"),
        "another host's certificate": (
            elsewhere.port,
            authority.cert,
            good,
            "certificate is not valid for '127.0.0.1'",
        ),
    }
    agents = {}
    try:
        for name, (port, ca, certificate, _) in cases.items():
            folder = tmp_path / name.replace(" ", "-").replace("'", "")
            folder.mkdir()
            agents[name] = AgentProcess(fleet_config(folder, port, ca, certificate)).start()
        for name, agent in agents.items():
            wait_until(lambda agent=agent, name=name: cases[name][3] in agent.log, f"a line on: {name}")  # type: ignore[misc]
        for name, agent in agents.items():
            assert agent.is_running, name
            assert "connected to" not in agent.log, name
            assert "Traceback" not in agent.log, name
            assert agent.log.count("WARNING") + agent.log.count("ERROR") <= 2, (name, agent.log)
            assert agent.stop() == 0, name
    finally:
        for agent in agents.values():
            agent.kill()
        elsewhere.kill()
        plain.kill()


def test_wrong_password_is_refused_and_the_one_in_the_file_is_not(
    mosquitto_program: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    program = shutil.which("mosquitto_passwd")
    if program is None:
        pytest.skip("mosquitto_passwd is not installed: passwords are not tested")
    folder = tmp_path_factory.mktemp("passwords")
    subprocess.run([program, "-c", "-b", str(folder / "passwd"), "pi", "right"], check=True, capture_output=True)
    broker = Mosquitto(folder, (f"password_file {folder}/passwd", "allow_anonymous false"))
    broker.start()
    try:
        logs = {}
        for word, expected in (
            ("wrong", "the broker refuses this connection: Not authorized"),
            ("right", "connected to"),
        ):
            (tmp_path / word).mkdir()
            config = write_config(tmp_path / word, broker.port)
            (tmp_path / word / "secret").write_text(f"{word}\n")
            table = f'[mqtt]\nusername = "pi"\npassword_file = "{tmp_path}/{word}/secret"\n'
            config.write_text(config.read_text().replace("[mqtt]\n", table))
            with AgentProcess(config) as agent:
                wait_until(lambda agent=agent, expected=expected: expected in agent.log, expected)  # type: ignore[misc]
                logs[word] = agent.log
        assert logs["wrong"].count("refuses this connection") == 1
        assert "connected to" not in logs["wrong"]
        assert not any(word in logs["wrong"] for word in ("Traceback", "password = "))
    finally:
        broker.kill()
