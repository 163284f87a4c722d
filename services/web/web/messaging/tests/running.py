"""Relays and collectors at work in threads, as their commands run them."""

import threading
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from django.db import connection
from structlog.testing import capture_logs

from runtime.liveness import LivenessFile
from tests.support.polling import DEADLINE, poll
from web.messaging.processes.lifecycle import StopSignal, keep_running

Session = Callable[[StopSignal, LivenessFile], None]


def waits_for_a_lock() -> bool:
    """Whether any transaction waits for another one."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT FROM pg_locks WHERE NOT granted")
        return cursor.fetchone() is not None


class Running:
    """One of them, and what is logged meanwhile."""

    def __init__(self, session: Session, log: list[MutableMapping[str, Any]]) -> None:
        self._session = session
        self.log = log
        self.stop = StopSignal()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            keep_running(partial(self._session, self.stop, LivenessFile("")), self.stop)
        finally:
            connection.close()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def said(self, *words: str) -> list[str]:
        """What was logged with all these words in it."""
        lines = [str(record) for record in self.log]
        return [line for line in lines if all(word in line for word in words)]

    def hear(self, *words: str, times: int = 1) -> None:
        """Wait until something has been logged so often."""
        poll(
            lambda: self.said(*words),
            lambda said: len(said) >= times,
            what=f"{words}, {times} times",
            explain=lambda: self.log,
        )

    def end(self) -> None:
        """Tell it to stop, and wait until it has."""
        self.stop.set()
        self._thread.join(DEADLINE)
        assert not self.alive, "it does not stop"


@contextmanager
def running(session: Session, until: str = "connected") -> Iterator[Running]:
    """Run one for a while, once it has said something."""
    with capture_logs() as log:
        started = Running(session, log)
        try:
            started.hear(until)
            yield started
        finally:
            started.end()
