"""What one contestant reached on one problem, and where it is kept until the whole run is done."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.problems import Problem
from benchmarks.rivals import ROOT


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one contestant reached on one problem; None = not measured, and `note` says why.

    Attributes
    ----------
    accuracy : float or None
        On the test rows of the given split.
    fit_s, fit_cpu_s : float or None
        From the file on disk (rivals: from the arrays) to the fitted model.
    us_per_window : float or None
        CPU microseconds from one raw window to its label, at batch 1, on one thread.
    features_us : float or None
        The part of it that makes features, where it can be had alone.
    kib : float or None
        Of the model file; of the pickle where there is none.
    chosen : str
        What a search chose.
    note : str
    """

    accuracy: float | None = None
    fit_s: float | None = None
    fit_cpu_s: float | None = None
    us_per_window: float | None = None
    features_us: float | None = None
    kib: float | None = None
    chosen: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Contestant:
    """Who is measured.

    Attributes
    ----------
    name : str
    measure : callable
        Called with (problem, seed, folder to work in).
    sources : tuple of str
        Files and folders of this checkout whose change makes a kept outcome worthless.
    is_seeded : bool
        False: another seed gives the same.
    """

    name: str
    measure: Callable[[Problem, int, Path], Outcome]
    sources: tuple[str, ...]
    is_seeded: bool = True


class Kept:
    """Outcomes on disk, each with a digest of the code and the data it came from."""

    def __init__(self, folder: Path, *, resume: bool) -> None:
        self._folder = folder
        self._resume = resume
        self._code: dict[tuple[str, ...], str] = {}
        self.n_found = 0

    def outcome(self, contestant: Contestant, problem: Problem, seed: int, work: Path) -> Outcome:
        """What was kept of the same code and data if this run goes on with another, else what is measured now."""
        code = self._code.setdefault(contestant.sources, digest_of([ROOT / source for source in contestant.sources]))
        digest = hashlib.sha256(f"{code} {digest_of([problem.path])} {seed}".encode()).hexdigest()
        name = "-".join("".join(c if c.isalnum() else " " for c in f"{problem.name} {contestant.name} {seed}").split())
        path = self._folder / f"{name}.json"
        if self._resume and path.is_file():
            raw = json.loads(path.read_text())
            if raw.pop("digest") == digest:
                self.n_found += 1
                return Outcome(**raw)
        outcome = contestant.measure(problem, seed, work)
        # What failed or was left out is tried again by the next run.
        if outcome.accuracy is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            beside = path.with_suffix(".new")
            beside.write_text(json.dumps({"digest": digest, **asdict(outcome)}) + "\n")
            beside.replace(path)
        return outcome


def digest_of(paths: Sequence[Path]) -> str:
    """One digest over files, and over the Python files of folders."""
    digest = hashlib.sha256()
    for path in paths:
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
