"""Keeping a process of the pool from using or closing its parent's connections to the database.

Celery closes Django's pools before the fork only if its pool is called prefork, and then again for
each task (celery/fixups/django.py). Here a forked process forgets them once, and makes its own.
"""

import os
from typing import Any

from django.db import connections
from django.db.backends.postgresql.base import DatabaseWrapper

_kept: list[Any] = []  # the parent's: garbage collection would close them


def forget_connections() -> None:
    """Forget all connections and pools, and close none."""
    pools: dict[str, Any] = DatabaseWrapper._connection_pools  # type: ignore[attr-defined]
    _kept.append(dict(pools))
    pools.clear()
    opened: Any = connections._connections  # type: ignore[attr-defined]
    for alias in connections:
        if hasattr(opened, alias):
            _kept.append(getattr(opened, alias))
            delattr(opened, alias)


def forget_in_children() -> None:
    """Call ``forget_connections`` in each process that is forked from now on."""
    os.register_at_fork(after_in_child=forget_connections)
