"""The figures for Prometheus, read from the database with each scrape.

Counters in memory would be those of one process of web, and each scrape may reach another one.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from django.db.models import Count, QuerySet
from django.db.models.functions import Now
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from contracts import topology
from web.jobs.models import Job
from web.mail.models import Email
from web.messaging.inbox.workers import alive
from web.messaging.models import DeadLetter, OutboxMessage
from web.ops import backlog
from web.tasks.models import Task


class Figures(Collector):
    """Gauges of unfinished work. Indexes serve the counts, however many rows have ended."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Count. Raises one of Django's database errors, so that a scrape fails visibly."""
        found = backlog.measure()
        scheduled = OutboxMessage.objects.filter(due_at__gt=Now()).count()
        yield _gauge("outbox_due", "Messages to be published now", found.due)
        yield _gauge("outbox_oldest_due_seconds", "How long the oldest is due", found.oldest)
        yield _gauge("outbox_scheduled", "Messages to be published later", scheduled)
        jobs, mails = Job.objects.all(), Email.objects.all()
        yield _by("jobs", "Unfinished jobs", "state", _counts(jobs, "state", Job.UNFINISHED))
        yield _by("mails", "Unfinished mails", "state", _counts(mails, "state", Email.UNFINISHED))
        tasks = _counts(Task.objects.all(), "state", Task.UNFINISHED)
        yield _by("tasks", "Unfinished tasks without a table of their own", "state", tasks)
        waiting = DeadLetter.objects.filter(state=DeadLetter.State.WAITING)
        reasons = waiting.order_by().values_list("reason").annotate(Count("pk"))
        yield _by("dead_letters", "Dead letters that wait", "reason", reasons)
        workers = ((service, alive(service).count()) for service in topology.SERVICES)
        yield _by("workers", "Workers that report", "service", workers)

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Name nothing: registering must not ask the database when the module is imported."""
        return ()


REGISTRY = CollectorRegistry()
REGISTRY.register(Figures())


def _gauge(name: str, meaning: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"warren_{name}", meaning, value=value)


def _by(
    name: str, meaning: str, label: str, counts: Iterable[tuple[str, int]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"warren_{name}", meaning, labels=[label])
    for value, count in counts:
        family.add_metric([value], count)
    return family


def _counts(rows: QuerySet[Any], column: str, values: Iterable[str]) -> Iterable[tuple[str, int]]:
    """Count the rows of each value, also of values that do not occur."""
    some = rows.order_by().filter(**{f"{column}__in": list(values)})
    found = dict(some.values_list(column).annotate(Count("pk")))
    return ((value, found.get(value, 0)) for value in values)
