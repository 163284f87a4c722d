"""The living workers, by the reports that they send over the exchanges of results."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from psycopg.types.json import Jsonb

from contracts.events import WorkerReport
from web.messaging.models import Worker
from web.messaging.processes import lives
from web.messaging.processes.lives import Life

SEEN = timedelta(seconds=30)  # a worker that has not reported for so long counts as away
FORGOTTEN_AFTER = timedelta(days=1)
# ``seen_at`` is when the report is stored, by the database's clock: workers' clocks may be wrong.
UPSERT = """
    INSERT INTO messaging_worker (node, service, seen_at, clock_offset, holding, checks)
    SELECT node, service, statement_timestamp(),
        EXTRACT(EPOCH FROM at - statement_timestamp()), holding, checks
    FROM unnest(%(node)s::text[], %(service)s::text[], %(at)s::timestamptz[],
                %(holding)s::jsonb[], %(checks)s::jsonb[])
        AS report (node, service, at, holding, checks)
    ORDER BY node
    ON CONFLICT (node) DO UPDATE SET
        service = excluded.service, seen_at = excluded.seen_at,
        clock_offset = excluded.clock_offset, holding = excluded.holding, checks = excluded.checks
"""


def record(reports: Iterable[WorkerReport]) -> None:
    """Store reports and lives of workers, inside of the collector's transaction.

    Of several reports of one worker the last one to arrive counts.
    """
    reports = list(reports)
    latest = {report.worker: report for report in reports}
    if not latest:
        return
    with connection.cursor() as cursor:
        cursor.execute(UPSERT, _columns(latest.values()))
    lives.record(_lives(latest.values()))
    lives.forget(_lives(each for each in reports if each.stopped))
    away = Q(node__in=[node for node, report in latest.items() if report.stopped])
    Worker.objects.filter(away | Q(seen_at__lt=Now() - FORGOTTEN_AFTER)).delete()


def alive(service: str) -> QuerySet[Worker]:
    """Select the workers of a service that have reported within the last ``SEEN``."""
    return Worker.objects.filter(service=service, seen_at__gte=Now() - SEEN)


def held(workers: Iterable[Worker]) -> set[UUID]:
    """Collect the ids of the tasks that workers have in hand."""
    return {UUID(task_id) for worker in workers for task_id in worker.holding}


def _lives(reports: Iterable[WorkerReport]) -> list[Life]:
    return [
        (report.service, report.worker, report.started_at)
        for report in reports
        if report.started_at
    ]


def _columns(reports: Iterable[WorkerReport]) -> dict[str, list[Any]]:
    rows = [
        {
            "node": report.worker,
            "service": report.service,
            "at": report.at,
            "holding": Jsonb(report.holding),
            "checks": Jsonb(report.checks),
        }
        for report in reports
    ]
    return {name: [row[name] for row in rows] for name in rows[0]}
