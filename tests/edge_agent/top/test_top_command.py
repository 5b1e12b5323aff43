"""``edge-agent top`` as a person starts it: on a terminal, in a pipe, without an agent, without rich."""

import os
import pty
import re
import select
import signal
import socketserver
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.cli import EXIT_DATA, EXIT_OK, main
from schemas import STATUS_SOCKET, StatusRequest
from tests.edge_agent.gateway import ROOT, AgentProcess, Consumer, Publisher, wait_until, write_config
from tests.edge_agent.top.views import make_device, make_view
from tests.mosquitto import Mosquitto

SIZE = {"COLUMNS": "100", "LINES": "30", "TERM": "xterm-256color"}


class _Answer(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        assert StatusRequest.model_validate_json(self.rfile.readline()).ask == "top"
        self.server.asked += 1  # type: ignore[attr-defined]
        view = make_view([make_device("pump-1"), make_device("pump-2", label="idle")], uptime_s=time.monotonic())
        self.wfile.write(view.model_dump_json(by_alias=True).encode() + b"\n")


class FakeAgent(socketserver.ThreadingUnixStreamServer):
    asked = 0


@pytest.fixture
def fake_agent(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / STATUS_SOCKET
    with FakeAgent(str(path), _Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield path
        server.shutdown()
        thread.join()


def _once(path: Path, *more: str) -> int:
    return main(["top", "--socket", str(path), "--once", "--after", "0.2", "--interval", "0.1", *more])


def test_in_a_pipe_one_plain_frame_is_printed(fake_agent: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _once(fake_agent) == EXIT_OK
    said = capsys.readouterr().out
    assert "pump-1" in said
    assert "p50 2 ms" in said
    assert "\x1b" not in said


def test_the_picture_is_whole_and_asks_no_other_host(
    fake_agent: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "top.svg"
    assert _once(fake_agent, "--picture", str(picture)) == EXIT_OK
    text = picture.read_text()
    assert ET.fromstring(text).tag.endswith("svg")  # noqa: S314 - our own file
    assert "pump-2" in text
    assert set(re.findall(r"https?://[^/\"' )]+", text)) <= {"http://www.w3.org", "https://www.textualize.io"}
    assert not list(tmp_path.glob(".top.svg*"))
    assert _once(fake_agent, "--picture", str(tmp_path / "none" / "top.svg")) == EXIT_DATA
    assert "a file that can be written expected" in capsys.readouterr().err


def test_without_an_agent_one_line_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _once(tmp_path / STATUS_SOCKET) == EXIT_DATA
    (line,) = capsys.readouterr().err.splitlines()
    assert "a running agent expected, nobody answers" in line


def test_without_rich_one_line_says_what_to_install(fake_agent: Path) -> None:
    code = "import sys; sys.modules['rich'] = None; from edge_agent.cli import main; sys.exit(main(sys.argv[1:]))"
    ended = subprocess.run(
        [sys.executable, "-c", code, "top", "--socket", str(fake_agent)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == EXIT_DATA
    assert ended.stderr == (
        "edge-agent: top draws with rich, which is not installed: pip install 'telltale-edge[top]'\n"
    )


class Terminal:
    """``edge-agent top`` on a terminal of its own."""

    def __init__(self, path: Path, **environment: str) -> None:
        self.said = b""
        self._screen, inner = pty.openpty()
        command = [sys.executable, "-m", "edge_agent", "top", "--socket", str(path), "--interval", "0.1"]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=inner, stdout=inner, stderr=inner, env={**os.environ, **SIZE, **environment}
        )
        os.close(inner)

    def press(self, keys: bytes) -> None:
        os.write(self._screen, keys)

    def shows(self, expected: bytes) -> bool:
        while select.select([self._screen], [], [], 0)[0]:
            try:
                more = os.read(self._screen, 65_536)
            except OSError:  # the other side is closed
                break
            if not more:
                break
            self.said += more
        return expected in self.said

    def wait(self) -> int:
        wait_until(lambda: (self.shows(b""), self.process.poll())[1] is not None, "top to end")
        self.shows(b"")
        os.close(self._screen)
        return self.process.wait()


def test_on_a_terminal_it_is_live_until_q(fake_agent: Path) -> None:
    terminal = Terminal(fake_agent)
    wait_until(lambda: terminal.shows(b"pump-2"), "the devices")
    assert b"\x1b[?1049h" in terminal.said  # the alternate screen: what was there before comes back
    terminal.press(b"s")
    wait_until(lambda: terminal.shows(b"sort: age"), "the next order")
    terminal.press(b"/idle\r")
    wait_until(lambda: terminal.shows(b"filter: idle"), "the filter")
    terminal.press(b"p")
    wait_until(lambda: terminal.shows(b"PAUSED"), "the pause")
    terminal.press(b"q")
    assert terminal.wait() == EXIT_OK
    assert terminal.said.endswith(b"\x1b[?25h") or b"\x1b[?1049l" in terminal.said


@pytest.fixture
def hears_ctrl_c() -> Iterator[None]:
    """A shell that started this run in the background has it ignore SIGINT, and so would every program it starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("hears_ctrl_c")
def test_ctrl_c_gives_the_terminal_back_and_no_traceback(fake_agent: Path) -> None:
    terminal = Terminal(fake_agent, NO_COLOR="1")
    wait_until(lambda: terminal.shows(b"pump-2"), "the devices")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.wait() == EXIT_OK
    assert b"Traceback" not in terminal.said
    assert b"\x1b[?1049l" in terminal.said
    assert not re.search(rb"\x1b\[[0-9;]*(3[0-7]|38;)[0-9;]*m", terminal.said)  # NO_COLOR


def test_a_real_agent_shows_its_devices(broker: Mosquitto, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(tmp_path, broker.port)
    with Consumer(broker.port) as consumer, Publisher(broker.port) as publisher, AgentProcess(config):
        wait_until(lambda: consumer.of("/availability"), "the agent")
        start_ms, step = int(time.time() * 1000) // 10 * 10, 0

        def has_drawn() -> bool:
            nonlocal step
            for _ in range(50):
                publisher.sample("p1", start_ms + 10 * step, 1.0)
                step += 1
            assert main(["top", "--config", str(config), "--once", "--after", "0.3", "--interval", "0.1"]) == EXIT_OK
            return re.search(r"p1 .*● high", capsys.readouterr().out) is not None

        wait_until(has_drawn, "the label of the device")
    assert main(["top", "--config", str(config), "--once"]) == EXIT_DATA
