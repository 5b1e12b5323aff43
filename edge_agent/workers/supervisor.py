"""Starts the workers, starts them again when they die, and hands over when their number changed; labels nothing itself.

The order of a hand-over is what keeps every message in somebody's hands: first the sessions of the workers to come are
made, so that the broker collects for them; then the workers there were, on their old sessions, label what those still
hold and close every window; then the watermarks go to the new owners, then the old sessions end. A window that was open
in between has a label with the samples that were there. Cut off anywhere, the next start begins again or goes on.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from edge_agent.config import AgentConfig
from edge_agent.operation.notify import Notify
from edge_agent.shell.mqtt_link import MqttLink
from edge_agent.workers.layout import Handover, LayoutFile, every_worker, overrides_of
from edge_agent.workers.tether import PARENT_VARIABLE
from edge_agent.workers.voice import Voice
from schemas import Availability, topic_for

log = logging.getLogger(__name__)

EXIT_CONFIG = 78
_TURN_S = 0.2
_FIRST_DELAY_S = 1.0
_LONGEST_DELAY_S = 30.0
_STEADY_S = 60.0
_GOODBYE_S = 2.0
_OF_SERVICE = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}
_READY_AFTER_S = 10.0
_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class _Worker:
    """One worker process, over all its lives."""

    def __init__(self, config: AgentConfig, command: Sequence[str]) -> None:
        self.config = config
        self._command = command
        self._delay_s = _FIRST_DELAY_S
        self._started_s = 0.0
        self.next_start_s = 0.0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, drains: bool = False) -> None:
        self._started_s = time.monotonic()
        tail = ["--drain"] if drains else []
        # The service manager hears the supervisor alone: it speaks for the gateway.
        environment = {name: value for name, value in os.environ.items() if name not in _OF_SERVICE}
        environment[PARENT_VARIABLE] = str(os.getpid())
        self.process = subprocess.Popen([*self._command, *overrides_of(self.config), *tail], env=environment)

    def ended(self) -> int | None:
        """The exit code, once after each life; plans the next start."""
        if self.process is None or (code := self.process.poll()) is None:
            return None
        self.process = None
        now_s = time.monotonic()
        if now_s - self._started_s > _STEADY_S:
            self._delay_s = _FIRST_DELAY_S
        self.next_start_s = now_s + self._delay_s
        self._delay_s = min(2 * self._delay_s, _LONGEST_DELAY_S)
        return code


class Supervisor:
    """All workers of one gateway.

    Parameters
    ----------
    config : AgentConfig
        Of the gateway: ``gateway.workers`` says how many there shall be.
    path : Path
        The file it was read from, for the workers to read again.
    overrides : sequence of str
        The ``--set`` of the command line.

    Raises
    ------
    ConfigError
        If a certificate or password file cannot be used.
    OSError
        If the state folder cannot be made.
    """

    def __init__(self, config: AgentConfig, path: Path, overrides: Sequence[str]) -> None:
        self._config = config
        self._n_workers = config.gateway.workers
        given = [part for override in overrides for part in ("--set", override)]
        self._command = [sys.executable, "-m", "edge_agent", "run", "--config", str(path), *given]
        self._layout = LayoutFile(config)
        self._running: list[_Worker] = []
        self._is_stopping = False
        for number in _FORWARDED:
            signal.signal(number, self._forward)

    def prepare(self) -> int | None:
        """Make the state fit the number of workers; an exit code where the start must end here, else None.

        Raises
        ------
        OSError
            If the disk does not take what is handed over.
        """
        if (unfinished := self._layout.handover()) is not None:
            self._complete(unfinished)
        before = self._layout.n_workers()
        if before is not None and before != self._n_workers:
            log.info("%d workers instead of %d: handing over", self._n_workers, before)
            for config in every_worker(self._config, self._n_workers):
                self._open_session(config)
            code = 0 if self._is_stopping else self._drain(every_worker(self._config, before))
            if code == EXIT_CONFIG or self._is_stopping:
                return code if code == EXIT_CONFIG else 0
        if before != self._n_workers:
            self._complete(self._layout.decide(before, self._n_workers))
        return 0 if self._is_stopping else None

    def run(self) -> int:
        """Keep the workers running until SIGTERM or SIGINT; 0 = all of them ended in good order."""
        self._running = [self._worker(config) for config in every_worker(self._config, self._n_workers)]
        voice, notify = Voice(self._config, self._n_workers), Notify(os.environ)
        ready_s = time.monotonic() + _READY_AFTER_S
        log.info("%d workers share the devices of gateway %s", self._n_workers, self._config.gateway.id)
        worst = 0
        while not self._is_stopping:
            now_s = time.monotonic()
            for number, worker in enumerate(self._running):
                code = worker.ended()
                if code == EXIT_CONFIG:
                    worst = EXIT_CONFIG
                    self._forward(signal.SIGTERM, None)
                elif code is not None:
                    delay_s = worker.next_start_s - now_s
                    log.error("worker %d ended with %s: starting it again in %.0f s", number, _said(code), delay_s)
                if worker.process is None and now_s >= worker.next_start_s and not self._is_stopping:
                    self._start(worker)
            voice.turn(_TURN_S)
            notify.alive(now_s)
            # Without a broker the workers are as ready as they can be on their own.
            if not notify.is_ready and (voice.is_online or now_s > ready_s):
                notify.ready()
        notify.stopping()
        codes = [self._wait(worker) for worker in self._running]
        voice.close()
        return worst or int(any(codes))

    # ------------------------------------------------------------------ handing over

    def _open_session(self, config: AgentConfig) -> None:
        """Let the broker collect for a worker that does not run yet."""
        link = _link(config)
        while not link.is_subscribed and not self._is_stopping:
            link.turn(_TURN_S)
        link.close(time.monotonic() + _GOODBYE_S)

    def _drain(self, configs: Sequence[AgentConfig]) -> int:
        """Run the workers there were until all that their sessions hold is labelled; the exit code."""
        self._running = [self._worker(config) for config in configs]
        waiting = list(self._running)
        while waiting and not self._is_stopping:
            now_s = time.monotonic()
            for worker in list(waiting):
                code = worker.ended()
                if code == 0:
                    waiting.remove(worker)
                elif code == EXIT_CONFIG:
                    self._forward(signal.SIGTERM, None)
                    for other in self._running:
                        self._wait(other)
                    return EXIT_CONFIG
                elif code is not None:
                    log.error("a worker that hands over ended with %s: starting it again", _said(code))
                elif worker.process is None and now_s >= worker.next_start_s:
                    self._start(worker, drains=True)
            time.sleep(_TURN_S / 4)
        for worker in self._running:
            self._wait(worker)
        return 0

    def _complete(self, handover: Handover) -> None:
        """From decided to done; may be done again."""
        self._layout.carry_out(handover)
        names = {config.client_id for config in every_worker(self._config, handover.n_workers)}
        for config in every_worker(self._config, handover.n_before):
            if config.client_id not in names and not self._is_stopping:
                self._close_session(config)
        self._layout.finish(handover.n_workers)

    def _close_session(self, config: AgentConfig) -> None:
        """End the session of a worker that is no more; that it is offline stays written at the broker."""
        link = _link(config)
        while not link.is_connected and not self._is_stopping:
            link.turn(_TURN_S)
        link.close(time.monotonic() + _GOODBYE_S, ends_session=True)

    # ------------------------------------------------------------------ processes

    def _worker(self, config: AgentConfig) -> _Worker:
        return _Worker(config, self._command)

    def _start(self, worker: _Worker, *, drains: bool = False) -> None:
        worker.start(drains=drains)
        if self._is_stopping and worker.process is not None:  # the signal came while the process was made
            worker.process.send_signal(signal.SIGTERM)

    def _forward(self, number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGHUP:
            self._is_stopping = True
            number = signal.SIGTERM
        for worker in self._running:
            if worker.process is not None and worker.process.poll() is None:
                worker.process.send_signal(number)

    def _wait(self, worker: _Worker) -> int:
        """The exit code of a worker that was told to end: the supervisor ends after the last of them."""
        if worker.process is None:
            return 0
        code = worker.process.wait()
        # Told to end before it could listen: it had not begun anything.
        return 0 if code == -signal.SIGTERM else code


def _link(config: AgentConfig) -> MqttLink:
    """The session of a worker, without the worker."""
    gateway = config.gateway
    name = "" if gateway.worker is None else "worker_"
    will = topic_for(f"{name}availability", gateway=gateway.id, worker=gateway.worker)
    barrier = topic_for(f"{name}barrier", gateway=gateway.id, worker=gateway.worker)
    offline = Availability(state="offline").model_dump_json().encode()
    return MqttLink(config, [*config.filters(), barrier], will, offline)


def _said(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def supervise(config: AgentConfig, path: Path, overrides: Sequence[str]) -> int | None:
    """The exit code of several workers; None where one agent, without a supervisor, has to go on in this process.

    Raises
    ------
    ConfigError
        If a certificate or password file cannot be used.
    OSError
        If the state folder cannot be made or written.
    """
    supervisor = Supervisor(config, path, overrides)
    code = supervisor.prepare()
    if code is not None:
        return code
    return None if config.gateway.workers == 1 else supervisor.run()
