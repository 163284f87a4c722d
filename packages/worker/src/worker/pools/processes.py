"""A pool of processes whose time limits count only the work itself."""

import gc
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

# For each process of the pool, the time at which it began its work, or 0 if it is not at work. The
# processes write it, their parent reads it: CLOCK_MONOTONIC is the same for all.
_begun = memoryview(mmap.mmap(-1, 8 * MOST_PROCESSES)).cast("d")


@contextmanager
def at_work() -> Iterator[None]:
    """Count the block against the time limits. A process that was forked in it exits at its end."""
    process = os.getpid()
    _note(time.monotonic())
    try:
        yield
    finally:
        if os.getpid() != process:  # a fork would answer, too, over the same connections
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
    """Celery's pool, but time limits do not count how long a run waits for the broker.

    In Celery they do. A run that is done would fail at its hard limit while the broker does not
    take its result.
    """

    # Celery's stubs do not know of these.
    _cache: Any
    _process_by_pid: Any
    _tref_for_id: Any
    maintain_pool: Any

    @property
    def timers(self) -> dict[Any, float]:
        """Replace dead processes each second. In Celery, their runs wait for up to 5 seconds."""
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
    """Celery's pool of processes with the limits of ``Pool``."""

    Pool = Pool

    def on_start(self) -> None:
        """Fork them; the garbage collector will not write to what they share with their parent."""
        gc.collect()
        gc.freeze()
        super().on_start()
