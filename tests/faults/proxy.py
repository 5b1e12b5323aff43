"""A loopback TCP proxy between agent and broker, in a thread: a link that can be cut, slowed and reset."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Literal, Self

Mode = Literal["pass", "hole", "delay", "trickle"]
"""pass: as a wire · hole: nothing gets through, nothing is closed · delay: each way · trickle: bytes by the second."""

DELAY_S = 0.2
TRICKLE_BYTES_PER_S = 1_000
_PIECE_BYTES = 16_384
_TRICKLE_PIECES_PER_S = 10
_QUEUE_PIECES = 64
_START_S = 10.0


class Proxy:
    """Listens on a port of its own and passes on to ``port``.

    Parameters
    ----------
    port : int
        Of the broker, on loopback.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._mode: Mode = "pass"
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._flows = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.port = 0

    @property
    def n_connections(self) -> int:
        """Connections that are open on the side of the agent and of the broker."""
        return len(self._writers)

    def start(self) -> Self:
        """Return when it listens."""
        self._thread.start()
        assert self._ready.wait(_START_S)
        return self

    def stop(self) -> None:
        """End all connections and the thread."""
        self._call(self._close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_START_S)
        self._loop.close()

    def turn(self, mode: Mode) -> None:
        """From now on the link is like this, for connections that stand and for new ones."""
        self._call(self._turn, mode)

    def reset(self) -> None:
        """Every connection ends with a RST on both sides."""
        self._call(self._reset)

    # ------------------------------------------------------------------ in the thread

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._accept, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._flows.set()
        self._ready.set()
        self._loop.run_forever()
        server.close()

    def _call(self, function: Callable[..., Coroutine[Any, Any, None]], *arguments: object) -> None:
        asyncio.run_coroutine_threadsafe(function(*arguments), self._loop).result(_START_S)

    async def _turn(self, mode: Mode) -> None:
        self._mode = mode
        if mode == "hole":
            self._flows.clear()
        else:
            self._flows.set()

    async def _reset(self) -> None:
        for writer in list(self._writers):
            connection: socket.socket = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    async def _close(self) -> None:
        await self._reset()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, far_writer}
        self._writers |= ends
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = self._loop.create_task(self._pass_on(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            task.add_done_callback(lambda _task: self._writers.difference_update(ends))

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """One direction: read, hold each piece until it is due, write."""
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_QUEUE_PIECES)

        async def read() -> None:
            with contextlib.suppress(OSError):
                while piece := await source.read(_PIECE_BYTES):
                    await pieces.put((self._loop.time() + (DELAY_S if self._mode == "delay" else 0.0), piece))
            await pieces.put((0.0, b""))

        reading = self._loop.create_task(read())
        try:
            while True:
                due_s, piece = await pieces.get()
                await self._flows.wait()
                if not piece:
                    break
                if (wait_s := due_s - self._loop.time()) > 0:
                    await asyncio.sleep(wait_s)
                await self._write(sink, piece)
        except OSError:
            pass
        finally:
            reading.cancel()
            with contextlib.suppress(OSError):
                sink.close()

    async def _write(self, sink: asyncio.StreamWriter, piece: bytes) -> None:
        size = TRICKLE_BYTES_PER_S // _TRICKLE_PIECES_PER_S
        while piece and self._mode == "trickle":
            sink.write(piece[:size])
            await sink.drain()
            piece = piece[size:]
            await asyncio.sleep(1 / _TRICKLE_PIECES_PER_S)
            await self._flows.wait()
        await self._flows.wait()
        sink.write(piece)
        await sink.drain()
