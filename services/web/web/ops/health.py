"""Whether this process can serve requests."""

from functools import cache

from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor

OK = "ok"


def readiness() -> dict[str, str]:
    """Map each thing that is needed to ``ok`` or to what is wrong with it."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return {"database": OK, "migrations": OK if _migrated() else "some are not applied"}
    except Error as error:
        return {"database": f"not reachable: {type(error).__name__}"}


class _NotMigratedError(Exception):
    """Keeps ``cache`` from remembering what may change."""


def _migrated() -> bool:
    try:
        return _look_for_migrations()
    except _NotMigratedError:
        return False


@cache
def _look_for_migrations() -> bool:
    # Only a good answer is remembered: nobody takes migrations back under a running process, but
    # a deployment may apply them while it waits.
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise _NotMigratedError
    return True
