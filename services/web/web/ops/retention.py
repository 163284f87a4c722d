"""The deletion of old rows, each night. The settings ``KEEP_…`` say after how many days.

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
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Now

from web.accounts.models import RateUsage, Registration
from web.accounts.models import Session as ApiSession
from web.jobs.models import Job, JobBatch
from web.mail.models import Email
from web.mail.results import erase
from web.messaging.models import DeadLetter
from web.tasks.models import Task, TaskGroup

BATCH = 500  # rows of one transaction, which locks them


@dataclass(frozen=True)
class Rule:
    """Rows that are deleted so many days after they were made.

    Args:
        name: of the rows in the report.
        rows: those that may be deleted at all.
        since: the field from which the days count, with an index.
        days: 0 to keep the rows for ever, None to delete all of ``rows``.
    """

    name: str
    rows: QuerySet[Any]
    since: str
    days: int | None = None

    @property
    def applies(self) -> bool:
        """Whether anything is deleted; with 0 days nothing is."""
        return self.days != 0

    def old(self) -> QuerySet[Any]:
        """Select the rows to be deleted, oldest first."""
        rows = self.rows
        if self.days is not None:
            rows = rows.filter(**{f"{self.since}__lt": Now() - timedelta(days=self.days)})
        return rows.order_by(self.since)


def rules() -> Iterator[Rule]:
    """Yield all rules, with the days of the settings.

    Unfinished jobs, mails and tasks are kept, and so are dead letters that wait for an operator.
    A group, and the tasks in it, stay until the last of them has ended: a chord counts them.
    """
    handled = DeadLetter.objects.exclude(state=DeadLetter.State.WAITING)
    final = {"state__in": Task.FINAL}
    yield Rule("jobs", Job.objects.filter(**final), "created_at", settings.KEEP_JOBS)
    yield Rule("job batches", JobBatch.objects.all(), "created_at", settings.KEEP_JOBS)
    mails = Email.objects.filter(state__in=Email.FINAL)
    yield Rule("mails", mails, "created_at", settings.KEEP_MAILS)
    yield Rule("dead letters", handled, "created_at", settings.KEEP_DEAD_LETTERS)
    unfinished = Task.objects.exclude(**final)
    tasks = Task.objects.filter(~Exists(unfinished.filter(group_id=OuterRef("group_id"))), **final)
    yield Rule("tasks", tasks, "created_at", settings.KEEP_TASKS)
    groups = TaskGroup.objects.filter(~Exists(unfinished.filter(group_id=OuterRef("pk"))))
    yield Rule("groups of tasks", groups, "created_at", settings.KEEP_TASKS)
    actions = LogEntry.objects.all()
    yield Rule("actions in the admin", actions, "action_time", settings.KEEP_AUDIT)
    sessions = Session.objects.filter(expire_date__lt=Now())
    yield Rule("sessions", sessions, "expire_date")
    ended = ApiSession.objects.filter(expires_at__lt=Now())
    yield Rule("sessions of the API", ended, "expires_at")
    keys = Registration.objects.filter(created_at__lte=Now() - Registration.VALID_FOR)
    yield Rule("registrations", keys, "created_at")
    yield Rule("rates", RateUsage.objects.filter(ends_at__lt=Now()), "ends_at")


def prune(seconds: float) -> tuple[dict[str, int], bool]:
    """Delete rows that have been kept for long enough, for about so many seconds.

    Also erases contents of mails that failed long ago, in case no events of new mails do it.
    Returns the number of rows by the rule's name, and whether nothing is left.
    """
    end = time.monotonic() + seconds
    deleted: dict[str, int] = {}
    while erased := erase():
        deleted["contents of mails"] = deleted.get("contents of mails", 0) + erased
        if time.monotonic() > end:
            return deleted, False
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
    # Rows that another transaction has locked are left for the next time.
    old = rule.old().select_for_update(skip_locked=True, of=("self",))
    ids = list(old.values_list("pk", flat=True)[:BATCH])
    rule.rows.filter(pk__in=ids).delete()
    return len(ids)
