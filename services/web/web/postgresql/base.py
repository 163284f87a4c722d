"""Where Django looks for a backend: its own, with another way to get a connection."""

import time
from contextlib import suppress
from typing import Any

import psycopg
from django.db.backends.postgresql import base
from psycopg_pool import PoolTimeout

from web.postgresql.outage import outage

LONGEST_WAIT = 10.0  # seconds for a connection, if all are in use: a rush is over by then


class DatabaseWrapper(base.DatabaseWrapper):
    """Takes connections from the pool, but fails at once while the database is known to be away.

    Otherwise every request would wait in vain, and soon no thread would be left for any other.
    """

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Get a connection that works. Raises psycopg.OperationalError."""
        if self.pool is None:  # the doctor, or a test run that makes or drops its database
            return super().get_new_connection(conn_params)
        if not outage.may_try():
            raise psycopg.OperationalError("the database was away a moment ago")
        deadline = time.monotonic() + LONGEST_WAIT
        while True:
            with suppress(PoolTimeout):  # after a short while, to see what is known by now
                connection = super().get_new_connection(conn_params)
                if connection.answers():
                    return connection
                self._renew(connection)
            if outage.known or time.monotonic() > deadline:
                raise psycopg.OperationalError("there is no connection to the database")

    def _renew(self, broken: Any) -> None:
        # What ended one connection, such as a restart, has ended them all. psycopg_pool would find
        # out one by one, with growing pauses, and a request would run out of time meanwhile.
        self.pool.putconn(broken)
        self.pool.drain()
