"""Giving a connection back to the pool while none is needed."""

from django.db import connection


def give_back() -> None:
    """Give this thread's connection back, unless a transaction is open on it."""
    if not connection.in_atomic_block:
        connection.close()
