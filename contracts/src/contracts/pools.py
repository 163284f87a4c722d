"""Pools of connections to publish over, of which a forked process closes none.

kombu's own pools are emptied in a process that was forked, and a socket that is shut down there is
so for its parent, too: each new process of a worker's pool would cut the connection over which the
worker itself reports.
"""

from typing import Any

from kombu.connection import ConnectionPool
from kombu.pools import Connections, ProducerPool, Producers, get_limit


class _ConnectionPool(ConnectionPool):
    close_after_fork = False  # the group that holds it forgets it then


class _Connections(Connections):
    def create(self, connection: Any, limit: Any) -> ConnectionPool:
        return _ConnectionPool(connection, limit=limit)


class _Producers(Producers):
    def create(self, connection: Any, limit: Any) -> ProducerPool:
        return ProducerPool(connections[connection], limit=limit)


connections = _Connections(limit=get_limit())
producers = _Producers(limit=get_limit())
