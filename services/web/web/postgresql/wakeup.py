"""LISTEN/NOTIFY: one process tells another that there is something to do or to see.

A notification is sent after the commit, by itself: inside of a transaction it would take a lock
that makes all commits of the database wait for each other. If a process dies between the two,
nothing is lost, because every listener also looks by itself now and then.
Source: https://www.postgresql.org/docs/current/sql-notify.html, and for the lock PreCommit_Notify
in PostgreSQL's src/backend/commands/async.c
"""

from functools import partial, update_wrapper
from types import TracebackType

import psycopg
from django.db import connection, transaction

from web.postgresql.connection import PatientConnection

OUTBOX_CHANNEL = "warren_outbox"
ANSWERS_CHANNEL = "warren_jobs"  # of tasks of all kinds; it was of jobs first
MAX_PAYLOAD = 7_900  # bytes; PostgreSQL allows 8,000


def wake_after_commit(channel: str) -> None:
    """Notify ``channel`` once after the current transaction, however often this is called."""
    callbacks = (entry[1] for entry in connection.run_on_commit)
    if not any(isinstance(call, partial) and call.args == (channel,) for call in callbacks):
        # Django wants the name of what fails, which a partial by itself does not have.
        transaction.on_commit(update_wrapper(partial(notify, channel), notify), robust=True)


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
        """Return the payloads of what arrives first, or nothing after ``timeout`` seconds."""
        if self._connection is None:
            raise RuntimeError("enter the listener before waiting")
        arrived = self._connection.notifies(timeout=timeout, stop_after=1)
        return [notification.payload for notification in arrived]
