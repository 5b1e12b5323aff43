"""The status socket: one line of JSON asked, one line answered, over a Unix socket that only the agent's user may open.

The server's thread reads the board and nothing else. It still answers when the loop stands still, and says so.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from edge_agent.config import GatewayConfig
from edge_agent.config_sources import load_config
from edge_agent.errors import StatusError
from edge_agent.operation.board import Board
from edge_agent.operation.visitors import FewVisitors
from schemas import STATUS_SOCKET, AgentStatus, StatusRequest, TopView

log = logging.getLogger(__name__)

MAX_REQUEST_BYTES = 4_096
MAX_ANSWER_BYTES = 16 * 1024 * 1024
_IDLE_S = 30.0
_PATIENCE_S = 5.0
_MOST_PATH_BYTES = 100
_STARTING = b'{"error":"the agent is starting"}\n'
_UNCLEAR = b'{"error":"one line of JSON expected: {\\"ask\\":\\"status\\"} or {\\"ask\\":\\"top\\"}"}\n'


class StatusServer:
    """Answers on ``status.sock`` in the state folder, from :meth:`open` to :meth:`close`.

    Parameters
    ----------
    folder : Path
        The state folder.
    board : Board
    """

    def __init__(self, folder: Path, board: Board) -> None:
        self.folder = folder
        self.path = folder / STATUS_SOCKET
        self._board = board
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Listen; where that cannot be, one line in the log says why, and the agent goes on without."""
        try:
            if _is_answered(self.path):
                log.warning("%s: another agent answers there; this one has no status socket", self.path)
                return
            self.path.unlink(missing_ok=True)
            self._server = _Server(self.path, self._board)
        except OSError as error:
            log.warning("%s: the status socket cannot be opened: %s", self.path, error.strerror or error)
            return
        self._thread = threading.Thread(target=self._server.serve_forever, name="status", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening and take the socket out of the folder."""
        server, self._server = self._server, None
        if server is None:
            return
        server.shutdown()
        server.server_close()
        if self._thread is not None:
            self._thread.join(_PATIENCE_S)
        with contextlib.suppress(OSError):
            self.path.unlink()


class _Server(FewVisitors, socketserver.UnixStreamServer):
    request_queue_size = 16

    def __init__(self, path: Path, board: Board) -> None:
        self.board = board
        with _reachable(path) as address:
            super().__init__(address, _Visit)

    def server_bind(self) -> None:
        # Before bind, so that there is no moment in which somebody else may open it: the file gets the socket's mode.
        os.fchmod(self.socket.fileno(), 0o600)
        super().server_bind()


class _Visit(socketserver.StreamRequestHandler):
    timeout = _IDLE_S
    server: _Server

    def handle(self) -> None:
        while line := self.rfile.readline(MAX_REQUEST_BYTES + 1):
            self.wfile.write(_answer(line, self.server.board))


def _answer(line: bytes, board: Board) -> bytes:
    try:
        request = StatusRequest.model_validate_json(line) if len(line) <= MAX_REQUEST_BYTES else None
    except ValidationError:
        request = None
    if request is None:
        return _UNCLEAR
    found = board.answer_top() if request.ask == "top" else board.answer_status()
    return _STARTING if found is None else found.model_dump_json(by_alias=True).encode() + b"\n"


def socket_path(named: Path | None, config: Path | None) -> Path:
    """Where to ask: at the path named, else in the state folder of a configuration, else where a service keeps it.

    Raises
    ------
    ConfigError
        If the configuration cannot be used.
    """
    if named is not None:
        return named
    if config is not None:
        return load_config(config, os.environ).gateway.state_dir / STATUS_SOCKET
    folder: Path = GatewayConfig.model_fields["state_dir"].default
    return folder / STATUS_SOCKET


def ask_status(path: Path) -> AgentStatus:
    """What the agent behind this socket says of itself.

    Raises
    ------
    StatusError
        If nobody answers there.
    """
    try:
        return AgentStatus.model_validate_json(_ask(path, "status"))
    except ValidationError as error:
        raise StatusError(str(path), "the status of an agent expected, got something else") from error


def ask_top(path: Path) -> TopView:
    """The status with the devices seen last.

    Raises
    ------
    StatusError
        If nobody answers there.
    """
    try:
        return TopView.model_validate_json(_ask(path, "top"))
    except ValidationError as error:
        raise StatusError(str(path), "the view of an agent expected, got something else") from error


def _ask(path: Path, what: str) -> bytes:
    request = StatusRequest.model_validate({"ask": what}).model_dump_json().encode() + b"\n"
    try:
        with _reachable(path) as address, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(_PATIENCE_S)
            line.connect(address)
            line.sendall(request)
            with line.makefile("rb") as answers:
                answer = answers.readline(MAX_ANSWER_BYTES)
    except OSError as error:
        reason = error.strerror or str(error)
        raise StatusError(str(path), f"a running agent expected, nobody answers: {reason}") from error
    if answer == _STARTING:
        raise StatusError(str(path), "the agent is starting: it has no status yet")
    return answer


def _is_answered(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line, _reachable(path) as address:
        line.settimeout(_PATIENCE_S)
        try:
            line.connect(address)
        except OSError:
            return False
        return True


@contextlib.contextmanager
def _reachable(path: Path) -> Iterator[str]:
    """The path as an address of at most 107 bytes (unix(7)); a longer one goes through its folder's descriptor."""
    if len(os.fsencode(path)) <= _MOST_PATH_BYTES:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
