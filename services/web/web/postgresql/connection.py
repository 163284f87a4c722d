"""A connection that limits its waiting, and reports each passing fault as OperationalError."""

import select
import time
from math import inf
from typing import Any, Self

import psycopg
from django.conf import settings
from psycopg import errors
from psycopg_pool import ConnectionPool

from web.postgresql.outage import outage

CHECK = 3.0  # seconds for a sign of life
RECENT = 1.0  # seconds after which one is wanted
MARGIN = 2.0  # seconds after statement_timeout: a living server is the first to give up
# The server is read-only, for instance a replica in a failover. Or it has ended a transaction that
# stood still, as an operator may have set it up to do. In both cases psycopg raises InternalError,
# as for a fault of the program.
PASSING = (errors.ReadOnlySqlTransaction, errors.IdleInTransactionSessionTimeout)


class NoAnswerError(psycopg.OperationalError):
    """The server was silent for longer than any statement may take."""


class PassingError(psycopg.OperationalError):
    """An error of ``PASSING``, in the server's words."""


class PatientConnection(psycopg.Connection[Any]):
    """Gives up a server that is silent, and keeps ``outage`` up to date.

    A frozen server, or one behind a network that drops packets, never answers. The library libpq
    would wait for ever. ``statement_timeout`` does not help: the server itself has to enforce it.
    """

    _limit: float | None = None
    _answered_at = -inf  # by time.monotonic()

    @classmethod
    def connect(cls, conninfo: str = "", **parameters: Any) -> Self:
        """Connect, and note in ``outage`` whether that worked."""
        try:
            opened = super().connect(conninfo, **parameters)
        except psycopg.OperationalError:
            outage.begin()
            raise
        outage.end()
        return opened

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait for one answer; psycopg calls this for each statement.

        Raises PassingError, and NoAnswerError if none comes in time. The connection is closed then:
        a late answer would be taken for that to the next statement.
        """
        if timeout is not None:  # a call of notifies(), where silence is normal
            return super().wait(gen, interval, timeout)
        limit = self._limit or settings.DATABASE_STATEMENT_TIMEOUT + MARGIN
        began = time.monotonic()
        try:
            answer = super().wait(gen, interval, limit)
        except PASSING as error:
            raise PassingError(str(error)) from error
        except psycopg.OperationalError as error:
            if time.monotonic() - began < limit:
                raise
            self.pgconn.finish()
            outage.begin()
            raise NoAnswerError(f"no answer from the database for {limit:.0f} s") from error
        outage.end()
        self._answered_at = time.monotonic()
        return answer

    def answers(self) -> bool:
        """Whether the server answers within ``CHECK`` seconds, or has answered a moment ago.

        A server that ends, or ends the connection, says so: then there is something to read.
        """
        if time.monotonic() - self._answered_at < RECENT and not self._has_word():
            return True
        self._limit = CHECK
        try:
            ConnectionPool.check_connection(self)
        except psycopg.Error:
            return False
        finally:
            self._limit = None
        return True

    def _has_word(self) -> bool:
        poller = select.poll()
        poller.register(self.pgconn.socket, select.POLLIN)
        return bool(poller.poll(0))
