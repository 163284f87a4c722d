"""Tells web that a run has begun, unless it ends within a moment: then its answer says enough."""

import threading
import time
from queue import SimpleQueue
from typing import Any

from celery.worker import state

from runtime.backoff import Pauses
from worker.backend import LONGEST_PAUSE

MOMENT = 0.05  # seconds


class Starts:
    """A thread of the worker's main process: neither a run nor another message waits for it."""

    def __init__(self) -> None:
        self._begun: SimpleQueue[Any] = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def note(self, request: Any) -> None:
        """Note that a run has begun; ``request`` is Celery's, with its ``time_start``."""
        self._begun.put((time.monotonic() + MOMENT, request))
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="starts", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            due, request = self._begun.get()
            time.sleep(max(0.0, due - time.monotonic()))
            _tell(request)


def _tell(request: Any) -> None:
    """Publish that a run has begun, until the broker has it or the run has ended."""
    pauses = Pauses(LONGEST_PAUSE)
    while request in state.active_requests and not request.tell_start():
        pauses.take(lambda: None)


starts = Starts()
