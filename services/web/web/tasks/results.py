"""Tracking of the tasks without a table of their own: answers go into their rows."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from contracts.events import TaskEvent, TaskState
from contracts.tasks import TaskContract
from runtime.text import storable_text
from web.tasks import followers, revoking, storing
from web.tasks.events import WebTaskEvent, check_depth
from web.tasks.messages import StoredMessage
from web.tasks.models import SERVICE, Task
from web.tracking import answers, registry
from web.tracking.answers import AnsweredTracking
from web.tracking.engine import Column, Tracking
from web.tracking.retries import RetryPolicy

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
    # A revoked task that asks for another attempt is cancelled instead.
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

    def begun(self, ids: Sequence[UUID]) -> None:
        """Revoke running tasks again, if they were revoked before."""
        revoking.revoke_again(ids)

    def ended(self, ids: Sequence[UUID]) -> None:
        """Wake those who wait for the answers, and send the tasks that follow."""
        while ids:
            super().ended(ids)
            ids = followers.go_on(ids)

    def replayed(self, ids: Sequence[UUID]) -> None:
        """Let the tasks that failed with them wait for them again."""
        followers.wait_again(ids)


class WebTracking(PlainTracking):
    """Web's own tasks, whose events have more fields than those of a contract's tasks."""

    def received(self, event: TaskEvent) -> TaskEvent:
        """Take a result as it is; make a failure of one that is too large to be stored.

        Raises RecursionError for a result that is nested too deeply to be read.
        """
        if event.state != TaskState.SUCCESS or event.result is None:
            return event
        check_depth(event.result)
        return answers.limited(event, event.result)

    def again(self, row: Task, event: TaskEvent, now: datetime) -> datetime | str:
        """Return the time for which the run itself has asked, or else that of the policy."""
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
    # Only tasks that were sent: without a message, any other would count as lost.
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
        guard=f"task.name = '{contract.name}'",  # an event may change tasks of its own kind only
    )


registry.register_events(SERVICE, WebTaskEvent)
