"""Tracking of tasks whose answers are kept."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from django.conf import settings
from django.db.models import TextField, Value
from django.db.models.functions import Concat, Now

from contracts.errors import result_too_large
from contracts.events import TaskError, TaskEvent, TaskState
from web.nesting import levels
from web.tracking import waiting
from web.tracking.engine import Column, Tracking
from web.tracking.models import AnsweredTask

Row = TypeVar("Row", bound=AnsweredTask)
LOST = "Lost"  # the type of the error of a task whose message got lost again and again
RUNNING = (TaskState.STARTED, TaskState.PROGRESS)
FINAL = (TaskState.SUCCESS, TaskState.FAILURE, TaskState.REVOKED)
COLUMNS = (
    Column("result", "text", lambda event: event.result),
    Column("error_type", "text", lambda event: event.error.type if event.error else ""),
    Column("error_message", "text", lambda event: event.error.message if event.error else ""),
    Column("worker", "text", lambda event: event.worker),
    Column("took", "interval", lambda event: _took(event)),
    Column("final", "bool", lambda event: event.state in FINAL),
)
# A worker's clock may be wrong, but it measures how long a run took. So the whole run is shifted to
# end when its event happened. Then no task shows a start before it was asked for, nor an end before
# its start or in the future.
ASSIGNMENTS = {
    "result": "event.result::json",
    "worker": "COALESCE(NULLIF(event.worker, ''), task.worker)",
    "started_at": """CASE WHEN event.took IS NULL THEN task.started_at
        ELSE GREATEST(event.happened - event.took, task.created_at) END""",
    "finished_at": "CASE WHEN event.final THEN GREATEST(event.happened, task.started_at) END",
}
ANEW = {"error_type": "", "error_message": "", "finished_at": None}
EXPLANATION = Concat("error_type", Value(": "), "error_message", output_field=TextField())


@dataclass(frozen=True, kw_only=True)
class AnsweredTracking(Tracking[Row]):
    """Brings answers into their columns; results have a limit of size.

    A tracking with more columns adds them to ``COLUMNS`` and ``ASSIGNMENTS``.
    """

    columns: Sequence[Column] = COLUMNS
    assignments: Mapping[str, str] = field(default_factory=lambda: ASSIGNMENTS)
    anew: Mapping[str, Any] = field(default_factory=lambda: ANEW)
    error: str | None = None
    explanation: Any = EXPLANATION

    def received(self, event: TaskEvent) -> TaskEvent:
        """Encode a result; make a failure of one that is too large to be stored.

        Raises RecursionError for a result that is nested too deeply to be read.
        """
        if event.state != TaskState.SUCCESS:
            return event
        result = msgspec.json.encode(event.result).decode()
        deque(levels(event.result), maxlen=0)
        return limited(event, result)

    def lost(self, reason: str) -> dict[str, Any]:
        """Return the values of tasks that fail: their messages are lost or cannot be made."""
        return {"error_type": LOST, "error_message": reason, "finished_at": Now()}

    def applied(self, events: Sequence[TaskEvent], winners: Mapping[UUID, TaskEvent]) -> None:
        """Call ``begun`` for the tasks that run."""
        if running := [pk for pk, event in winners.items() if event.state in RUNNING]:
            self.begun(running)

    def begun(self, ids: Sequence[UUID]) -> None:
        """Is called after workers have begun tasks, and again with each progress."""

    def ended(self, ids: Sequence[UUID]) -> None:
        """Wake those who wait for the answers."""
        waiting.tell_after_commit(ids)

    def spent(self, reason: str) -> dict[str, Any]:
        """Leave the error of the last attempt, which says more."""
        return {"finished_at": Now()}


def limited(event: TaskEvent, result: str) -> TaskEvent:
    """Return the event with its result as JSON; a failure if that is too large to be stored."""
    if len(result) <= settings.JOB_SIZE_LIMIT * 1024:
        return msgspec.structs.replace(event, result=result)
    error = result_too_large(settings.JOB_SIZE_LIMIT)
    return msgspec.structs.replace(
        event, state=TaskState.FAILURE, result=None, error=TaskError(error.kind, error.message)
    )


def _took(event: TaskEvent) -> timedelta | None:
    return max(event.at - event.started_at, timedelta()) if event.started_at else None
