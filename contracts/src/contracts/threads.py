"""A pool of threads that settles every message and that can be told to stop."""

import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

import structlog
from billiard.einfo import ExceptionInfo
from celery.concurrency import thread
from celery.platforms import EX_FAILURE, EX_OK
from celery.worker import state

log = structlog.get_logger("warren.threads")


class TaskPool(thread.TaskPool):
    """Celery's pool of threads, without two of its weaknesses.

    It keeps to itself an error that escapes from the tracing of a task: the message would stay
    with the worker, neither acknowledged nor rejected, and one for each thread makes it deaf.

    And its shutdown: ``REMAP_SIGTERM`` and the soft shutdown are made for processes. They sleep
    for the whole timeout, tasks or not, and then fail to terminate a thread. Here SIGTERM and
    SIGINT let the running tasks end, for ``worker_soft_shutdown_timeout`` seconds at most; after
    that, or with SIGQUIT, the process leaves as if killed, and the broker delivers them again.
    """

    def on_start(self) -> None:
        """Take over the signals, which Celery has set up by now."""
        self._deadline: threading.Thread | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._finish())
        signal.signal(signal.SIGQUIT, lambda *_: self._leave())

    def on_apply(self, target: Any, *args: Any, **options: Any) -> Any:
        """Run a task, and report an error that its tracing does not report."""
        result = super().on_apply(target, *args, **options)
        result.f.add_done_callback(partial(_report, options.get("error_callback")))
        return result

    def _finish(self) -> None:
        state.should_stop = EX_OK  # type: ignore[assignment]  # the stubs know None only
        if self._deadline is None:
            self._deadline = threading.Thread(target=self._leave_in_time, daemon=True)
            self._deadline.start()

    def _leave_in_time(self) -> None:
        seconds = self.app.conf.worker_soft_shutdown_timeout
        log.info("finishing what is running", seconds=seconds)
        time.sleep(seconds)
        self._leave()

    def _leave(self) -> None:
        log.warning("left with tasks running, which the broker delivers again")
        os._exit(EX_FAILURE)


def _report(error_callback: Callable[[Any], Any] | None, future: Future[Any]) -> None:
    error = None if future.cancelled() else future.exception()
    if error and error_callback:
        error_callback(ExceptionInfo((type(error), error, error.__traceback__)))
