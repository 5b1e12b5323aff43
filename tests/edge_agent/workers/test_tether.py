import os
import subprocess
import sys

import pytest

from edge_agent.workers.tether import PARENT_VARIABLE

WORKER = """
import time
from edge_agent.workers.tether import end_with_parent
end_with_parent()
print("on", flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="prctl is of Linux")
@pytest.mark.parametrize(("parent", "lives"), [(os.getpid, True), (lambda: 1, False)])
def test_worker_whose_supervisor_died_before_it_could_ask_ends_at_once(parent: object, lives: bool) -> None:
    assert callable(parent)
    environment = {**os.environ, PARENT_VARIABLE: str(parent())}
    with subprocess.Popen([sys.executable, "-c", WORKER], env=environment, stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        said = worker.stdout.readline()
        worker.kill()
    assert said == (b"on\n" if lives else b"")
