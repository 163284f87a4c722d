"""The module in which Django looks for a backend: its own, with another way to connect."""

import time
from contextlib import suppress
from typing import Any

import psycopg
from django.db.backends.postgresql import base
from psycopg_pool import PoolTimeout

from web.postgresql.outage import outage

LONGEST_WAIT = 10.0  # seconds to wait for a connection while all are in use


class DatabaseWrapper(base.DatabaseWrapper):
    """Takes connections from the pool, but fails at once while the database is known to be away.

    Otherwise each request would wait in vain, and soon all threads would be waiting.
    """

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Get a connection that works. Raises psycopg.OperationalError."""
        if self.pool is None:  # the doctor, or a test run that makes or drops its database
            return super().get_new_connection(conn_params)
        if not outage.may_try():
            raise psycopg.OperationalError("the database was away a moment ago")
        deadline = time.monotonic() + LONGEST_WAIT
        while True:
            with suppress(PoolTimeout):  # a short one, so that a known outage is noticed
                connection = super().get_new_connection(conn_params)
                if connection.answers():
                    return connection
                self._renew(connection)
            if outage.known or time.monotonic() > deadline:
                raise psycopg.OperationalError("there is no connection to the database")

    def _renew(self, broken: Any) -> None:
        # A restart of the server ends all connections. The pool would find out one by one, with
        # growing pauses. Meanwhile the request would run out of time.
        self.pool.putconn(broken)
        self.pool.drain()
