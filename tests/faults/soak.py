"""The soak: a long stream with faults at random moments, and what the agent takes of the machine meanwhile.

In the first two thirds every fault may strike; in the last third the agent is never killed, so that one process lives
long enough for the slopes of its memory and of its file descriptors to mean something.
"""

import random
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

from tests.faults.faults import AnyOf, KillAgent, KillBoth, KillBroker, RestartBroker, StopBroker, SwapModel
from tests.faults.runner import settle
from tests.faults.site import Setting, Site
from tests.faults.verdict import Verdict

SAMPLE_S = 10.0
_PAUSE_S = (5.0, 25.0)
_SETTLED_S = 20.0
_DEVICES = 20
_DAY_S = 86_400.0
_MOST_MIB_PER_H = 10.0
_MOST_FDS_PER_H = 2.0
_LEAST_SAMPLES = 12


@dataclass
class Usage:
    """Samples of one process of the agent: seconds of the soak, resident MiB, open files, bytes written to disk."""

    rows: list[tuple[float, float, int, int]] = field(default_factory=list)

    def slope_per_h(self, column: int) -> float:
        """Of the straight line through the samples."""
        table = np.array(self.rows, dtype=np.float64)
        return float(np.polyfit(table[:, 0], table[:, column], 1)[0]) * 3600.0


@dataclass
class SoakReport:
    """What the soak gave; ``text`` is Markdown."""

    verdict: Verdict
    text: str
    failures: tuple[str, ...]


class Watch:
    """Looks at the agent every 10 s, whichever process it is by then."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._began_s = self._next_s = time.monotonic()
        self._since_s: dict[int, float] = {}
        self.lives: dict[int, Usage] = {}
        self.written: dict[int, int] = {}

    def pause(self, seconds: float) -> None:
        """Wait so long, looking when it is time."""
        until_s = time.monotonic() + seconds
        while (now_s := time.monotonic()) < until_s:
            if now_s >= self._next_s:
                self._next_s = now_s + SAMPLE_S
                self._look(now_s)
                self._site.testimony.read()
            time.sleep(max(0.0, min(until_s, self._next_s) - time.monotonic()))

    def _look(self, now_s: float) -> None:
        pid = self._site.agent.pid
        try:
            process = psutil.Process(pid)
            resident, n_files = process.memory_info().rss / 2**20, process.num_fds()
            written = process.io_counters().write_bytes
        except psutil.Error:
            return
        self.written[pid] = written
        if now_s - self._since_s.setdefault(pid, now_s) >= _SETTLED_S:
            self.lives.setdefault(pid, Usage()).rows.append((now_s - self._began_s, resident, n_files, written))

    @property
    def longest(self) -> Usage:
        """Of the process that was looked at most often."""
        return max(self.lives.values(), key=lambda usage: len(usage.rows), default=Usage())


def soak(folder: Path, *, minutes: float, rate_hz: int = 2_000, seed: int = 7) -> SoakReport:
    """Run for so long and report; the folder is empty."""
    chance = random.Random(seed)
    setting = Setting(n_devices=_DEVICES, step_ms=max(1, round(1000 * _DEVICES / rate_hz)))
    all_faults = AnyOf(
        [KillAgent(), KillAgent(), KillBroker(), KillBoth(), RestartBroker(), StopBroker((1.0, 5.0)), SwapModel()]
    )
    broker_faults = AnyOf([KillBroker(), RestartBroker(), StopBroker((1.0, 5.0)), SwapModel(kill_share=0.0)])
    injected = 0
    with Site(folder, setting) as site:
        site.start_consumer()
        site.start_agent()
        site.wait_for_agent()
        site.start_publisher()
        watch = Watch(site)
        began_s = time.monotonic()
        length_s = 60.0 * minutes
        while (passed_s := time.monotonic() - began_s) < length_s:
            watch.pause(min(chance.uniform(*_PAUSE_S), length_s - passed_s))
            is_last_third = time.monotonic() - began_s > length_s * 2 / 3
            (broker_faults if is_last_third else all_faults).inject(site, chance)
            injected += 1
        watch.pause(5.0)
        account = site.finish_publisher()
        verdict, _ = settle(site)
        state_bytes = sum(path.stat().st_size for path in site.state.rglob("*") if path.is_file())
        seconds = time.monotonic() - began_s
    return _report(verdict, watch, injected, account.accepted, seconds, state_bytes, site.n_agent_starts)


def _report(
    verdict: Verdict, watch: Watch, injected: int, accepted: int, seconds: float, state_bytes: int, n_starts: int
) -> SoakReport:
    failures = []
    if verdict.silent or verdict.wrong:
        failures.append(f"silent {verdict.silent}, wrong {verdict.wrong}")
    lines = [
        ("minutes", f"{seconds / 60:.1f}"),
        ("samples accepted, each second", f"{accepted:,}, {accepted / seconds:,.0f}"),
        ("faults, starts of the agent", f"{injected:,}, {n_starts:,}"),
        ("windows, whole, partial, gaps", ", ".join(f"{count:,}" for count in verdict[:4])),
        ("**silent, wrong**", f"**{verdict.silent:,}, {verdict.wrong:,}**"),
        ("duplicates", f"{verdict.duplicates:,}"),
        ("bytes the agent wrote to disk, a day", f"{sum(watch.written.values()) / seconds * _DAY_S / 1e6:,.0f} MB"),
        ("state folder at the end", f"{state_bytes:,} bytes"),
    ]
    usage = watch.longest
    if len(usage.rows) >= _LEAST_SAMPLES:
        resident = [row[1] for row in usage.rows]
        slopes = usage.slope_per_h(1), usage.slope_per_h(2)
        lines += [
            ("longest life of one process", f"{(usage.rows[-1][0] - usage.rows[0][0]) / 60:.1f} minutes"),
            ("resident memory, first, last, most", f"{resident[0]:.1f}, {resident[-1]:.1f}, {max(resident):.1f} MiB"),
            ("slope of resident memory", f"{slopes[0]:+.2f} MiB an hour"),
            ("open files, first, last", f"{usage.rows[0][2]}, {usage.rows[-1][2]}"),
            ("slope of open files", f"{slopes[1]:+.2f} an hour"),
        ]
        if slopes[0] > _MOST_MIB_PER_H:
            failures.append(f"at most {_MOST_MIB_PER_H:g} MiB an hour expected, got {slopes[0]:.1f}")
        if slopes[1] > _MOST_FDS_PER_H:
            failures.append(f"at most {_MOST_FDS_PER_H:g} open files more an hour expected, got {slopes[1]:.1f}")
    lines.append(("held", "**no**: " + "; ".join(failures) if failures else "yes"))
    rows = [("what", "figure"), ("---", "---"), *lines]
    return SoakReport(verdict, "\n".join(f"| {name} | {value} |" for name, value in rows), tuple(failures))
