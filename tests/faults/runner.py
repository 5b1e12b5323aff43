"""Runs one row: a site, a stream, injections at random moments, and the verdict when nothing more can come."""

import contextlib
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.faults.faults import Fault, MountRefusedError, Span, small_disk
from tests.faults.publisher import Account
from tests.faults.site import AgentError, Setting, Site
from tests.faults.verdict import Verdict, Window, covered_windows, judge, read_accepted

_USUAL = Setting()
_NOTHING = Verdict(0, 0, 0, 0, 0, 0, 0)
_WARM_S = 1.5
_TAIL_S = 2.0
_MOST_BEHIND_S = 5.0
_STILL_S = 45.0
_UNCHANGED_S = 5.0
_POLL_S = 0.25


@dataclass
class Outcome:
    """What a row gave, while its site still stands."""

    row: "Row"
    site: Site
    fault: Fault
    verdict: Verdict
    account: Account
    injections: int
    seconds: float
    notes: dict[str, float | int | str] = field(default_factory=dict)

    @property
    def rate_hz(self) -> float:
        """Samples accepted a second, while they were published."""
        return self.account.accepted / self.account.seconds if self.account.seconds else 0.0


Check = Callable[[Outcome], str | None]
"""What does not hold, in one line; None = it holds."""


@dataclass(frozen=True)
class Row:
    """One row of the scoreboard.

    Attributes
    ----------
    number : str
        Of the scoreboard, with a letter where there are several.
    fault, injected, holds : str
        As they stand in the documentation.
    build : callable
        Makes the fault for the folder of a run.
    checks : sequence of Check
    long, short : int
        Injections of ``make faults`` and of ``make test``; short 0 = not there.
    pause_s : (float, float)
        Between two injections.
    disk : (role, size) or None
        What stands on a small file system of its own.
    """

    number: str
    fault: str
    injected: str
    holds: str
    build: Callable[[Path], Fault]
    checks: Sequence[Check]
    long: int
    short: int = 0
    pause_s: Span = (0.3, 1.5)
    setting: Setting = _USUAL
    disk: tuple[Literal["store", "state"], str] | None = None


@dataclass(frozen=True)
class Result:
    """One line of the table."""

    number: str
    fault: str
    injections: int
    verdict: Verdict | None
    seconds: float
    rate_hz: float
    failures: tuple[str, ...]
    notes: dict[str, float | int | str]
    skipped: str = ""


def run_row(row: Row, injections: int, folder: Path, seed: int = 7) -> Result:
    """Run it; never raises for what the agent does, only for what the test itself cannot do."""
    began_s = time.monotonic()
    try:
        with contextlib.ExitStack() as stack:
            disks: dict[str, Path] = {}
            if row.disk is not None:
                role, size = row.disk
                disks[role] = stack.enter_context(small_disk(folder / "disk", size))
            site = stack.enter_context(Site(folder, row.setting, **disks))
            outcome = _play(row, site, injections, random.Random(seed), began_s)
            failures = tuple(found for check in row.checks if (found := check(outcome)) is not None)
    except AgentError as error:
        seconds = time.monotonic() - began_s
        return Result(row.number, row.fault, injections, _NOTHING, seconds, 0.0, (" ".join(str(error).split()),), {})
    except MountRefusedError as error:
        return Result(row.number, row.fault, 0, None, 0.0, 0.0, (), {}, skipped=str(error))
    return Result(
        row.number,
        row.fault,
        outcome.injections,
        outcome.verdict,
        outcome.seconds,
        outcome.rate_hz,
        failures,
        outcome.notes,
    )


def _play(row: Row, site: Site, injections: int, chance: random.Random, began_s: float) -> Outcome:
    site.start_consumer()
    site.start_agent()
    site.wait_for_agent()
    fault = row.build(site.folder)
    site.start_publisher()
    time.sleep(_WARM_S)
    fault.start(site)
    for _ in range(injections):
        time.sleep(chance.uniform(*row.pause_s))
        fault.inject(site, chance)
        site.wait_while_behind(_MOST_BEHIND_S)
    fault.stop(site)
    time.sleep(_TAIL_S)  # the stream must go on: only later samples can show that earlier ones are missing
    account = site.finish_publisher()
    verdict, n_untold = settle(site)
    outcome = Outcome(row, site, fault, verdict, account, injections, time.monotonic() - began_s)
    if site.testimony.broker_dropped:
        outcome.notes["dropped by the broker"] = site.testimony.broker_dropped
    if n_untold:
        outcome.notes["untold until the devices spoke again"] = n_untold
    return outcome


def settle(site: Site) -> tuple[Verdict, int]:
    """The verdict, and how many windows were silent when the stream ended and until every device spoke again.

    Only a later sample can show that earlier ones are missing, so what is lost at the very end of a stream is declared
    when the stream goes on: where anything is silent, it goes on for a window.
    """
    covered = covered_windows(site.plant, read_accepted(site.accepted))
    n_untold = _wait(site, covered).silent
    if n_untold:
        site.speak_again()
        _wait(site, covered)
    return judge(site.plant, covered, site.testimony, site.models), n_untold


def _wait(site: Site, covered: set[Window]) -> Verdict:
    """Wait for what may still come: until all is whole, or nothing has changed for a while.

    A while = 5 s where nothing is silent, else longer than the longest delay between two tries of a label (30 s).
    """
    changed_s = time.monotonic()
    before: Verdict | None = None
    while True:
        site.testimony.read()
        verdict = judge(site.plant, covered, site.testimony, None)
        now_s = time.monotonic()
        if verdict != before:
            before, changed_s = verdict, now_s
        if verdict.whole == verdict.windows or now_s - changed_s > (_STILL_S if verdict.silent else _UNCHANGED_S):
            return verdict
        time.sleep(_POLL_S)
