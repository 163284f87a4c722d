"""Whether this process can serve requests."""

from functools import cache
from typing import Any

from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor

from web.ops import backlog

OK = "ok"
DEGRADED = "degraded"
NOT_READY = "not ready"


def readiness() -> dict[str, Any]:
    """Say whether the database and its migrations are there, and how much waits in the outbox.

    A backlog makes web ``degraded``, but still ready: it accepts work while the broker is away. A
    balancer must not take web out of service for that. Otherwise every client would see an outage
    of the broker, which now none sees.

    Returns a document with ``status``, ``checks`` and, if the database answers, ``outbox``.
    """
    try:
        if not _migrated():
            return _state(NOT_READY, migrations="some are not applied")
        found = backlog.measure()
    except Error as error:
        return _state(NOT_READY, database=f"not reachable: {type(error).__name__}")
    outbox = {"due": found.due, "oldest_seconds": round(found.oldest, 1)}
    return _state(DEGRADED if found.late else OK) | {"outbox": outbox}


def _state(status: str, **wrong: str) -> dict[str, Any]:
    if "database" not in wrong:
        wrong = {"database": OK, "migrations": OK} | wrong
    return {"status": status, "checks": wrong}


class _NotMigratedError(Exception):
    """Raised instead of a bad answer, which ``cache`` would remember."""


def _migrated() -> bool:
    try:
        return _look_for_migrations()
    except _NotMigratedError:
        return False


@cache
def _look_for_migrations() -> bool:
    # Only a good answer is remembered. Nobody takes migrations back under a running process, but a
    # deployment may apply missing ones while the process waits.
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise _NotMigratedError
    return True
