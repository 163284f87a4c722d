"""PostgreSQL: its connections, disk, long transactions, clock and migrations."""

import time
from collections.abc import Iterator
from typing import Any

from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor

from web.ops.doctor.finding import Finding, problem, warn, well

CLOCK_SECONDS = 5.0  # tolerance of clocks
LONG_SECONDS = 60  # age of a transaction; web's own end within moments
CROWDED = 0.9  # of the connections that PostgreSQL takes
SERVER = """
    SELECT current_setting('server_version'), current_setting('max_connections')::int,
        (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')
"""
# Only sessions of this role, because it cannot see the details of others.
SESSIONS = """
    SELECT pid, state, extract(epoch FROM now() - xact_start)::int AS seconds
    FROM pg_stat_activity
    WHERE xact_start < now() - make_interval(secs => %s) AND usename = current_user
    ORDER BY xact_start
"""


def look_at_server() -> Iterator[Finding]:
    """Ask for its version and connections, and have it write a table that vanishes at once."""
    started = time.monotonic()
    version, most, used = _rows(SERVER)[0]
    milliseconds = (time.monotonic() - started) * 1000
    # This makes and extends a file, which fails on a full disk and on a standby.
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE warren_doctor ON COMMIT DROP AS SELECT 1")
    found = f"{version.split()[0]} answers in {milliseconds:.0f} ms, {used} of {most} connections"
    if used >= CROWDED * most:
        yield warn(found, "raise max_connections, or lower DATABASE_POOL_SIZE of web's processes")
    else:
        yield well(found)


def look_at_sessions() -> Iterator[Finding]:
    """Find transactions that stay open: they hold locks and keep VACUUM from old rows."""
    sessions = _rows(SESSIONS, LONG_SECONDS)
    for pid, state, seconds in sessions:
        yield warn(
            f"session {pid} is in a transaction for {seconds} s ({state})",
            f"if nobody knows it, end it: SELECT pg_terminate_backend({pid})",
        )
    if not sessions:
        yield well(f"no transaction is older than {LONG_SECONDS} s")


def look_at_clock() -> Iterator[Finding]:
    """Compare this machine's clock with the database's, which decides about all times."""
    before = time.time()
    theirs = float(_rows("SELECT extract(epoch FROM clock_timestamp())")[0][0])
    yield judge_clock(theirs, before, time.time())


def judge_clock(theirs: float, before: float, after: float) -> Finding:
    """Judge this machine's clock: the database said ``theirs`` between ``before`` and ``after``.

    All three are in seconds since 1970.
    """
    offset = (before + after) / 2 - theirs
    if abs(offset) - (after - before) / 2 > CLOCK_SECONDS:
        side = "before" if offset > 0 else "behind"
        return problem(
            f"this machine's clock is {abs(offset):.0f} s {side} the database's",
            "synchronize both by NTP; tokens expire at the wrong time until then",
        )
    return well(f"as the database's, within {max(abs(offset), 0.1):.1f} s")


def look_at_migrations() -> Iterator[Finding]:
    """Name the migrations that have not been applied."""
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    missing = [f"{migration.app_label}.{migration.name}" for migration, _ in plan]
    if missing:
        yield problem(
            f"not applied: {', '.join(missing)}",
            "`docker compose run --rm migrate`, or `manage.py migrate`",
        )
    else:
        yield well("all are applied")


def _rows(query: str, *parameters: int) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return cursor.fetchall()
