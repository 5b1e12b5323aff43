"""Memory of a burst goes back to the system, although what lives longer stands between its pieces."""

import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, sys
from edge_agent.operation.allocator import TRIM_EVERY_S, Allocator

if not hasattr(ctypes.CDLL(None), "malloc_trim"):
    sys.exit(77)
resident = lambda: int(open("/proc/self/statm").read().split()[1]) * 4096
allocator = Allocator()
kept, before = [], resident()
for _ in range(100):
    burst = [bytes(3000) for _ in range(100)]
    kept.append(bytes(700))
    del burst[:50]
    kept += burst[:1]
    kept.append(burst)
most = resident() - before
kept = [one for one in kept if isinstance(one, bytes)]
allocator.turn(TRIM_EVERY_S)
after = resident() - before
allocator.turn(TRIM_EVERY_S + 1.0)
print(most, after)
"""


def test_what_a_burst_took_is_given_back_from_between_what_stays() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=60)
    if ended.returncode == 77:
        pytest.skip("the C library has no malloc_trim")
    most, after = map(int, ended.stdout.split())
    assert most > 8_000_000, ended.stderr
    assert after < most / 4
