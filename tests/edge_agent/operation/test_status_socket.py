"""The status socket: who may ask, what is answered, and what rubbish does to it (nothing)."""

import json
import os
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge_agent.errors import StatusError
from edge_agent.operation.board import Board
from edge_agent.operation.status_socket import StatusServer, ask_status, ask_top
from edge_agent.operation.visitors import MAX_VISITORS
from edge_agent.shell.tally import Seen
from tests.edge_agent.gateway import DEADLINE_S, wait_until
from tests.edge_agent.operation.snapshots import status


def seen(device: str) -> Seen:
    signal = np.array([[1.0, np.nan], [np.inf, -0.5]], dtype=np.float32)
    return Seen("pump", device, ("x", "y"), "high", 0.9, 0.1, "ok", 1_000.5, 99.5, 2.25, signal)


@pytest.fixture
def board() -> Board:
    board = Board(seen=[seen("pump-2"), seen("pump-1")], latencies_ms=[1.0, 2.0])
    board.show(status(), time.monotonic())
    return board


@pytest.fixture
def server(tmp_path: Path, board: Board) -> Iterator[StatusServer]:
    server = StatusServer(tmp_path, board)
    server.open()
    yield server
    server.close()


def connect(path: Path) -> socket.socket:
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    line.settimeout(DEADLINE_S)
    here = Path.cwd()
    os.chdir(path.parent)  # the path of a test may be longer than an address
    try:
        line.connect(path.name)
    finally:
        os.chdir(here)
    return line


def test_status_arrives_as_it_was_shown(server: StatusServer) -> None:
    assert ask_status(server.path) == status()


def test_only_the_user_of_the_agent_may_ask(server: StatusServer) -> None:
    assert stat.S_IMODE(server.path.stat().st_mode) == 0o600


def test_devices_come_most_recent_first_with_what_is_missing_as_null(server: StatusServer, board: Board) -> None:
    assert not board.is_watched(time.monotonic())
    view = ask_top(server.path)
    assert [device.device for device in view.devices] == ["pump-2", "pump-1"]
    assert view.devices[0].signal == [[1.0, None], [None, -0.5]]
    assert view.devices[0].ts == "1970-01-01T00:16:40.500000Z"
    assert (view.latencies_ms, view.metrics) == ([1.0, 2.0], status().metrics)
    assert board.is_watched(time.monotonic())
    assert not board.is_watched(time.monotonic() + 11)


def test_one_connection_may_ask_again_and_rubbish_is_told_what_is_expected(server: StatusServer) -> None:
    with connect(server.path) as line, line.makefile("rb") as answers:
        for rubbish in (b"\n", b"{}\n", b'{"ask":"secrets"}\n', b"\xff\xfe\n", b"[" * 1_000 + b"\n"):
            line.sendall(rubbish)
            assert "expected" in json.loads(answers.readline())["error"]
        line.sendall(b'{"ask":"status"}\n')
        assert json.loads(answers.readline())["schema"] == "status/1"


def test_request_without_an_end_is_cut_off(server: StatusServer) -> None:
    with connect(server.path) as line, line.makefile("rb") as answers:
        line.sendall(b"x" * 4_097)
        assert "error" in json.loads(answers.readline())
    assert ask_status(server.path).info.gateway == "gw"


def test_visitors_who_stay_do_not_keep_out_the_agent_for_ever(server: StatusServer) -> None:
    lines = []
    for _ in range(MAX_VISITORS):  # each has its place once it is answered
        lines.append(connect(server.path))
        lines[-1].sendall(b'{"ask":"status"}\n')
        assert lines[-1].recv(1)
    with connect(server.path) as late:
        assert late.recv(1) == b""
    for line in lines:
        line.close()

    def is_answered() -> bool:
        try:
            return ask_status(server.path).info.gateway == "gw"
        except StatusError:
            return False

    wait_until(is_answered, "a free place")
    assert is_answered()


def test_socket_left_by_a_kill_is_taken_over(tmp_path: Path, board: Board) -> None:
    left = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    here = Path.cwd()
    os.chdir(tmp_path)
    left.bind("status.sock")
    os.chdir(here)
    left.close()
    server = StatusServer(tmp_path, board)
    server.open()
    assert ask_status(server.path).info.gateway == "gw"
    server.close()
    assert not server.path.exists()


def test_socket_of_another_agent_is_left_to_it(
    server: StatusServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    second = StatusServer(tmp_path, Board())
    second.open()
    second.close()
    assert "another agent answers there" in caplog.text
    assert ask_status(server.path).info.gateway == "gw"


def test_path_longer_than_an_address_is_reached_all_the_same(tmp_path: Path, board: Board) -> None:
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    server = StatusServer(folder, board)
    server.open()
    assert len(str(server.path)) > 108
    assert ask_status(server.path).info.gateway == "gw"
    server.close()


def test_folder_that_cannot_be_written_costs_a_line_not_the_agent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = StatusServer(tmp_path / "absent", Board())
    server.open()
    server.close()
    assert "the status socket cannot be opened" in caplog.text


def test_loop_that_stands_still_is_told_by_the_server(tmp_path: Path) -> None:
    board = Board()
    board.show(status(), time.monotonic() - 60)
    server = StatusServer(tmp_path, board)
    server.open()
    found = ask_status(server.path)
    server.close()
    assert found.health.state == "degraded"
    assert found.health.problems[0].startswith("the loop has not turned for 6")


@pytest.mark.parametrize("answer", [b"", b"{}\n", b"rubbish\n"])
def test_somebody_else_behind_the_socket_is_not_taken_for_an_agent(tmp_path: Path, answer: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        here = Path.cwd()
        os.chdir(tmp_path)
        other.bind("status.sock")
        os.chdir(here)
        other.listen()
        other.settimeout(DEADLINE_S)

        import threading

        def reply() -> None:
            line, _ = other.accept()
            with line:
                line.recv(100)
                line.sendall(answer)

        thread = threading.Thread(target=reply)
        thread.start()
        with pytest.raises(StatusError, match="expected"):
            ask_status(tmp_path / "status.sock")
        thread.join()
