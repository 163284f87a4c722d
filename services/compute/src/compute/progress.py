"""How far a run has come, told to the client."""

import signal
import time
from collections.abc import Callable

from billiard.pool import SIG_SOFT_TIMEOUT

from contracts import execution

INTERVAL = 0.3  # seconds between two reports: more than a person can see is a waste of messages


class Progress:
    """Sends a report when the last one is old enough, so that it may be called in any loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next = 0.0

    def report(self, done: int, total: int) -> None:
        """Say that ``done`` of ``total`` units of work are done.

        Costs next to nothing when called too often; outside of a worker it does nothing.
        """
        now = self._clock()
        if now >= self._next:
            self._next = now + INTERVAL
            _send(done, total)


def _send(done: int, total: int) -> None:
    # A soft time limit in the middle of a publish would leave the connection in an unknown state
    # for the result that follows: it waits until the report is out.
    signal.pthread_sigmask(signal.SIG_BLOCK, {SIG_SOFT_TIMEOUT})
    try:
        execution.report_progress(done, total)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {SIG_SOFT_TIMEOUT})


report_progress = Progress().report
