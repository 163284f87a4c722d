"""Jobs, mails and other tasks that make no progress."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, Exists, F, Max, Min, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Now

from contracts import topology
from web.jobs.models import Job
from web.mail.models import Email
from web.messaging.inbox.workers import alive, held
from web.messaging.models import OutboxMessage
from web.ops.doctor.finding import Finding, warn, well
from web.postgresql import clock
from web.tasks.models import Task

# A message that waits in the broker for longer is worth a warning.
PATIENCE = timedelta(minutes=10)
# A task that a worker has in hand is in its reports, of which several come within this time.
SILENCE = timedelta(minutes=1)
MENDED = "the reconciler mends it by itself: see its log, and `workers`"


def look_at_jobs() -> Iterator[Finding]:
    """Find jobs that no worker has in hand, and runs beyond their time limit."""
    jobs = Job.objects.annotate(since=F("started_at"))
    troubles = [*_nowhere("jobs", jobs, Job.State.RUNNING), *_overdue()]
    yield from troubles or [well("each that waits or runs is where it should be")]


def look_at_mails() -> Iterator[Finding]:
    """Find mails that no worker has in hand, and the mail server's answers to those retried."""
    mails = Email.objects.annotate(since=Max("attempts__at"))
    troubles = [*_nowhere("mails", mails, Email.State.SENDING), *_retrying()]
    yield from troubles or [well("each that waits is where it should be, none is tried again")]


def look_at_tasks() -> Iterator[Finding]:
    """Find tasks without a table of their own that no worker has in hand."""
    # A task without a message is sent after others have ended.
    sent = Task.objects.exclude(message=None)
    tasks = sent.annotate(since=F("started_at"))
    troubles = list(_nowhere("tasks", tasks, Task.State.RUNNING))
    yield from troubles or [well("each that waits or runs is where it should be")]


def _nowhere(what: str, rows: QuerySet[Any], running: str) -> Iterator[Finding]:
    """Find rows whose message is neither in the outbox nor in a worker's hands."""
    in_outbox = OutboxMessage.objects.filter(task_id=OuterRef("pk"))
    nowhere = rows.exclude(Exists(in_outbox)).exclude(pk__in=_held())
    since = nowhere.filter(state=running, since__lt=Now() - SILENCE)
    if runs := since.count():
        yield warn(f"{runs} {what} are {running}, but no worker has them in hand", MENDED)
    waiting = nowhere.filter(state="queued", dispatched_at__lt=Now() - PATIENCE)
    found = waiting.aggregate(count=Count("pk"), oldest=Min("dispatched_at"))
    if found["count"]:
        minutes = (clock.now() - found["oldest"]).total_seconds() / 60
        yield warn(
            f"{found['count']} {what} wait for a worker, the oldest for {minutes:.0f} minutes",
            "see `queues`; what is in no queue the reconciler sends again",
        )


def _overdue() -> Iterator[Finding]:
    longest = Value(timedelta(seconds=1)) * F("time_limit") + SILENCE
    overdue = Q(state=Job.State.RUNNING, started_at__lt=Now() - longest)
    if runs := Job.objects.filter(overdue).count():
        yield warn(f"{runs} jobs run for longer than their limit allows", MENDED)


def _retrying() -> Iterator[Finding]:
    retrying = Email.objects.filter(state=Email.State.RETRYING).order_by()
    rows = retrying.values("answer").annotate(count=Count("id"), at=Min("next_attempt_at"))
    for row in rows.order_by("-count")[:3]:
        at = f", the next at {row['at']:%H:%M:%S}" if row["at"] else ""
        yield warn(
            f"{row['count']} mails are tried again{at}; last answer: {row['answer'][:200]}",
            "ask the mail server's operator, if its words do not say what to do",
        )


def _held() -> set[UUID]:
    return held(worker for service in topology.SERVICES for worker in alive(service))
