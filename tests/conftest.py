"""What every test may ask for: the real recordings, a real broker; and what none may do: reach beyond this machine."""

import ipaddress
import os
import socket
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests.mosquitto import Mosquitto, find_mosquitto

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

ROOT = Path(__file__).resolve().parent.parent
_NO_DATASETS = "the recordings are not here: put them into ../shared/datasets or name their folder in TELLTALE_DATASETS"
_NO_MOSQUITTO = "mosquitto is not installed: sudo apt-get install mosquitto"

# The same examples in every run, and no time limit that a busy machine could break.
hypothesis.settings.register_profile(
    "telltale", derandomize=True, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("telltale")


def _datasets_folder() -> Path:
    return Path(os.environ.get("TELLTALE_DATASETS", ROOT.parent / "shared" / "datasets"))


def pytest_report_header() -> list[str]:
    """Say which real parts this run has, so that a green run can be read."""
    folder = _datasets_folder()
    recordings = len([*folder.rglob("*.npz"), *folder.rglob("*.ts")]) if folder.is_dir() else 0
    return [
        f"broker: {find_mosquitto() or 'none, ' + _NO_MOSQUITTO}",
        f"recordings: {f'{recordings} files' if recordings else 'none, ' + _NO_DATASETS}",
        "real parts: "
        + ", ".join(f"{name} {_version(name)}" for name in ("onnxruntime", "paho-mqtt", "numpy", "scikit-learn")),
    ]


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "missing"


@pytest.fixture(scope="session")
def repository() -> Path:
    """Folder of this checkout."""
    return ROOT


@pytest.fixture(scope="session")
def datasets() -> Path:
    """Folder of the real recordings; the test is skipped, visibly, where they are absent."""
    folder = _datasets_folder()
    if not folder.is_dir():
        pytest.skip(_NO_DATASETS)
    return folder


@pytest.fixture(scope="session")
def mosquitto_program() -> str:
    """Path of the broker's program; the test is skipped, visibly, where it is absent."""
    program = find_mosquitto()
    if program is None:
        pytest.skip(_NO_MOSQUITTO)
    return program


@pytest.fixture
def start_broker(
    mosquitto_program: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Mosquitto]]:
    """Start a broker with further lines of mosquitto.conf; every broker started so ends with the test."""
    brokers: list[Mosquitto] = []

    def start(*settings: str) -> Mosquitto:
        broker = Mosquitto(tmp_path_factory.mktemp("mosquitto"), settings)
        brokers.append(broker)
        broker.start()
        return broker

    yield start
    for broker in brokers:
        broker.kill()


@pytest.fixture
def broker(start_broker: Callable[..., Mosquitto]) -> Mosquitto:
    """Give a running broker, empty, for this test alone."""
    return start_broker()


@pytest.fixture(autouse=True, scope="session")
def _loopback_only() -> Iterator[None]:
    """Refuse every connection of this process that would leave the machine: no test depends on a public host."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:  # noqa: ANN401 - the type depends on the address family
        if self.family in {socket.AF_INET, socket.AF_INET6} and not _is_loopback(address[0]):
            raise AssertionError(f"a test tried to reach {address[0]}: expected a loopback address")
        connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded)
        yield


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
