"""systemd's side of the line is a real datagram socket."""

import os
import signal
import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.operation.notify import Notify
from tests.edge_agent.gateway import AgentProcess, wait_until, write_config
from tests.mosquitto import Mosquitto


class Systemd:
    """What systemd would hear."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.setblocking(False)
        self._heard: list[str] = []

    def heard(self) -> list[str]:
        while True:
            try:
                self._heard.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return self._heard

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def address(request: pytest.FixtureRequest) -> str:
    name = f"telltale-{uuid.uuid4().hex[:12]}"
    return f"@{name}" if request.param == "abstract" else f"/tmp/{name}"  # noqa: S108 - a path must be short


@pytest.fixture
def systemd(address: str) -> Iterator[Systemd]:
    listener = Systemd(address)
    yield listener
    listener.close()
    if address.startswith("/"):
        Path(address).unlink()


def test_words_arrive_as_sd_notify_spells_them(systemd: Systemd, address: str) -> None:
    notify = Notify({"NOTIFY_SOCKET": address})
    before_us = time.monotonic_ns() // 1000
    notify.reloading()
    notify.ready()
    notify.status("two\nlines")
    notify.status("two lines")
    notify.stopping()

    reloading, *rest = systemd.heard()
    word, stamp = reloading.split("\n")
    assert word == "RELOADING=1"
    assert before_us <= int(stamp.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000
    assert rest == ["READY=1", "STATUS=two lines", "STOPPING=1"]


def test_sign_of_life_is_given_twice_within_the_patience_and_only_when_the_loop_turns(
    systemd: Systemd, address: str
) -> None:
    notify = Notify({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "4000000"})
    for now_s in (0.0, 0.5, 1.9, 2.0, 3.9, 4.1):
        notify.alive(now_s)
    assert systemd.heard() == ["WATCHDOG=1"] * 3


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"},
    ],
)
def test_watchdog_that_is_off_or_of_another_process_is_not_fed(environment: dict[str, str]) -> None:
    assert Notify(environment).watchdog_s is None


def test_systemd_that_is_gone_costs_one_line_of_log(caplog: pytest.LogCaptureFixture) -> None:
    notify = Notify({"NOTIFY_SOCKET": "@telltale-nobody-listens"})
    notify.ready()
    notify.ready()
    assert not notify.is_ready
    assert len(caplog.records) == 1


def test_queue_that_is_full_does_not_hold_up_the_loop(systemd: Systemd, address: str) -> None:
    notify = Notify({"NOTIFY_SOCKET": address})
    said = 0
    while said < 100_000:
        notify.ready()
        if not notify.is_ready:
            break
        said += 1
    assert not notify.is_ready
    systemd.heard()
    notify.ready()
    assert notify.is_ready


@pytest.mark.parametrize("address", ["abstract"], indirect=True)
def test_agent_is_ready_once_the_broker_granted_its_subscription(
    broker: Mosquitto, tmp_path: Path, systemd: Systemd, address: str
) -> None:
    config = write_config(tmp_path, broker.port)
    environment = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "400000"}
    with AgentProcess(config, environment=environment) as agent:
        wait_until(lambda: "READY=1" in systemd.heard(), "READY=1")
        wait_until(lambda: systemd.heard().count("WATCHDOG=1") >= 5, "signs of life")
        wait_until(lambda: any(line.startswith("STATUS=ok: connected") for line in systemd.heard()), "the status line")
        os.kill(agent.pid, signal.SIGHUP)
        wait_until(lambda: systemd.heard().count("READY=1") == 2, "READY=1 after the reload")
        heard = systemd.heard()
        reloading = next(line for line in heard if line.startswith("RELOADING=1\nMONOTONIC_USEC="))
        assert heard.index("READY=1") < heard.index(reloading)
        assert agent.stop() == 0
    assert systemd.heard().count("STOPPING=1") == 1


@pytest.mark.parametrize("address", ["abstract"], indirect=True)
def test_loop_that_stands_still_gives_no_sign_of_life(
    broker: Mosquitto, tmp_path: Path, systemd: Systemd, address: str
) -> None:
    config = write_config(tmp_path, broker.port)
    environment = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "200000"}
    with AgentProcess(config, environment=environment) as agent:
        wait_until(lambda: systemd.heard().count("WATCHDOG=1") >= 3, "signs of life")
        os.kill(agent.pid, signal.SIGSTOP)
        wait_until(lambda: _state(agent.pid) == "T", "the stop")
        n_signs = systemd.heard().count("WATCHDOG=1")
        until_s = time.monotonic() + 1.0
        wait_until(lambda: time.monotonic() > until_s, "five times its patience")
        assert systemd.heard().count("WATCHDOG=1") == n_signs
        os.kill(agent.pid, signal.SIGCONT)
        wait_until(lambda: systemd.heard().count("WATCHDOG=1") > n_signs, "signs of life again")


@pytest.mark.parametrize("address", ["abstract"], indirect=True)
def test_broker_that_is_away_at_the_start_is_said_once_and_does_not_keep_systemd_waiting(
    broker: Mosquitto, tmp_path: Path, systemd: Systemd, address: str
) -> None:
    broker.stop()
    config = write_config(tmp_path, broker.port)
    with AgentProcess(config, environment={"NOTIFY_SOCKET": address}) as agent:
        wait_until(lambda: "READY=1" in systemd.heard(), "READY=1 without a broker")
        wait_until(lambda: any("no connection to the broker" in line for line in systemd.heard()), "the status line")
        assert agent.log.count("cannot reach the broker") == 1
        broker.start()
        wait_until(lambda: "connected to" in agent.log, "the connection")
        wait_until(lambda: any(line.startswith("STATUS=ok: connected") for line in systemd.heard()), "the status line")
        assert systemd.heard().count("READY=1") == 1


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
