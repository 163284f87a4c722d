"""Reports of a run's progress to the client."""

import signal
import time
from collections.abc import Callable

from billiard.pool import SIG_SOFT_TIMEOUT

from worker import task

INTERVAL = 0.3  # seconds between two reports: nobody could follow more of them


class Progress:
    """Sends a report only if the last one is old enough, so that any loop may call it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next = 0.0

    def report(self, done: int, total: int) -> None:
        """Say that ``done`` of ``total`` units of work are done.

        Frequent calls cost next to nothing. Outside of a worker, nothing is sent.
        """
        now = self._clock()
        if now >= self._next:
            self._next = now + INTERVAL
            _send(done, total)


def _send(done: int, total: int) -> None:
    # The soft time limit's signal waits until the report is sent. In the middle of a publish, it
    # would leave the connection in an unknown state for the result that follows.
    signal.pthread_sigmask(signal.SIG_BLOCK, {SIG_SOFT_TIMEOUT})
    try:
        task.report_progress(done, total)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {SIG_SOFT_TIMEOUT})


report_progress = Progress().report
