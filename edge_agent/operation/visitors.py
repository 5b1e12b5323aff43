"""Servers whose visitors cannot hurt the agent: few at a time, a thread each, and none of their faults in the log."""

from __future__ import annotations

import socketserver
import threading
from typing import Any

MAX_VISITORS = 8


class FewVisitors(socketserver.ThreadingMixIn):
    """Mix-in for a server of ``socketserver``: at most eight connections at a time, further ones are closed at once."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._places = threading.BoundedSemaphore(MAX_VISITORS)
        super().__init__(*arguments, **options)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as socketserver has it
        """Give the connection a thread, if there is a place."""
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)  # type: ignore[attr-defined]  # of the server that this is mixed into
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread could be started: the place is free again, the server closes the connection
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - ditto
        """Serve one connection, then free its place."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, _request: Any, _client_address: Any) -> None:  # noqa: ANN401 - ditto
        """A visitor who leaves in the middle is no news."""
