"""The pool of connections, as those see it who need none for a while."""

from django.db import connection


def give_back() -> None:
    """Give this thread's connection back, unless a transaction is open on it."""
    if not connection.in_atomic_block:
        connection.close()
