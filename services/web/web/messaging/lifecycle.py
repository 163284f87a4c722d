"""How web's long-running commands live: through outages, until they are told to stop."""

import signal
import threading
import time
from collections.abc import Callable
from typing import cast

import psycopg
import psycopg_pool
import structlog
from django.db import InterfaceError, OperationalError, close_old_connections
from django.db import connection as database
from kombu.exceptions import OperationalError as BrokerOperationalError

from web.messaging.publisher_app import app

log = structlog.get_logger("web.lifecycle")

_transport = app.connection_for_write()
BROKER_ERRORS: tuple[type[Exception], ...] = (
    *cast("tuple[type[Exception], ...]", _transport.connection_errors),
    *cast("tuple[type[Exception], ...]", _transport.channel_errors),
    BrokerOperationalError,
)
DATABASE_ERRORS: tuple[type[Exception], ...] = (
    OperationalError,
    InterfaceError,
    psycopg.OperationalError,
    psycopg_pool.PoolTimeout,
)
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


def keep_running(session: Callable[[], None], stop: StopSignal) -> None:
    """Repeat ``session`` with growing pauses for as long as the broker or the database is away.

    Anything else that it raises ends the process: a supervisor starts it anew and the log says why.
    """
    delay = FIRST_DELAY
    while not stop:
        started = time.monotonic()
        try:
            session()
        except (*BROKER_ERRORS, *DATABASE_ERRORS) as error:
            log.warning("interrupted", error=f"{type(error).__name__}: {error}", retry_in=delay)
            if time.monotonic() - started > LONGEST_DELAY:
                delay = FIRST_DELAY  # it has worked meanwhile: this is another outage
            close_old_connections()
            database.close()
            stop.wait(delay)
            delay = min(delay * 2, LONGEST_DELAY)
