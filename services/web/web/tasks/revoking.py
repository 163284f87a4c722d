"""Revoking a task, wherever it is."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

from celery.utils.functional import maybe_list
from django.db.models import F, Q

from web.messaging import outbox
from web.postgresql import clock
from web.tasks.models import Task


def note(task_id: str | Sequence[str], *, terminate: bool = False, **_: Any) -> list[UUID]:
    """Write down that tasks are revoked, within a transaction; return those that end at once.

    A worker keeps in memory what was revoked, and one that is started later knows nothing of it:
    so the row says from which run on there must be none (see ``insist``). What no relay has claimed
    yet, or nobody has sent, ends here and now.
    """
    ids = []
    for each in maybe_list(task_id) or ():
        with suppress(ValueError):  # what is no UUID is the id of none
            ids.append(UUID(str(each)))
    rows = Task.objects.select_for_update().filter(pk__in=ids, state__in=Task.UNFINISHED)
    ended = []
    for row in rows.annotate(sent=Q(message__isnull=False)).defer("message").order_by("pk"):
        running = row.state == Task.State.RUNNING
        row.revoked_from = row.attempt if running and terminate else row.attempt + 1
        if not running and (not row.sent or outbox.withdraw(row.pk)):
            row.state, row.finished_at = Task.State.CANCELLED, clock.now()
            ended.append(row.pk)
        row.save(update_fields=["revoked_from", "state", "finished_at"])
    return ended


def insist(running: Sequence[UUID]) -> None:
    """Stop those of the runs that are revoked: their workers have not heard of it."""
    revoked = Task.objects.filter(pk__in=running, revoked_from__lte=F("attempt"))
    if ids := list(revoked.values_list("pk", flat=True)):
        outbox.revoke(ids)
