"""Finding the lost tasks of a kind: in no outbox, in no queue, in no worker's hands.

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

from web.messaging.inbox import workers
from web.messaging.models import OutboxMessage, Worker
from web.postgresql import clock
from web.tracking.engine import Engine

MOST_SUSPECTS = 10_000  # at a time, the oldest first
MOST_LOST = 100_000  # with one queue; any others are found as suspects


class Suspect(NamedTuple):
    """A task that may be lost; ``dispatched_at`` tells one publication of it from the next."""

    task_id: UUID
    dispatched_at: datetime


@dataclass(frozen=True)
class View:
    """A service as one look has shown it.

    ``workers`` have reported lately; ``consumers`` counts the consumers of its queue. ``quiet``
    means that its queue, ``web.results`` and ``web.dead`` are empty and each has a consumer.
    """

    workers: Sequence[Worker]
    consumers: int
    quiet: bool

    def complete(self, since: datetime | None = None) -> bool:
        """Whether each consumer has reported (after ``since``), so that all tasks held are known.

        A consumer without a report has just started, or only the broker believes in it. That may be
        a frozen worker, or the old connection of a worker now connected again.
        """
        reported = [each for each in self.workers if since is None or each.seen_at > since]
        return 1 <= self.consumers <= len(reported)


class Suspicion:
    """Remembers the suspects of one kind of tasks from one look to the next."""

    def __init__(self, engine: Engine[Any]) -> None:
        self._engine = engine
        self._since: dict[Suspect, float] = {}
        self._lost: list[Suspect] = []
        self._lost_at: datetime | None = None

    def queue_lost(self) -> None:
        """Note the tasks that may be lost with the queue. Call it before the queue is declared."""
        self._lost_at = clock.now()
        self._lost = self._nowhere(Q(), set(), MOST_LOST)

    def confirmed(self, view: View) -> list[Suspect]:
        """Look once more, and return the tasks that are certainly lost."""
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
        """Forget tasks that were lost with the queue and have been mended.

        ``confirmed`` does not forget them itself: another outage may interrupt the mending.
        """
        done = set(suspects)
        self._lost = [suspect for suspect in self._lost if suspect not in done]

    def _horizon(self, view: View, held: set[UUID]) -> datetime | None:
        """Return the time before which a task must have been published to be lost, if not held.

        None if no task can be called lost. Either a consumer has not reported, or the service is
        not quiet and its workers hold no task of this kind.
        """
        if not view.complete():
            return None
        if view.quiet:
            return clock.now()
        taken = self._engine.unfinished().filter(pk__in=held)
        newest: datetime | None = taken.aggregate(newest=Max("dispatched_at"))["newest"]
        return newest and newest - timedelta(seconds=settings.RECONCILE_OVERTAKEN)

    def _suspects(self, horizon: datetime | None, held: set[UUID]) -> list[Suspect]:
        """Find the tasks from before the horizon, and the known suspects still not found."""
        selected = Q(pk__in=[suspect.task_id for suspect in self._since])
        if horizon:
            selected |= Q(dispatched_at__lt=horizon)
        found = self._nowhere(selected, held, MOST_SUSPECTS)
        return [each for each in found if each in self._since or _before(each, horizon)]

    def _nowhere(self, selected: Q, held: set[UUID], limit: int) -> list[Suspect]:
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
