"""The engine: brings events into the rows of a kind of work, and sends its tasks again."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec
from django.db import connection
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from contracts.errors import MalformedMessageError, TaskReturnedError
from contracts.events import Progress, TaskEvent, TaskState
from web import request_id
from web.postgresql import clock
from web.postgresql.clock import HAPPENED
from web.tracking import rules
from web.tracking.models import TrackedTask
from web.tracking.retries import RetryPolicy

Row = TypeVar("Row", bound=TrackedTask)

STATES = {
    TaskState.STARTED: TrackedTask.State.RUNNING,
    TaskState.PROGRESS: TrackedTask.State.RUNNING,
    TaskState.RETRY: TrackedTask.State.QUEUED,
    TaskState.REVOKED: TrackedTask.State.CANCELLED,
    TaskState.FAILURE: TrackedTask.State.FAILED,
    TaskState.SUCCESS: TrackedTask.State.SUCCEEDED,
}
# A row changes only if ``rules.counts`` says so. The rows are locked in the order of their ids, so
# that two collectors do not deadlock.
UPDATE = """
    WITH event AS (
        SELECT * FROM unnest({arrays}) AS event ({names})
    ), locked AS (
        SELECT id, created_at FROM {table}
        WHERE id IN (SELECT id FROM event) ORDER BY id FOR UPDATE
    ), seen AS (
        SELECT event.*, {happened} AS happened FROM event JOIN locked ON locked.id = event.id
    )
    UPDATE {table} AS task SET {assignments}
    FROM seen AS event
    WHERE task.id = event.id AND {guard} AND ({counts})
    RETURNING task.id, task.state
