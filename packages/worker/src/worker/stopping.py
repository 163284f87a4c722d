"""How a worker stops: it finishes what it can in time, and gives the rest back."""

import os
import signal
import threading
import time
from typing import Any

import structlog
from celery import bootsteps
from celery.platforms import EX_FAILURE, EX_OK
from celery.worker import state

log = structlog.get_logger("warren.stopping")

LOOK_EVERY = 0.25  # seconds between two looks at what is still running
GIVING_BACK = 5.0  # seconds for it; the broker then takes back the rest


class Stopping(bootsteps.StartStopStep):
    """Take over SIGTERM and SIGINT from Celery, whose soft shutdown sleeps in the signal's handler.

    While it sleeps, Celery sends no heartbeats, acknowledges nothing and watches no time limit. It
    sleeps to the end even if the last task is done at once. Here the worker goes on as usual, but
    takes no more messages. It ends when nothing is running. After ``worker_soft_shutdown_timeout``
    seconds it gives the rest back, and GIVING_BACK seconds later its process exits in any case.
    SIGQUIT ends it at once, as if killed.
    """

    requires = ("celery.worker.components:Pool", "celery.worker.components:Timer")

    def __init__(self, worker: Any, **_: Any) -> None:
        self._end: float | None = None
        self._idle_looks = 0

    def start(self, worker: Any) -> None:
        """Replace the signal handlers, which Celery has set by now."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._begin(worker))
        signal.signal(signal.SIGQUIT, lambda *_: _leave())
        worker.timer.call_repeatedly(LOOK_EVERY, self._look, (worker,))

    def _begin(self, worker: Any) -> None:
        if self._end is None:
            seconds = worker.app.conf.worker_soft_shutdown_timeout
            self._end = time.monotonic() + seconds
            threading.Thread(target=_leave_after, args=(seconds,), daemon=True).start()
            worker.consumer.end()

    def _look(self, worker: Any) -> None:
        if self._end is None:
            return
        worker.consumer.take_no_more()
        # Two looks: at the first, the last task's acknowledgement may not be sent yet.
        self._idle_looks = 0 if state.reserved_requests else self._idle_looks + 1
        if self._idle_looks > 1:
            state.should_stop = EX_OK  # type: ignore[assignment]  # the stubs know None only
        elif time.monotonic() > self._end:
            for request in tuple(state.reserved_requests):
                request.give_back(worker.pool)


def _leave_after(seconds: float) -> None:
    log.info("finishing what is running", seconds=seconds)
    time.sleep(seconds + GIVING_BACK)
    _leave()


def _leave() -> None:
    # The pool's processes are killed with this one, see celery/concurrency/prefork.py.
    log.warning("left with tasks running")
    os._exit(EX_FAILURE)
