"""One gateway process: an agent at work, everything around it, and the agent that follows it after a reload."""

from __future__ import annotations

import gc
import logging
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from edge_agent.config import AgentConfig
from edge_agent.operation.allocator import Allocator
from edge_agent.operation.board import Board, RecentLines
from edge_agent.operation.health import HealthBook
from edge_agent.operation.notify import Notify
from edge_agent.operation.reload import Candidate, Reloader, Source, prove, read
from edge_agent.operation.status_socket import StatusServer
from edge_agent.operation.watch import Stamp
from edge_agent.shell.journal import start_log
from edge_agent.shell.loop import Agent
from edge_agent.shell.service import Reloads
from schemas import AgentHealth, AgentInfo, AgentMetrics, AgentStatus, ConfigError

if TYPE_CHECKING:
    from edge_agent.operation.prometheus import Endpoint

log = logging.getLogger(__name__)

REFRESH_S = 1.0
WATCHED_REFRESH_S = 0.25
READY_AFTER_S = 5.0
"""How long READY=1 waits for the broker: after that the agent is as ready as it can be on its own."""

_ENDPOINT_RETRY_S = 30.0
_STATUS_LINE_S = 5.0


class Operation:
    """What happens around an agent, called by its loop once a turn: a `Service`.

    Parameters
    ----------
    source : Source
    current : Candidate
        What runs first.
    stamps : mapping of Path to Stamp
        Its files, as they were before they were read.

    Attributes
    ----------
    reloads : Reloads
    successor : Candidate or None
        What the next agent runs, once this one has ended for it.
    """

    def __init__(self, source: Source, current: Candidate, stamps: Mapping[Path, Stamp]) -> None:
        self.reloads = Reloads()
        self.reloader = Reloader(source, current, self.reloads, stamps)
        self.successor: Candidate | None = None
        self._allocator = Allocator()
        self._notify = Notify(source.environment)
        self._board = Board()
        self._recent = RecentLines()
        logging.getLogger().addHandler(self._recent)
        self._server: StatusServer | None = None
        self._endpoint: _Prometheus = _Prometheus(self._board)
        self._agent: Agent | None = None
        self._health = HealthBook(current.config)
        self._info: AgentInfo | None = None
        self._was_connected = False
        self._started_s = time.monotonic()
        # The contracts of the status are built when it is first shown: not on the way to the first label.
        self._next_refresh_s = self._started_s + REFRESH_S
        self._next_status_line_s = 0.0
        self._is_ready = self._is_stopping = False

    def attach(self, agent: Agent) -> None:
        """Serve this agent from now on."""
        self._agent = agent
        self.successor = None
        self._fit(agent.config)

    def turn(self, now_s: float) -> None:
        """Do what is due after one turn of the loop."""
        agent = self._agent
        if agent is None:
            return
        self._notify.alive(now_s)
        if agent.is_stopping:
            if not self._is_stopping:
                self._is_stopping = True
                self._notify.stopping()
        elif self.successor is None:
            self._reload(agent, now_s)
        if not self._is_ready:
            self._become_ready(agent, now_s)
        if now_s >= self._next_refresh_s:
            is_watched = self._board.is_watched(now_s)
            self._next_refresh_s = now_s + (WATCHED_REFRESH_S if is_watched else REFRESH_S)
            agent.tally.is_watched = is_watched
            self._refresh(agent, now_s)
        self._endpoint.turn(now_s)
        self._allocator.turn(now_s)

    def close(self) -> None:
        """Stop serving."""
        self._endpoint.close()
        if self._server is not None:
            self._server.close()
            self._server = None
        logging.getLogger().removeHandler(self._recent)

    # ------------------------------------------------------------------ reloading

    def _reload(self, agent: Agent, now_s: float) -> None:
        if self._is_ready and self.reloader.begins(now_s):
            self._notify.reloading()
        ended = self.reloader.ends()
        if ended is None:
            return
        if ended != "refused":
            kind, candidate = ended
            if kind == "swapped":
                agent.swap(candidate.config, candidate.pipelines)
                self._info = None
                self._fit(candidate.config)
                self.reloader.done(kind, candidate)
            elif kind == "replaced":
                self.successor = candidate
                agent.hand_over(candidate.config)
                return  # ready again once the next agent turns
        self._notify.ready()

    def succeeded(self, candidate: Candidate | None, problems: Sequence[str] = ()) -> None:
        """The agent of this candidate is about to turn; or, without one, that of before, because of these problems."""
        if candidate is None:
            self.reloader.refuse(problems)
        else:
            self.reloader.done("replaced", candidate)
        self._notify.ready()

    def _fit(self, config: AgentConfig) -> None:
        """Serve as this configuration says."""
        start_log(log_format=config.status.log_format)
        self._health = HealthBook(config)
        self._info = None
        if self._server is None or self._server.folder != config.gateway.state_dir:
            if self._server is not None:
                self._server.close()
            self._server = StatusServer(config.gateway.state_dir, self._board)
            self._server.open()
        self._endpoint.serve(config.status.prometheus_host, config.status.prometheus_port)

    # ------------------------------------------------------------------ showing

    def _become_ready(self, agent: Agent, now_s: float) -> None:
        self._is_ready = self._is_ready or agent.is_subscribed or now_s - self._started_s > READY_AFTER_S
        if self._is_ready and not self._notify.is_ready and not agent.is_stopping:
            self._notify.ready()

    def _refresh(self, agent: Agent, now_s: float) -> None:
        self._become_ready(agent, now_s)
        metrics = agent.metrics(now_s)
        if self._info is None or metrics.connected != self._was_connected:
            self._was_connected = metrics.connected
            self._info = agent.info()
        troubles = agent.troubles()
        if self.reloader.refusal:
            troubles.append(f"the last reload was refused: {self.reloader.refusal}")
        if self._endpoint.problem:
            troubles.append(self._endpoint.problem)
        health = self._health.judge(
            metrics,
            troubles,
            now_s,
            unacknowledged_limit=agent.held_back_most,
            is_starting=not self._is_ready,
            is_stopping=agent.is_stopping,
        )
        board = self._board
        board.seen, board.latencies_ms = agent.tally.look(), list(agent.tally.latencies_ms)
        messages_hz, pipelines_hz = self._health.rates(metrics, now_s)
        status = AgentStatus(
            info=self._info,
            metrics=metrics,
            health=health,
            errors=self._recent.lines,
            messages_hz=messages_hz,
            pipelines_hz=pipelines_hz,
        )
        board.show(status, now_s)
        if self._notify.is_on and now_s >= self._next_status_line_s:
            self._next_status_line_s = now_s + _STATUS_LINE_S
            self._notify.status(_status_line(metrics, health))


