"""Pools of connections for publishing that a forked process leaves open.

A forked process empties kombu's own pools. A socket that it shuts down is shut down for its parent,
too. So each new process of a worker's pool would cut the connection over which the worker reports.
"""

from typing import Any

from kombu.connection import ConnectionPool
from kombu.pools import Connections, ProducerPool, Producers, get_limit


class _ConnectionPool(ConnectionPool):
    close_after_fork = False  # instead, kombu's group of pools forgets it


class _Connections(Connections):
    def create(self, connection: Any, limit: Any) -> ConnectionPool:
        return _ConnectionPool(connection, limit=limit)


class _Producers(Producers):
    def create(self, connection: Any, limit: Any) -> ProducerPool:
        return ProducerPool(connections[connection], limit=limit)


connections = _Connections(limit=get_limit())
producers = _Producers(limit=get_limit())
