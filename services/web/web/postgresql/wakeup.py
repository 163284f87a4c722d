"""LISTEN/NOTIFY: one process tells another that there is something to do or to see.

A notification is sent after the commit, in a transaction of its own. Inside of the first one it
would take a lock, by which all commits with a notification wait for each other. If a process dies
after the commit, nothing is lost, because every listener also looks by itself now and then.
Source: https://www.postgresql.org/docs/current/sql-notify.html, and for the lock PreCommit_Notify
in PostgreSQL's src/backend/commands/async.c
"""

import threading
from functools import partial, update_wrapper
from types import TracebackType

import psycopg
import structlog
from django.db import Error, connection, transaction

from web.postgresql.connection import PatientConnection
from web.postgresql.pool import give_back

log = structlog.get_logger("web.wakeup")

OUTBOX_CHANNEL = "warren_outbox"
ANSWERS_CHANNEL = "warren_jobs"  # for tasks of all kinds; first it was for jobs only
MAX_PAYLOAD = 7_900  # bytes; PostgreSQL allows 8,000


def wake_after_commit(channel: str) -> None:
    """Notify ``channel`` once after the current transaction, however often this is called."""
    callbacks = (entry[1] for entry in connection.run_on_commit)
    if not any(isinstance(call, partial) and call.args == (channel,) for call in callbacks):
        # Django logs the name of a callback that fails; a partial by itself has none.
        transaction.on_commit(update_wrapper(partial(_wake, channel), notify), robust=True)


class Waker:
    """A thread that notifies, so that no request waits for that; what comes meanwhile is one."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._channels: set[str] = set()
        self._thread: threading.Thread | None = None

    def wake(self, channel: str) -> None:
        """Notify a channel soon."""
        with self._changed:
            self._channels.add(channel)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True, name="waker")
                self._thread.start()
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._channels)
                channels, self._channels = self._channels, set()
            try:
                for channel in channels:
                    notify(channel)
            except Error as error:
                log.warning("nobody was notified", error=str(error))
            finally:
                give_back()


_waker: Waker | None = None


def notify_in_background() -> None:
    """Let a thread of this process notify from now on: it serves many requests at a time."""
    global _waker
    _waker = Waker()


def _wake(channel: str) -> None:
    if _waker:
        _waker.wake(channel)
    else:
        notify(channel)


def notify(channel: str, payload: str = "") -> None:
    """Notify ``channel`` now."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [channel, payload])


class Listener:
    """A connection of its own that listens to one channel."""

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self._connection: psycopg.Connection | None = None

    def __enter__(self) -> "Listener":
        parameters = connection.get_connection_params()
        self._connection = PatientConnection.connect(**parameters, autocommit=True)
        self._connection.execute(f"LISTEN {self._channel}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._connection:
            self._connection.close()

    def wait(self, timeout: float) -> list[str]:
        """Return the payloads that arrive first, or an empty list after ``timeout`` seconds."""
        if self._connection is None:
            raise RuntimeError("enter the listener before waiting")
        arrived = self._connection.notifies(timeout=timeout, stop_after=1)
        return [notification.payload for notification in arrived]
