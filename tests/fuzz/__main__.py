"""The long form: so many payloads over every codec, one table, exit code 0 only if nothing broke."""

import argparse
import resource
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil

from tests.fuzz.mutation import Mutator

if TYPE_CHECKING:
    from tests.fuzz.judge import Judge

MAX_SLOPE_BYTES = 8.0
"""Memory per payload over the second half of the run: a leak keeps at least an object of each of them."""

_SHOWN = 20
_STEPS_NS = (3_600 * 10**9, -3_600 * 10**9, 60 * 86_400 * 10**9, -60 * 86_400 * 10**9, -(2**62), 1_795 * 10**15)


def main() -> int:
    """0 = nothing broke; 1 = counterexamples were printed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--payloads", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--coverage", type=int, metavar="SECONDS", help="atheris instead, for so long")
    parser.add_argument("--corpus", type=Path, help="folder in which atheris keeps what it found")
    arguments = parser.parse_args()
    if arguments.coverage:
        from tests.fuzz.coverage import run

        run(arguments.coverage, arguments.corpus)
    return _run(arguments.payloads, arguments.seed)


def _run(n_payloads: int, seed: int) -> int:
    from tests.fuzz.judge import Findings, judges

    warnings.simplefilter("error")  # a warning is a line on standard error that nobody counts
    findings = Findings()
    engines = judges(findings)
    mutator = Mutator(seed)
    process = psutil.Process()
    memory: list[tuple[int, int]] = []
    started_s = time.process_time()
    every = max(1, n_payloads // 100)
    for at in range(n_payloads):
        if at % every == 0:
            memory.append((at, process.memory_info().rss))
        play(engines, mutator, at)
    memory.append((n_payloads, process.memory_info().rss))
    cpu_s = time.process_time() - started_s
    half = memory[len(memory) // 2 :]
    slope = float(np.polyfit([at for at, _ in half], [rss for _, rss in half], 1)[0])
    counters = [judge.engine.counters for judge in engines]
    rows = {
        "payloads": f"{findings.n_payloads:,} over {len(engines)} codecs, seed {seed}",
        "windows, gaps": f"{findings.n_windows:,}, {findings.n_gaps:,}",
        "refused": f"{sum(findings.reasons.values()):,}",
        **{f"  {reason}": f"{count:,}" for reason, count in findings.reasons.most_common()},
        "retained": f"{sum(counter.retained for counter in counters):,}",
        "devices let go": f"{sum(counter.evicted for counter in counters):,}",
        "memory": f"{memory[0][1] / 2**20:.1f} -> {memory[-1][1] / 2**20:.1f} MiB (peak "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.1f}), {slope:+.2f} bytes a payload",
        "processor time": f"{cpu_s:.0f} s",
        "broken": f"{len(findings.broken)}",
    }
    width = max(map(len, rows))
    for name, text in rows.items():
        sys.stdout.write(f"{name:<{width}}  {text}\n")
    for problem in findings.broken[:_SHOWN]:
        sys.stdout.write(f"{problem}\n")
    is_flat = n_payloads < 100_000 or slope < MAX_SLOPE_BYTES
    if not is_flat:
        sys.stdout.write(f"memory grows by {slope:.1f} bytes a payload: at most {MAX_SLOPE_BYTES:g} expected\n")
    return 0 if is_flat and not findings.broken and findings.n_payloads == n_payloads else 1


def play(engines: Sequence["Judge"], mutator: Mutator, at: int) -> None:
    """One payload for one codec in turn; now and then time passes or the wall clock jumps."""
    judge = engines[at % len(engines)]
    judge.feed(mutator.topic(), mutator.payload(judge.name), retained=at % 97 == 0)
    if at % 211 == 0:
        judge.tick()
    if at % 1999 == 0:
        judge.step_clock(_STEPS_NS[at // 1999 % len(_STEPS_NS)])


if __name__ == "__main__":
    sys.exit(main())
