"""Revoking a task, wherever it is."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

from celery.utils.functional import maybe_list
from django.db.models import F, Q

from web.messaging.outbox import outbox
from web.postgresql import clock
from web.tasks.models import Task


def note(task_id: str | Sequence[str], *, terminate: bool = False, **_: Any) -> list[UUID]:
    """Store in the rows that tasks are revoked, within a transaction; return the ended ones.

    Workers keep revoked ids in memory, and one that starts later does not know them. So the row
    holds the first run that must not be, and ``revoke_again`` is called for it. A task ends at once
    if it was not sent yet, or if no relay has claimed its message.
    """
    ids = []
    for each in maybe_list(task_id) or ():
        with suppress(ValueError):  # an id that is not a valid UUID is no task's
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


def revoke_again(running: Sequence[UUID]) -> None:
    """Revoke running tasks again if their rows say so: their workers do not know of it."""
    revoked = Task.objects.filter(pk__in=running, revoked_from__lte=F("attempt"))
    if ids := list(revoked.values_list("pk", flat=True)):
        outbox.revoke(ids)
