"""Which tasks of a kind are nowhere: in no outbox, in no queue, in no worker's hands.

The rules and their reasons are in docs/decisions/0013-reconciliation.md.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings
from django.db.models import Exists, Max, OuterRef, Q

from web.messaging import workers
from web.messaging.models import OutboxMessage, Worker
from web.postgresql import clock
from web.tracking.engine import Engine

MOST_SUSPECTS = 10_000  # at a time; after them come the next
MOST_LOST = 100_000  # with one queue; of more, the rest is found as suspects


class Suspect(NamedTuple):
    """A task that may be nowhere; the time tells one publication of it from the next."""

    task_id: UUID
    dispatched_at: datetime


@dataclass(frozen=True)
class View:
    """What one look has shown of a service.

    ``workers`` have reported of late, ``consumers`` are connected to its queue. ``quiet`` says
    that nothing waits in the queue, nor on the way home from it.
    """

    workers: Sequence[Worker]
    consumers: int
    quiet: bool

    def complete(self, since: datetime | None = None) -> bool:
        """Whether each consumer's hands can be seen, in reports that came after ``since``.

        A consumer that nobody reports for is one that has just come, or that the broker only
        believes to be there: a frozen worker, or the old connection of one that has come back.
        """
        reported = [each for each in self.workers if since is None or each.seen_at > since]
        return 1 <= self.consumers <= len(reported)


class Suspicion:
    """What is known of the tasks of one kind, from one look to the next."""

    def __init__(self, engine: Engine[Any]) -> None:
        self._engine = engine
        self._since: dict[Suspect, float] = {}
        self._lost: list[Suspect] = []
        self._lost_at: datetime | None = None

    def queue_lost(self) -> None:
        """Note whose messages went with the queue; to be called before there is a new one."""
        self._lost_at = clock.now()
        self._lost = self._adrift(Q(), set(), MOST_LOST)

    def confirmed(self, view: View) -> list[Suspect]:
        """Look once more, and return the tasks that are nowhere for certain."""
        held = workers.held(view.workers)
        horizon = self._horizon(view, held)
        now = time.monotonic()
        self._since = {each: self._since.get(each, now) for each in self._suspects(horizon, held)}
        long_enough = [
            suspect
            for suspect, since in self._since.items()
            if _before(suspect, horizon) and now - since >= settings.RECONCILE_AFTER
        ]
        return long_enough + self._lost_with_queue(view, held)

    def mended(self, suspects: Iterable[Suspect]) -> None:
        """Forget what was lost with the queue and has been dealt with.

        Not when it is confirmed, for what comes then may be interrupted by another outage.
        """
        done = set(suspects)
        self._lost = [suspect for suspect in self._lost if suspect not in done]

    def _horizon(self, view: View, held: set[UUID]) -> datetime | None:
        """Find the time before which a task must have been published to be nowhere, if not held.

        None if nothing can be said: if not all hands can be seen, or the queue is not empty and
        nothing much later has been taken from it.
        """
        if not view.complete():
            return None
        if view.quiet:
            return clock.now()
        taken = self._engine.unfinished().filter(pk__in=held)
        newest: datetime | None = taken.aggregate(newest=Max("dispatched_at"))["newest"]
        return newest and newest - timedelta(seconds=settings.RECONCILE_OVERTAKEN)

    def _suspects(self, horizon: datetime | None, held: set[UUID]) -> list[Suspect]:
        """Find those before the horizon; of those known, all that are not accounted for now."""
        selected = Q(pk__in=[suspect.task_id for suspect in self._since])
        if horizon:
            selected |= Q(dispatched_at__lt=horizon)
        found = self._adrift(selected, held, MOST_SUSPECTS)
        return [each for each in found if each in self._since or _before(each, horizon)]

    def _adrift(self, selected: Q, held: set[UUID], limit: int) -> list[Suspect]:
        in_outbox = OutboxMessage.objects.filter(task_id=OuterRef("pk"))
        rows = self._engine.unfinished().filter(selected, ~Exists(in_outbox))
        oldest = rows.exclude(pk__in=held).order_by("dispatched_at")
        return [Suspect(*row) for row in oldest.values_list("pk", "dispatched_at")[:limit]]

    def _lost_with_queue(self, view: View, held: set[UUID]) -> list[Suspect]:
        if not self._lost or not view.complete(self._lost_at):
            return []
        self._lost = [suspect for suspect in self._lost if suspect.task_id not in held]
        return self._lost


def _before(suspect: Suspect, horizon: datetime | None) -> bool:
    return horizon is not None and suspect.dispatched_at < horizon
