"""What workers answer, brought into the tasks that have no table of their own."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from django.conf import settings

from contracts.errors import result_too_large
from contracts.results import TaskError, TaskEvent, TaskState
from contracts.tasks import TaskContract
from web.messaging.storable import storable_text
from web.tasks import followers, revoking, storing
from web.tasks.events import WebTaskEvent, check_depth
from web.tasks.messages import StoredMessage
from web.tasks.models import SERVICE, Task
from web.tracking import answers, registry
from web.tracking.answers import AnsweredTracking
from web.tracking.engine import Column, Tracking
from web.tracking.retries import RetryPolicy

RUNNING = (TaskState.STARTED, TaskState.PROGRESS)
COLUMNS = (
    Column("message", "bytea", lambda event: _again(event)),
    Column("children", "text", lambda event: _of(event, "children")),
    Column("exception", "text", lambda event: _of(event, "exception")),
    Column("meta", "text", lambda event: _of(event, "meta")),
    Column("traceback", "text", lambda event: storable_text(_of(event, "traceback") or "")),
    Column("custom_state", "text", lambda event: storable_text(_of(event, "custom_state") or "")),
    Column("updates", "int", lambda event: event.progress.done if event.progress else 0),
)
OF_ALL = answers.ASSIGNMENTS | {
    # A run that was asked not to be comes to nothing when it is to be tried again.
    "state": """CASE WHEN event.state = 'queued' AND task.revoked_from IS NOT NULL
        THEN 'cancelled' ELSE event.state END""",
    "finished_at": """CASE WHEN event.final
        OR (event.state = 'queued' AND task.revoked_from IS NOT NULL)
        THEN GREATEST(event.happened, task.started_at) END""",
    "result": "CASE WHEN NOT task.ignore_result THEN event.result::json END",
}
ASSIGNMENTS = OF_ALL | {
    "message": "COALESCE(event.message, task.message)",
    **{name: f"event.{name}::json" for name in ("children", "exception", "meta")},
}


class PlainTracking(AnsweredTracking[Task]):
    """Tasks without a table of their own: they can be revoked, and others may follow them."""

    def applied(self, events: Sequence[TaskEvent], winners: Mapping[UUID, TaskEvent]) -> None:
        """Tell workers again what is revoked."""
        if running := [pk for pk, event in winners.items() if event.state in RUNNING]:
            revoking.insist(running)

    def ended(self, ids: Sequence[UUID]) -> None:
        """Go on with what follows, and wake those who wait for the answers."""
        while ids:
            super().ended(ids)
            ids = followers.go_on(ids)

    def replayed(self, ids: Sequence[UUID]) -> None:
        """Let what has failed with them wait for them again."""
        followers.wait_again(ids)


class WebTracking(PlainTracking):
    """Web's own tasks, of which the workers tell more than a contract knows."""

    def received(self, event: TaskEvent) -> TaskEvent:
        """Take a result as it is; what is too large to be stored is a failure.

        Raises RecursionError for what is nested too deeply to be read.
        """
        if event.state != TaskState.SUCCESS or event.result is None:
            return event
        check_depth(event.result)
        if len(event.result) <= settings.JOB_SIZE_LIMIT * 1024:
            return event
        error = result_too_large(settings.JOB_SIZE_LIMIT)
        return msgspec.structs.replace(
            event, state=TaskState.FAILURE, result=None, error=TaskError(error.kind, error.message)
        )

    def again(self, row: Task, event: TaskEvent, now: datetime) -> datetime | str:
        """Return when the run itself has asked to be tried again, if it has."""
        if isinstance(event, WebTaskEvent) and event.again:
            return now + timedelta(seconds=event.again.seconds)
        return super().again(row, event, now)


def _dispatch(task: Task, *, available_at: datetime | None = None) -> None:
    storing.send(StoredMessage.of(task.message), runs=task.attempt, available_at=available_at)


def _of(event: TaskEvent, field: str) -> Any:
    return getattr(event, field, None)


def _again(event: TaskEvent) -> bytes | None:
    again = _of(event, "again")
    return again.message.encode() if again else None


TRACKING = WebTracking(
    kind=SERVICE,
    service=SERVICE,
    model=Task,
    # Those that have been sent: the others have to be nowhere yet.
    rows={"service": SERVICE, "message__isnull": False},
    dispatch=_dispatch,
    retry=lambda: RetryPolicy.of("JOB"),
    columns=(*answers.COLUMNS, *COLUMNS),
    assignments=ASSIGNMENTS,
    guard=f"task.service = '{SERVICE}'",
    done="updates",
    anew=answers.ANEW | {"exception": None, "traceback": ""},
)
WEB = registry.register(TRACKING)


def tracking(contract: TaskContract[Any]) -> Tracking[Task]:
    """Declare the tasks of a contract."""
    return PlainTracking(
        kind=contract.name,
        service=contract.service,
        model=Task,
        rows={"name": contract.name, "message__isnull": False},
        dispatch=_dispatch,
        retry=lambda: RetryPolicy.of("JOB"),
        assignments=OF_ALL,
        guard=f"task.name = '{contract.name}'",  # a service speaks of its own tasks alone
    )


registry.register_events(SERVICE, WebTaskEvent)