class _Prometheus:
    """The endpoint as the configuration wants it: opened, moved, closed; tried again while something is in its way."""

    def __init__(self, board: Board) -> None:
        self.problem = ""
        self._board = board
        self._wanted: tuple[str, int] = ("", 0)
        self._server: Endpoint | None = None
        self._next_try_s = 0.0

    def serve(self, host: str, port: int) -> None:
        if (host, port) == self._wanted:
            return
        self.close()
        self._wanted, self.problem, self._next_try_s = (host, port), "", 0.0
        self.turn(time.monotonic())

    def turn(self, now_s: float) -> None:
        host, port = self._wanted
        if not port or self._server is not None or now_s < self._next_try_s:
            return
        self._next_try_s = now_s + _ENDPOINT_RETRY_S
        from edge_agent.operation.prometheus import Endpoint

        try:
            self._server = Endpoint(host, port, self._board)
        except OSError as error:
            problem = f"no Prometheus endpoint: {host}:{port} cannot be listened on: {error.strerror or error}"
            if problem != self.problem:
                self.problem = problem
                log.error("%s; trying again every %g s", problem, _ENDPOINT_RETRY_S)  # noqa: TRY400 - one line
            return
        self.problem = ""
        log.info("metrics for Prometheus on http://%s:%d/metrics", f"[{host}]" if ":" in host else host, port)

    def close(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()


class Gateway:
    """The process behind ``edge-agent run``.

    Parameters
    ----------
    file : Path
        The configuration.
    overrides : sequence of str
    environment : mapping of str to str

    Raises
    ------
    ConfigError
        If the configuration, a model or the state folder cannot be used.
    """

    def __init__(self, file: Path, overrides: Sequence[str], environment: Mapping[str, str]) -> None:
        source, stamps = Source(file, overrides, environment), dict[Path, Stamp]()
        self._file = file
        self._is_stopping = False
        config = read(source, stamps)
        start_log(log_format=config.status.log_format)
        candidate = prove(source, config, stamps)
        self._operation = Operation(source, candidate, stamps)
        try:
            self._agent = self._employ(candidate)
        except ConfigError:
            self._operation.close()
            raise

    def run(self) -> int:
        """Run until SIGTERM or SIGINT; the exit code of the last agent."""
        signal.signal(signal.SIGHUP, self._hear)
        try:
            return self._run_agents()
        finally:
            self._operation.close()

    def _run_agents(self) -> int:
        while True:
            code = self._agent.run()
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._hear)
            candidate = self._operation.successor
            self._is_stopping = self._is_stopping or self._agent.is_stopping
            if candidate is None or (self._is_stopping and not self._agent.leaves_online):
                return code
            self._agent = self._succeed(candidate)
            # The agent of before was frozen when it began; only now is there anything of it to be found.
            gc.unfreeze()
            gc.collect()
            if self._is_stopping:
                self._agent.stop()

    def _succeed(self, candidate: Candidate) -> Agent:
        """The next agent: of the candidate, or of what ran before where that fails in spite of all proofs."""
        try:
            agent = self._employ(candidate, is_successor=True)
        except ConfigError as error:
            agent = self._employ(self._operation.reloader.current, is_successor=True)
            self._operation.succeeded(None, [f"{error.where}: {problem}" for problem in error.problems])
            return agent
        self._operation.succeeded(candidate)
        return agent

    def _employ(self, candidate: Candidate, *, is_successor: bool = False) -> Agent:
        config, pipelines, around = candidate.config, candidate.pipelines, [self._operation]
        try:
            agent = Agent(config, pipelines, around, self._operation.reloads, is_successor=is_successor)
        except OSError as error:
            folder = candidate.config.gateway.state_dir
            problem = f"gateway.state_dir: a folder that can be written expected, got {folder}: {error.strerror}"
            raise ConfigError(str(self._file), [problem]) from error
        self._operation.attach(agent)
        return agent

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self._operation.reloader.ask()
            return
        self._is_stopping = True
        self._agent.stop()


def _status_line(metrics: AgentMetrics, health: AgentHealth) -> str:
    what = health.problems[0] if health.problems else f"connected to {health.broker}"
    counts = f"{metrics.messages_received} messages, {metrics.labels_accepted} labels, {metrics.devices} devices"
    return f"{health.state}: {what}; {counts}"
