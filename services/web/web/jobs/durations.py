"""How long the runs of each computation take, so that small jobs can be told from others."""

import time
from collections.abc import Sequence
from uuid import UUID

from django.db import connection

EVERY = 1.0  # seconds between two looks of a collector
# The new mean counts for a third. A computation that another collector looks at is left to it: to
# wait for it could end in a deadlock.
UPDATE = """
    WITH seen AS (
        SELECT computation AS name, avg(EXTRACT(EPOCH FROM finished_at - started_at)) AS seconds
        FROM jobs_job WHERE id = ANY(%s) AND finished_at >= started_at GROUP BY computation
    ), free AS (
        SELECT name FROM jobs_computation WHERE name IN (SELECT name FROM seen)
        FOR UPDATE SKIP LOCKED
    )
    UPDATE jobs_computation AS computation
    SET expected = seen.seconds / 3 + COALESCE(computation.expected, seen.seconds) * 2 / 3
    FROM seen JOIN free USING (name) WHERE computation.name = seen.name
"""

_next_look = 0.0


def note(job_ids: Sequence[UUID]) -> None:
    """Take jobs that have just ended into account, in the caller's transaction: a sample of them.

    Without a look in each batch it costs next to nothing.
    """
    global _next_look
    now = time.monotonic()
    if now >= _next_look:
        _next_look = now + EVERY
        with connection.cursor() as cursor:
            cursor.execute(UPDATE, [list(job_ids)])
