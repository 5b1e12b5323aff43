"""The Prometheus endpoint: a small HTTP server in a thread of its own, only where the configuration asks for it."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import make_wsgi_app

from edge_agent.operation.exposition import build_registry
from edge_agent.operation.visitors import FewVisitors

if TYPE_CHECKING:
    from edge_agent.operation.board import Board

_IDLE_S = 10.0
_PATIENCE_S = 5.0


class Endpoint:
    """Serves the last snapshot on ``http://host:port/metrics`` until :meth:`close`.

    Parameters
    ----------
    host : str
    port : int
        0 = any that is free.
    board : Board

    Raises
    ------
    OSError
        If nothing can listen there: the port is in use, or the address is not of this machine.
    """

    def __init__(self, host: str, port: int, board: Board) -> None:
        self._server = _Server(host, port)
        self._server.set_app(make_wsgi_app(build_registry(board)))
        self.port: int = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, name="prometheus", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        with contextlib.suppress(OSError):
            self._server.server_close()
        self._thread.join(_PATIENCE_S)


class _Server(FewVisitors, WSGIServer):
    def __init__(self, host: str, port: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Visit)

    def server_bind(self) -> None:
        # http.server would ask for the name of the host, which takes seconds on a gateway without a resolver.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]  # (host, port, ...)
        self.setup_environ()


class _Visit(WSGIRequestHandler):
    timeout = _IDLE_S

    def log_message(self, *_arguments: object) -> None:
        """A scrape is no news."""

    def address_string(self) -> str:
        """The address as it is: no name is looked up."""
        return str(self.client_address[0])
