"""A reload, from the wish to the proof: what would run next is read and proven while the old agent goes on.

Nothing is taken up before all of it is good: the configuration, every model with its golden windows, the certificates.
That work is done in a thread, so that the loop does not wait for it; a problem is one line in the log, and nothing
changes.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

from edge_agent.config import AgentConfig
from edge_agent.config_sources import load_config
from edge_agent.operation.watch import FileWatch, Stamp, files_of, secrets_digest, stamp
from edge_agent.shell.assembly import Assembled, assemble
from edge_agent.shell.mqtt_client import build_client
from edge_agent.shell.service import Reloads
from schemas import ConfigError

log = logging.getLogger(__name__)

Kind = Literal["unchanged", "swapped", "replaced"]


class Candidate(NamedTuple):
    """What would run after a reload, all of it proven.

    Attributes
    ----------
    config : AgentConfig
    pipelines : sequence of Assembled
    secrets : str
        Digest over password and certificates.
    """

    config: AgentConfig
    pipelines: Sequence[Assembled]
    secrets: str


class Source(NamedTuple):
    """Where the configuration comes from, every time."""

    file: Path
    overrides: Sequence[str]
    environment: Mapping[str, str]


def read(source: Source, stamps: dict[Path, Stamp]) -> AgentConfig:
    """The configuration as it is now; ``stamps`` gets every file that it names, as it is before it is read.

    Raises
    ------
    ConfigError
        Every problem of it.
    """
    stamps[source.file] = stamp(source.file)
    config = load_config(source.file, source.environment, source.overrides)
    stamps.update((path, stamp(path)) for path in files_of(source.file, config) if path not in stamps)
    return config


def prove(source: Source, config: AgentConfig, stamps: Mapping[Path, Stamp]) -> Candidate:
    """What would run with the files as they are now.

    Raises
    ------
    ConfigError
        Every pipeline, certificate, password and folder that cannot be used; or a file that changed meanwhile.
    """
    secrets = secrets_digest(config)
    pipelines = assemble(config, str(source.file))
    build_client(config, is_5=True, will=None)
    config.mqtt.password()
    folder = config.gateway.state_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problem = f"gateway.state_dir: a folder that can be written expected, got {folder}: {error.strerror}"
        raise ConfigError(str(source.file), [problem]) from error
    if changed := [path for path, earlier in stamps.items() if stamp(path) != earlier]:
        raise ConfigError(str(source.file), [f"files at rest expected, {changed[0]} changed while it was read"])
    return Candidate(config, pipelines, secrets)


def compare(old: Candidate, new: Candidate) -> Kind:
    """What a reload from one to the other takes: nothing, other models in place, or another agent.

    Models are swapped in place where the windows stay what they are: the same grid, topics, mappings and deadlines, and
    nothing else changed that the agent was built with. Then its open windows stay open.
    """
    digests = [[assembled.info for assembled in candidate.pipelines] for candidate in (old, new)]
    if (old.config, old.secrets) == (new.config, new.secrets) and digests[0] == digests[1]:
        return "unchanged"
    if (_frame(old.config), old.secrets, _specs(old)) == (_frame(new.config), new.secrets, _specs(new)):
        return "swapped"
    return "replaced"


def _frame(config: AgentConfig) -> AgentConfig:
    """The configuration without what a running agent takes up by itself: model files, status and reload."""
    pipelines = [pipeline.model_copy(update={"model": pipeline.model and Path()}) for pipeline in config.pipelines]
    defaults = {name: AgentConfig.model_fields[name].default for name in ("status", "reload")}
    return config.model_copy(update={"pipelines": pipelines, **defaults})


def _specs(candidate: Candidate) -> list[object]:
    """How each pipeline cuts windows; from which share of values on a window is answered belongs to the model."""
    return [replace(assembled.pipeline.spec, min_present=0.0) for assembled in candidate.pipelines]


class Reloader:
    """Reloads on SIGHUP, and where the configuration says so when a file changed.

    Parameters
    ----------
    source : Source
    current : Candidate
        What runs.
    reloads : Reloads
        Counted here.
    stamps : dict
        The files of what runs, as they were before they were read.

    Attributes
    ----------
    current : Candidate
    refusal : str
        Why the last reload was refused; empty if what is on the disk is what runs.
    """

    def __init__(self, source: Source, current: Candidate, reloads: Reloads, stamps: Mapping[Path, Stamp]) -> None:
        self.current = current
        self.refusal = ""
        self._source = source
        self._reloads = reloads
        self._is_asked = False
        self._watch = FileWatch(stamps)
        self._work: _Proof | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a candidate is being proven."""
        return self._work is not None

    def ask(self) -> None:
        """Reload soon; may be called by a signal handler."""
        self._is_asked = True

    def begins(self, now_s: float) -> bool:
        """Whether a reload begins with this turn."""
        is_wanted = self.current.config.reload.watch and self._watch.has_changed(now_s)
        if self._work is not None or not (is_wanted or self._is_asked):
            # A change that came to rest while another reload is being proven: look again after it.
            self._is_asked = self._is_asked or is_wanted
            return False
        log.info("reloading: %s", "asked by SIGHUP" if self._is_asked else "a file changed")
        self._is_asked = False
        self._work = _Proof(self._source)
        return True

    def ends(self) -> tuple[Kind, Candidate] | Literal["refused"] | None:
        """How the reload ended, once: what to do now, or that it was refused; None while there is none to end."""
        work = self._work
        if work is None or not work.is_done:
            return None
        self._work = None
        # Also what a refused candidate would have read: it may be good when that file changes.
        self._watch.follow(work.stamps, files_of(self._source.file, self.current.config))
        if work.candidate is None:
            self.refuse(work.problems)
            return "refused"
        kind, self.refusal = compare(self.current, work.candidate), ""
        if kind == "unchanged":
            log.info("reloaded: nothing changed")
        return kind, work.candidate

    def refuse(self, problems: Sequence[str]) -> None:
        """Count a reload that would not have worked, and say why."""
        self._reloads.refused += 1
        self.refusal = problems[0]
        for problem in problems:
            log.error("reload refused, the agent goes on as it was: %s", problem, extra={"reason": "reload_refused"})

    def done(self, kind: Kind, candidate: Candidate) -> None:
        """The candidate runs."""
        self.current = candidate
        self._reloads.done[kind] += 1
        names = ", ".join(f"{assembled.pipeline.name} ({assembled.ref})" for assembled in candidate.pipelines)
        how = "models swapped, open windows kept" if kind == "swapped" else "agent replaced, same session at the broker"
        log.info("reloaded: %s: %s", how, names)


class _Proof:
    """One candidate on its way, in a thread of its own."""

    def __init__(self, source: Source) -> None:
        self.candidate: Candidate | None = None
        self.problems: list[str] = []
        self.stamps: dict[Path, Stamp] = {}
        self._source = source
        self._thread = threading.Thread(target=self._run, name="reload", daemon=True)
        self._thread.start()

    @property
    def is_done(self) -> bool:
        """Whether there is a candidate or a problem."""
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            config = read(self._source, self.stamps)
            self.candidate = prove(self._source, config, self.stamps)
        except ConfigError as error:
            self.problems = [f"{error.where}: {problem}" for problem in error.problems]
        except Exception as error:  # noqa: BLE001 - whatever a file makes a library raise, the agent goes on as it was
            self.problems = [f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"]
