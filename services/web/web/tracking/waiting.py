"""Waiting for the answer to a task without asking again and again."""

import threading
import time
from collections.abc import Sequence
from typing import TypeVar
from uuid import UUID

import psycopg
import structlog
from django.db import Error as DatabaseError
from django.db import connection, transaction

from web.postgresql.pool import give_back
from web.postgresql.wakeup import ANSWERS_CHANNEL, MAX_PAYLOAD, Listener, notify
from web.tracking.models import AnsweredTask

Row = TypeVar("Row", bound=AnsweredTask)
log = structlog.get_logger("web.waiting")
IDLE = 60.0  # seconds without anybody waiting after which the thread ends
RECHECK = 2.0  # seconds after which a waiter looks by itself, for a notification may get lost


class InsideTransactionError(RuntimeError):
    """A caller waits in a transaction, although the task may be sent only by its commit."""


class Watch:
    """One thread per process listens for answers and wakes those who wait for them.

    It ends when nobody has waited for ``IDLE`` seconds, and starts again for the next waiter.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._listening = threading.Event()
        self._stopping = False
        self._waiters: dict[str, set[threading.Event]] = {}

    def wait(self, task: Row, seconds: float) -> Row:
        """Return the task when it is final or the time is up. Raises InsideTransactionError."""
        if task.is_final:
            return task
        if connection.in_atomic_block:
            raise InsideTransactionError("wait for an answer after the transaction, not in it")
        answered = threading.Event()
        deadline = time.monotonic() + seconds
        try:
            self._add(str(task.pk), answered)
            self._listening.wait(min(seconds, RECHECK))  # answers from now on are heard
            return self._watch(task, answered, deadline)
        finally:
            self._remove(str(task.pk), answered)

    def stop(self) -> None:
        """End the thread, which takes a second or two."""
        with self._lock:
            thread, self._stopping = self._thread, True
        if thread:
            thread.join()

    def _watch(self, task: Row, answered: threading.Event, deadline: float) -> Row:
        rows = type(task)._default_manager
        while True:
            state = rows.values_list("state", flat=True).get(pk=task.pk)
            remaining = deadline - time.monotonic()
            if state in task.FINAL or remaining <= 0:
                return rows.get(pk=task.pk)
            give_back()
            answered.wait(min(remaining, RECHECK))

    def _add(self, task_id: str, answered: threading.Event) -> None:
        with self._lock:
            self._waiters.setdefault(task_id, set()).add(answered)
            if self._thread is None:
                self._stopping = False
                self._thread = threading.Thread(target=self._run, daemon=True, name="answers")
                self._thread.start()

    def _remove(self, task_id: str, answered: threading.Event) -> None:
        with self._lock:
            self._waiters[task_id].discard(answered)
            if not self._waiters[task_id]:
                del self._waiters[task_id]

    def _run(self) -> None:
        while not self._may_end():
            try:
                with Listener(ANSWERS_CHANNEL) as listener:
                    self._listening.set()
                    self._listen(listener)
            except (psycopg.Error, DatabaseError) as error:
                log.warning("not listening for answers", error=str(error))
                time.sleep(RECHECK)
            finally:
                self._listening.clear()

    def _listen(self, listener: Listener) -> None:
        idle_since = time.monotonic()
        while not self._stopping and time.monotonic() - idle_since < IDLE:
            for payload in listener.wait(1.0):
                self._wake(payload.split(","))
            if self._waiters:
                idle_since = time.monotonic()

    def _may_end(self) -> bool:
        with self._lock:  # nobody can begin to wait between the question and the end
            may_end = self._stopping or not self._waiters
            if may_end:
                self._thread = None
        return may_end

    def _wake(self, task_ids: list[str]) -> None:
        with self._lock:
            for task_id in task_ids:
                for answered in self._waiters.get(task_id, ()):
                    answered.set()


watch = Watch()


def tell_after_commit(ids: Sequence[UUID]) -> None:
    """Wake those who wait for the answers to some tasks, after the current transaction."""
    transaction.on_commit(lambda: _tell([str(pk) for pk in ids]), robust=True)


def _tell(ids: Sequence[str]) -> None:
    per_notification = MAX_PAYLOAD // 37  # a UUID and a comma
    for start in range(0, len(ids), per_notification):
        notify(ANSWERS_CHANNEL, ",".join(ids[start : start + per_notification]))
