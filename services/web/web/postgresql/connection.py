"""A connection that does not wait for ever, and says alike of all troubles that they will pass."""

import time
from typing import Any, Self

import psycopg
from django.conf import settings
from psycopg import errors
from psycopg_pool import ConnectionPool

from web.postgresql.outage import outage

CHECK = 3.0  # seconds for a sign of life
MARGIN = 2.0  # seconds: the server, if it is alive, is the first to give up on a statement
# Whoever reads may go on, but nothing can be stored: for instance on a replica, in a failover.
# Or it has ended a transaction that stood still, which an operator may have told it to do.
# PostgreSQL counts these among the errors that only a wrong program sees.
PASSING = (errors.ReadOnlySqlTransaction, errors.IdleInTransactionSessionTimeout)


class NoAnswerError(psycopg.OperationalError):
    """The server was silent for longer than it may take for anything."""


class PassingError(psycopg.OperationalError):
    """What the server says in ``PASSING``, in its words."""


class PatientConnection(psycopg.Connection[Any]):
    """Gives up a server that is silent, and keeps ``outage`` up to date.

    A frozen server, or one behind a network that drops packets, never answers, and neither libpq
    nor ``statement_timeout``, which is the server's own, ever ends the wait for it.
    """

    _limit: float | None = None

    @classmethod
    def connect(cls, conninfo: str = "", **parameters: Any) -> Self:
        """Connect, and remember how that went."""
        try:
            opened = super().connect(conninfo, **parameters)
        except psycopg.OperationalError:
            outage.begin()
            raise
        outage.end()
        return opened

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait for one answer; psycopg calls this for each statement.

        Raises NoAnswerError, after which the connection is closed: an answer that came late would
        be taken for that to the next statement. Raises PassingError too.
        """
        if timeout is not None:  # that of notifies(), whose silence means nothing
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
        return answer

    def answers(self) -> bool:
        """Whether the server is there, after at most ``CHECK`` seconds."""
        self._limit = CHECK
        try:
            ConnectionPool.check_connection(self)
        except psycopg.Error:
            return False
        finally:
            self._limit = None
        return True
