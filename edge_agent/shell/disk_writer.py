"""The one thread that waits for the disk, so that the loop never does: an fsync of an SD card takes 5 to 50 ms.

Whoever stores something hands over a job with everything it needs and looks later for what came of it. Jobs run one
after another, in the order in which they were handed over.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue
from time import monotonic

log = logging.getLogger(__name__)

Job = Callable[[], None]


class DiskWriter:
    """Runs jobs in a thread of its own, which starts with the first one.

    Examples
    --------
    >>> writer, done = DiskWriter(), []
    >>> writer.submit(lambda: done.append("written"))
    >>> writer.close(longest_s=5.0), done
    (True, ['written'])
    """

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def submit(self, job: Job) -> None:
        """Hand over a job; it must not raise: what goes wrong is part of its result."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="disk-writer", daemon=True)
            self._thread.start()
        self._jobs.put(job)

    def wait(self, longest_s: float) -> bool:
        """Return when everything handed over so far is done; False when the time was up first."""
        if self._thread is None:
            return True
        reached = threading.Event()
        self._jobs.put(reached.set)
        return reached.wait(longest_s)

    def close(self, longest_s: float) -> bool:
        """Finish what was handed over and end; False when the disk did not answer in time, which is not waited for."""
        thread, self._thread = self._thread, None
        if thread is None:
            return True
        self._jobs.put(None)
        until_s = monotonic() + longest_s
        thread.join(max(0.0, until_s - monotonic()))
        return not thread.is_alive()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception as error:  # noqa: BLE001 - the thread must outlive any job: labels wait for the next one
                log.error("a write to the disk failed: %s: %s", type(error).__name__, error)  # noqa: TRY400 - one line
