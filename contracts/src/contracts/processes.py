"""A pool of processes whose time limits hold for the work alone."""

import mmap
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from billiard import current_process
from celery import signals
from celery.concurrency import prefork
from celery.concurrency.asynpool import AsynPool
from celery.platforms import EX_OK
from kombu.asynchronous import get_event_loop

LOOK_AGAIN = 1.0  # seconds until the next look at a process that is not at work
REPLACE_EVERY = 1.0  # seconds between two looks for processes that have ended
MOST_PROCESSES = 4096

# When each process of the pool began with its work, by the clock that all processes share
# (CLOCK_MONOTONIC), or 0 if it is not at work. It is written by them and read by their parent.
_begun = memoryview(mmap.mmap(-1, 8 * MOST_PROCESSES)).cast("d")


@contextmanager
def at_work() -> Iterator[None]:
    """Let the time limits hold for the block, from which only the process that began it returns."""
    process = os.getpid()
    _note(time.monotonic())
    try:
        yield
    finally:
        if os.getpid() != process:  # a fork of it would answer too, over the same connections
            os._exit(EX_OK)
        _note(0)


def _note(begun: float) -> None:
    index = getattr(current_process(), "index", MOST_PROCESSES)  # a thread's process has none
    if index < MOST_PROCESSES:
        _begun[index] = begun


@signals.worker_process_init.connect
def _forget_predecessor(**_: Any) -> None:
    _note(0)


class Pool(AsynPool):
    """Celery's pool, which counts the time that a run waits for the broker, too.

    A run whose result nobody takes would fail at its hard limit, although it is done; one that
    could not tell that it has started, before it began.
    """

    # Celery's stubs do not know of these.
    _cache: Any
    _process_by_pid: Any
    _tref_for_id: Any
    maintain_pool: Any

    @property
    def timers(self) -> dict[Any, float]:
        """Look more often than Celery, where a run whose process has died waits for 5 seconds."""
        return {self.maintain_pool: REPLACE_EVERY}

    def _on_soft_timeout(self, job: int, soft: float, hard: float, hub: Any) -> None:
        if wait := self._time_left(job, soft):
            again = hub.call_later(wait, self._on_soft_timeout, job, soft, hard, hub)
            self._tref_for_id[job] = again
        else:
            super()._on_soft_timeout(job, soft, hard, hub)  # type: ignore[misc]

    def _on_hard_timeout(self, job: int) -> None:
        hard = self._cache[job]._timeout if job in self._cache else 0
        if wait := self._time_left(job, hard):
            hub: Any = get_event_loop()
            self._tref_for_id[job] = hub.call_later(wait, self._on_hard_timeout, job)
        else:
            super()._on_hard_timeout(job)  # type: ignore[misc]

    def _time_left(self, job: int, limit: float) -> float:
        run = self._cache.get(job)
        process, _ = self._process_by_pid(run._worker_pid) if run else (None, None)
        if process is None or process.index >= MOST_PROCESSES:
            return 0
        begun = _begun[process.index]
        return max(0, begun + limit - time.monotonic()) if begun else LOOK_AGAIN


class TaskPool(prefork.TaskPool):
    """Celery's pool of processes with those limits."""

    Pool = Pool
