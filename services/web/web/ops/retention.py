"""How long what has ended is kept: days by settings, 0 for ever; the rest is deleted each night.

Source of the batches: https://www.postgresql.org/docs/current/sql-delete.html (its note on LIMIT)
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from web.accounts.models import RateUsage, Registration
from web.jobs.models import Job
from web.mail.models import Email
from web.messaging.models import DeadLetter
from web.tasks.models import Task, TaskGroup

BATCH = 500  # rows of one transaction, which locks them


@dataclass(frozen=True)
class Rule:
    """What is deleted: rows that have ended, so many days after they were made.

    Args:
        name: for the report.
        rows: which may be deleted at all.
        since: the field that the days count from; it has an index.
        days: None if the rows themselves say when they have had their time.
    """

    name: str
    rows: QuerySet[Any]
    since: str
    days: int | None = None

    @property
    def applies(self) -> bool:
        """Whether anything is deleted: 0 days are for ever."""
        return self.days != 0

    def old(self) -> QuerySet[Any]:
        """Select what is to be deleted, oldest first."""
        rows = self.rows
        if self.days is not None:
            rows = rows.filter(**{f"{self.since}__lt": Now() - timedelta(days=self.days)})
        return rows.order_by(self.since)


def rules() -> Iterator[Rule]:
    """Yield them all, as the settings say.

    What is not finished, and dead letters about which nobody has decided, are kept.
    """
    handled = DeadLetter.objects.exclude(state=DeadLetter.State.WAITING)
    ended = {"state__in": Task.FINAL}
    yield Rule("jobs", Job.objects.filter(**ended), "created_at", settings.KEEP_JOBS)
    mails = Email.objects.filter(state__in=Email.FINAL)
    yield Rule("mails", mails, "created_at", settings.KEEP_MAILS)
    yield Rule("dead letters", handled, "created_at", settings.KEEP_DEAD_LETTERS)
    yield Rule("tasks", Task.objects.filter(**ended), "created_at", settings.KEEP_TASKS)
    groups = TaskGroup.objects.all()
    yield Rule("groups of tasks", groups, "created_at", settings.KEEP_TASKS)
    actions = LogEntry.objects.all()
    yield Rule("actions in the admin", actions, "action_time", settings.KEEP_AUDIT)
    sessions = Session.objects.filter(expire_date__lt=Now())
    yield Rule("sessions", sessions, "expire_date")
    keys = Registration.objects.filter(created_at__lte=Now() - Registration.VALID_FOR)
    yield Rule("registrations", keys, "created_at")
    yield Rule("rates", RateUsage.objects.filter(ends_at__lt=Now()), "ends_at")


def prune(seconds: float) -> tuple[dict[str, int], bool]:
    """Delete what has been kept for long enough, for about so many seconds.

    Returns how many rows of each kind, and whether that was all.
    """
    end = time.monotonic() + seconds
    deleted: dict[str, int] = {}
    for rule in rules():
        while rule.applies:
            count = _delete_some(rule)
            if count:
                deleted[rule.name] = deleted.get(rule.name, 0) + count
            if count < BATCH:
                break
            if time.monotonic() > end:
                return deleted, False
    return deleted, True


@transaction.atomic
def _delete_some(rule: Rule) -> int:
    # What somebody else has locked is left for the next time.
    old = rule.old().select_for_update(skip_locked=True, of=("self",))
    ids = list(old.values_list("pk", flat=True)[:BATCH])
    rule.rows.filter(pk__in=ids).delete()
    return len(ids)
