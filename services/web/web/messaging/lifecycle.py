"""How web's long-running commands live: through outages, until they are told to stop."""

import signal
import threading
import time
from collections.abc import Callable
from typing import cast

import psycopg
import psycopg_pool
import structlog
from django.db import Error, InterfaceError, OperationalError
from django.db import connection as database
from kombu.exceptions import OperationalError as BrokerOperationalError

from contracts.errors import MissingTopologyError
from web.messaging.publisher_app import app

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
# Where PostgreSQL's SQLSTATE begins so, what was to be written is at fault. Wherever else, the
# server or who set it up: a full disk, a standby that only reads, a migration that is missing.
# Source: https://www.postgresql.org/docs/current/errcodes-appendix.html
WRONG_DATA = ("21", "22", "23", "54", "XX000")
FIRST_DELAY, LONGEST_DELAY = 0.25, 10.0  # seconds between two attempts to connect


class StopSignal:
    """Set by SIGTERM or SIGINT; true from then on."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def listen(self) -> "StopSignal":
        """Take over the process's signals."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._event.set())
        return self

    def __bool__(self) -> bool:
        return self._event.is_set()

    def set(self) -> None:
        """Stop."""
        self._event.set()

    def wait(self, seconds: float) -> None:
        """Sleep, but no longer than until the signal."""
        self._event.wait(seconds)


def is_outage(error: BaseException) -> bool:
    """Whether the database fails, whatever is to be written to it."""
    if not isinstance(error, (Error, psycopg.Error)):
        return False
    state: str | None = getattr(error.__cause__ or error, "sqlstate", None)
    if state:
        return not state.startswith(WRONG_DATA)
    return isinstance(error, DATABASE_ERRORS)


def keep_running(session: Callable[[], None], stop: StopSignal) -> None:
    """Repeat ``session`` with growing pauses for as long as the broker or the database is away.

    Also while exchanges or queues are missing, which may be declared at any time. Anything else
    that it raises ends the process: a supervisor starts it anew and the log says why.
    """
    delay = FIRST_DELAY
    while not stop:
        started = time.monotonic()
        try:
            session()
        except Exception as error:
            if not (isinstance(error, PASSING) or is_outage(error)):
                raise
            if time.monotonic() - started > LONGEST_DELAY:
                delay = FIRST_DELAY  # it has worked meanwhile: this is another outage
            say = log.error if isinstance(error, MissingTopologyError) else log.warning
            say("interrupted", error=f"{type(error).__name__}: {error}", retry_in=delay)
            database.close()
            stop.wait(delay)
            delay = min(delay * 2, LONGEST_DELAY)
