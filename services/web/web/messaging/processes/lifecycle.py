"""How web's long-running commands live: through outages, until they are told to stop."""

import signal
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import cast

import psycopg
import psycopg_pool
import structlog
from django.db import Error, InterfaceError, OperationalError
from django.db import connection as database
from kombu.exceptions import OperationalError as BrokerOperationalError

from contracts.errors import MissingTopologyError
from runtime import backoff
from web.messaging.broker.client import app

log = structlog.get_logger("web.lifecycle")

_transport = app.connection_for_write()
BROKER_ERRORS: tuple[type[Exception], ...] = (
    *cast("tuple[type[Exception], ...]", _transport.connection_errors),
    *cast("tuple[type[Exception], ...]", _transport.channel_errors),
    BrokerOperationalError,
)
PASSING: tuple[type[Exception], ...] = (*BROKER_ERRORS, MissingTopologyError)
DATABASE_ERRORS: tuple[type[Exception], ...] = (
    OperationalError,
    InterfaceError,
    psycopg.OperationalError,
    psycopg_pool.PoolTimeout,
)
# An SQLSTATE that begins like this blames the data to be written. Any other blames the server or
# its setup: a full disk, a read-only standby, a missing migration.
# Source: https://www.postgresql.org/docs/current/errcodes-appendix.html
WRONG_DATA = ("21", "22", "23", "54", "XX000")
FIRST_DELAY, LONGEST_DELAY = 0.25, 10.0  # seconds between two attempts to connect


class StopSignal:
    """Set by SIGTERM or SIGINT; true from then on.

    A signal may come while this very thread waits, or handles another. A ``threading.Event`` may
    then wait for itself for ever. ``SimpleQueue.put`` may be called at any time.
    Source: https://docs.python.org/3/library/queue.html#simplequeue-objects
    """

    def __init__(self) -> None:
        self._asked = False
        self._wakeups: SimpleQueue[None] = SimpleQueue()

    def listen(self) -> "StopSignal":
        """Take over the process's signals."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.set())
        return self

    def __bool__(self) -> bool:
        return self._asked

    def set(self) -> None:
        """Stop."""
        self._asked = True
        self._wakeups.put(None)

    def wait(self, seconds: float) -> None:
        """Sleep, but no longer than until the signal."""
        with suppress(Empty):
            self._wakeups.get(timeout=seconds)
            self._wakeups.put(None)  # for other threads, and for the next time


def is_outage(error: BaseException) -> bool:
    """Whether the database itself is at fault, and not the data to be written."""
    if not isinstance(error, (Error, psycopg.Error)):
        return False
    state: str | None = getattr(error.__cause__ or error, "sqlstate", None)
    if state:
        return not state.startswith(WRONG_DATA)
    return isinstance(error, DATABASE_ERRORS)


def keep_running(session: Callable[[], None], stop: StopSignal) -> None:
    """Repeat ``session`` with growing pauses for as long as the broker or the database is away.

    The same holds while exchanges or queues are missing, which may be declared at any time. Any
    other error ends the process: the log says why, and a supervisor starts it again.
    """
    failures = 0
    while not stop:
        started = time.monotonic()
        try:
            session()
        except Exception as error:
            if not (isinstance(error, PASSING) or is_outage(error)):
                raise
            # After a session that worked for a while this is a new outage.
            failures = 1 if time.monotonic() - started > LONGEST_DELAY else failures + 1
            delay = backoff.delay(failures, FIRST_DELAY, LONGEST_DELAY)
            say = log.error if isinstance(error, MissingTopologyError) else log.warning
            say("interrupted", error=f"{type(error).__name__}: {error}", retry_in=delay)
            database.close()
            stop.wait(delay)