"""


@dataclass(frozen=True)
class Column:
    """A value that an event brings to its row.

    A field of the same name takes it as it is, unless ``Tracking.assignments`` says otherwise.
    A column without such a field is for those assignments only, as ``event.<name>``.
    """

    name: str
    type: str  # PostgreSQL's
    value: Callable[[TaskEvent], Any]


@dataclass(frozen=True, kw_only=True)
class Tracking(Generic[Row]):
    """A kind of work: its task, its rows, and how events change them.

    Subclasses override methods for more than columns and assignments can do.

    Args:
        kind: the name by which events find it: a contract's task, or another name.
        service: the service whose workers run it.
        model: the rows.
        rows: values of fields that select some of the model's rows; all if empty.
        states: the row's state after each kind of event.
        dispatch: stores the message that runs a row's task, with ``available_at`` for a later time.
            Raises MalformedMessageError if none can be made.
        retry: returns the policy for retries after a transient failure.
        columns: what events bring besides state and rank.
        assignments: SQL for fields of ``task``, made from ``event``'s columns and
            ``event.happened``.
        guard: SQL for rows of ``task`` that events may change at all.
        done: the column that counts progress, in rows and events, if there is one.
        anew: values of a row that is queued again after it has failed.
        due: the field that shows when the next attempt is due, if there is one.
        error: the text field for the reason of a failure, if one field is enough.
        explanation: expression for the failure in an operator's words; that field if not given.
    """

    kind: str
    service: str
    model: type[Row]
    rows: Mapping[str, Any] = field(default_factory=dict)
    states: Mapping[TaskState, str] = field(default_factory=lambda: STATES)
    dispatch: Callable[..., None]
    retry: Callable[[], RetryPolicy]
    columns: Sequence[Column] = ()
    assignments: Mapping[str, str] = field(default_factory=dict)
    guard: str = "true"
    done: str | None = None
    anew: Mapping[str, Any] = field(default_factory=dict)
    due: str | None = None
    error: str | None = "error"
    explanation: Any = None

    def received(self, event: TaskEvent) -> TaskEvent:
        """Return the event to be applied. An error raised here makes a dead letter of it."""
        return event

    def unsendable(self, row: Row) -> str:
        """Say why no message of a row can be sent any more; an empty text if one can."""
        return ""

    def again(self, row: Row, event: TaskEvent, now: datetime) -> datetime | str:
        """Return when to try again after a transient failure, or why not to."""
        policy = self.retry()
        over = f"attempts end {timedelta(seconds=policy.keep_trying_for)} after the request"
        return policy.next_time(event.attempt, row.queued_at, now) or over

    def lost(self, reason: str) -> dict[str, Any]:
        """Return the values of rows that fail: their messages are lost or cannot be made."""
        return {self.error: reason} if self.error else {}

    def spent(self, reason: str) -> dict[str, Any]:
        """Return the values of rows that fail because they have been tried for long enough."""
        return self.lost(reason)

    def applied(self, events: Sequence[TaskEvent], winners: Mapping[UUID, TaskEvent]) -> None:
        """Is called after each batch; ``winners`` are its events that count."""

    def ended(self, ids: Sequence[UUID]) -> None:
        """Is called after tasks have ended."""

    def replayed(self, ids: Sequence[UUID]) -> None:
        """Is called after failed tasks were queued again."""


class Engine(Generic[Row]):
    """Brings the rows of one kind of work up to date, inside of the caller's transaction.

    ``rest`` is the engine for tasks of this kind whose rows are in another table, if there is one.
    """

    rest: "Engine[Any] | None" = None

    def __init__(self, tracking: Tracking[Row]) -> None:
        self._tracking = tracking
        self.kind = tracking.kind
        self.service = tracking.service
        self.model = tracking.model
        self.dispatch = tracking.dispatch
        states = tracking.states
        self._success, self._failure = states[TaskState.SUCCESS], states[TaskState.FAILURE]
        self._queued, self._retrying = self.model().state, states[TaskState.RETRY]
        self._final = {self._success, self._failure, states[TaskState.REVOKED]}
        self._unfinished = {*states.values(), self._queued} - self._final

    def apply(self, events: Sequence[TaskEvent]) -> None:
        """Bring rows up to date with a batch, in one UPDATE, and store the messages of retries.

        ``events`` are in any order, with duplicates, of known and unknown rows.
        """
        tracking, winners = self._tracking, _with_furthest(rules.latest(events), events)
        winners = {pk: tracking.received(event) for pk, event in winners.items()}
        with connection.cursor() as cursor:
            cursor.execute(
                self._update,
                {
                    column.name: [column.value(event) for event in winners.values()]
                    for column in self._columns
                },
            )
            changed: dict[UUID, str] = dict(cursor.fetchall())
        tracking.applied(events, winners)
        ended = [pk for pk, state in changed.items() if state in self._final]
        passing = {
            pk: winners[pk]
            for pk, state in changed.items()
            if winners[pk].state == TaskState.RETRY and state == self._retrying
        }
        if passing:
            ended += self._try_again(passing)
        if ended:
            tracking.ended(ended)
        if self.rest and len(changed) < len(winners):
            self.rest.apply([event for event in events if UUID(event.task_id) not in changed])

    def of(self, pk: UUID) -> "Engine[Any]":
        """Return the engine that has a row: this one or ``rest``."""
        here = self.rest is None or self._rows([pk]).exists()
        return self if here or self.rest is None else self.rest

    def row(self, pk: UUID) -> TrackedTask | None:
        """Return a row, if there is one."""
        return self.of(pk).model._default_manager.filter(pk=pk).first()

    def replay(self, ids: Sequence[UUID]) -> dict[UUID, int]:
        """Set failed rows back to queued, and return the number of runs of each so far.

        Rows that are not returned have not failed, and must not be run again.
        """
        # Locked in the order of their ids, as ``apply`` does it.
        failed = self._all().select_for_update().filter(pk__in=ids, state=self._failure)
        runs = dict(failed.order_by("pk").values_list("pk", "attempt"))
        self._rows(runs).update(
            state=self._queued,
            queued_at=Now(),
            dispatched_at=Now(),
            republished=0,
            **({self._tracking.error: ""} if self._tracking.error else {}),
            **self._tracking.anew,
        )
        if runs:
            self._tracking.replayed(list(runs))
        if self.rest and len(runs) < len(ids):
            runs |= self.rest.replay([pk for pk in ids if pk not in runs])
        return runs

    def errors(self, ids: Sequence[UUID]) -> dict[UUID, str]:
        """Return the errors of those rows that have failed, in words for an operator."""
        failed = self._rows(ids).filter(state=self._failure)
        explanation: Any = self._tracking.explanation or self._tracking.error
        found: dict[UUID, str] = dict(failed.values_list("pk", explanation))
        if self.rest and len(found) < len(ids):
            found |= self.rest.errors([pk for pk in ids if pk not in found])
        return found

    def unfinished(self) -> QuerySet[Row]:
        """Select the rows whose tasks have no answer yet. Any that is nowhere is lost."""
        return self._all().filter(state__in=sorted(self._unfinished))

    def publish_again(self, ids: Sequence[UUID]) -> None:
        """Set rows, which the caller has locked, back to queued, and store their messages anew.

        A row whose message can no longer be sent fails. Raises MalformedMessageError if a message
        cannot be made.
        """
        due = {self._tracking.due: None} if self._tracking.due else {}
        self._rows(ids).update(
            state=self._queued, dispatched_at=Now(), republished=F("republished") + 1, **due
        )
        unsendable: dict[str, list[UUID]] = defaultdict(list)
        for row in self._rows(ids):
            if reason := self._tracking.unsendable(row):
                unsendable[reason].append(row.pk)
            else:
                self.dispatch(row)
        for reason, rows in unsendable.items():
            self.give_up(rows, f"its message got lost; {reason}")

    def give_up(self, ids: Sequence[UUID], reason: str) -> None:
        """Let rows fail whose messages are lost or cannot be made. The caller has locked them."""
        self._rows(ids).update(state=self._failure, **self._tracking.lost(reason))
        self._tracking.ended(ids)

    def _rows(self, ids: Sequence[UUID] | Mapping[UUID, Any]) -> QuerySet[Row]:
        return self._all().filter(pk__in=list(ids))

    def _all(self) -> QuerySet[Row]:
        return self.model._default_manager.filter(**self._tracking.rows)

    @cached_property
    def _columns(self) -> list[Column]:
        states, error = self._tracking.states, self._tracking.error
        return [
            Column("id", "uuid", lambda event: event.task_id),
            Column("state", "text", lambda event: str(states[event.state])),
            Column("attempt", "int", lambda event: event.attempt),
            Column("phase", "int", rules.phase),
            Column("at", "timestamptz", lambda event: event.at),
            *([Column(error, "text", _message)] if error else []),
            *self._tracking.columns,
        ]

    @cached_property
    def _update(self) -> str:
        tracking, columns = self._tracking, self._columns
        fields = {each.name for each in self.model._meta.get_fields()} - {"id"}
        plain = {c.name: f"event.{c.name}" for c in columns if c.name in fields}
        return UPDATE.format(
            arrays=", ".join(f"%({column.name})s::{column.type}[]" for column in columns),
            names=", ".join(column.name for column in columns),
            table=self.model._meta.db_table,
            happened=HAPPENED.format(row="locked"),
            assignments=", ".join(
                f"{name} = {sql}" for name, sql in (plain | dict(tracking.assignments)).items()
            ),
            guard=tracking.guard,
            counts=rules.counts(tracking.states, tracking.done),
        )

    def _try_again(self, failures: Mapping[UUID, TaskEvent]) -> list[UUID]:
        """Store the messages of further attempts. Rows that get none fail, and are returned."""
        tracking, now = self._tracking, clock.now()
        again: list[Row] = []
        spent: dict[str, list[UUID]] = defaultdict(list)
        unmade: dict[str, list[UUID]] = defaultdict(list)
        for row in self._rows(failures):
            event = failures[row.pk]
            when = (
                tracking.unsendable(row)
                or _wanted_back(event, now)
                or tracking.again(row, event, now)
            )
            if isinstance(when, str):
                spent[when].append(row.pk)
                continue
            try:
                with request_id.restored(event.request_id):
                    self.dispatch(row, available_at=when)
            except MalformedMessageError as error:
                unmade[f"its message cannot be made: {error}"].append(row.pk)
                continue
            for name in filter(None, ("dispatched_at", tracking.due)):
                setattr(row, name, when)
            again.append(row)
        self.model._default_manager.bulk_update(
            again, [name for name in ("dispatched_at", tracking.due) if name]
        )
        for reason, rows in spent.items():
            self._rows(rows).update(state=self._failure, **tracking.spent(reason))
        for reason, rows in unmade.items():
            self._rows(rows).update(state=self._failure, **tracking.lost(reason))
        return [pk for rows in (*spent.values(), *unmade.values()) for pk in rows]


def _with_furthest(
    winners: Mapping[UUID, TaskEvent], events: Sequence[TaskEvent]
) -> dict[UUID, TaskEvent]:
    """Give each winner the furthest progress that its attempt has told of in this batch."""
    furthest: dict[tuple[UUID, int], Progress] = {}
    for event in events:
        if event.progress:
            run = (UUID(event.task_id), event.attempt)
            if run not in furthest or event.progress.done > furthest[run].done:
                furthest[run] = event.progress
    return {
        pk: msgspec.structs.replace(event, progress=progress)
        if (progress := furthest.get((pk, event.attempt)))
        else event
        for pk, event in winners.items()
    }


def _message(event: TaskEvent) -> str:
    return event.error.message if event.error else ""


def _wanted_back(event: TaskEvent, now: datetime) -> datetime | None:
    """Return the time that a worker has set for a task whose run is no failure."""
    if event.error and event.error.type == TaskReturnedError.__name__:
        return now  # the worker was stopped, by a deployment for instance
    return None if event.again_in is None else now + timedelta(seconds=event.again_in)
