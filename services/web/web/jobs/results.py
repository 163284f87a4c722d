"""What the compute workers answer, brought into the jobs. See ``web.tracking``."""

from collections import deque
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import transaction
from django.db.models import Value
from django.db.models.functions import Concat, Now

from contracts.errors import result_too_large
from contracts.results import TaskError, TaskEvent, TaskState
from contracts.tasks import RUN_COMPUTATION
from web.jobs import cancellation, submission
from web.jobs.models import Job
from web.parsing import levels
from web.postgresql.wakeup import JOBS_CHANNEL, MAX_PAYLOAD, notify
from web.tracking import registry
from web.tracking.engine import STATES, Column, Tracking
from web.tracking.retries import RetryPolicy

LOST = "Lost"  # the type of the error of a job whose message got lost again and again
COLUMNS = (
    Column("progress_done", "bigint", lambda event: _done(event)),
    Column("progress_total", "bigint", lambda event: event.progress and event.progress.total),
    Column("result", "text", lambda event: event.result),
    Column("error_type", "text", lambda event: event.error.type if event.error else ""),
    Column("error_message", "text", lambda event: event.error.message if event.error else ""),
    Column("worker", "text", lambda event: event.worker),
    Column("took", "interval", lambda event: _took(event)),
    Column("final", "bool", lambda event: STATES[event.state] in Job.FINAL),
)
# A worker's clock may be wrong, but it measures how long a run took. So the run is shifted as a
# whole to end when its event happened: no job shows a beginning before it was asked for, nor an
# end before its beginning or in the future.
ASSIGNMENTS = {
    "progress_done": """CASE
        WHEN event.state = 'succeeded' AND event.progress_total IS NULL
            AND task.attempt = event.attempt THEN COALESCE(task.progress_total, 0)
        WHEN task.attempt = event.attempt THEN GREATEST(event.progress_done, task.progress_done)
        ELSE event.progress_done END""",
    "progress_total": """COALESCE(event.progress_total,
        CASE WHEN task.attempt = event.attempt THEN task.progress_total END)""",
    "result": "event.result::json",
    "worker": "COALESCE(NULLIF(event.worker, ''), task.worker)",
    "started_at": """CASE WHEN event.took IS NULL THEN task.started_at
        ELSE GREATEST(event.happened - event.took, task.created_at) END""",
    "finished_at": "CASE WHEN event.final THEN GREATEST(event.happened, task.started_at) END",
}


class JobTracking(Tracking[Job]):
    """Jobs: their results are limited, they can be cancelled, and requests wait for them."""

    def received(self, event: TaskEvent) -> TaskEvent:
        """Encode a result, once; what is too large to be stored is a failure."""
        if event.state != TaskState.SUCCESS:
            return event
        result = msgspec.json.encode(event.result).decode()
        deque(levels(event.result), maxlen=0)  # refuses what is nested too deeply to be read
        if len(result) <= settings.JOB_SIZE_LIMIT * 1024:
            return msgspec.structs.replace(event, result=result)
        error = result_too_large(settings.JOB_SIZE_LIMIT)
        return msgspec.structs.replace(
            event, state=TaskState.FAILURE, result=None, error=TaskError(error.kind, error.message)
        )

    def lost(self, reason: str) -> dict[str, Any]:
        """Return the values of jobs that fail because of what became of their messages."""
        return {"error_type": LOST, "error_message": reason, "finished_at": Now()}

    def spent(self, reason: str) -> dict[str, Any]:
        """Leave the error of the last attempt, which says more."""
        return {"finished_at": Now()}

    def applied(self, events: Sequence[TaskEvent], winners: Mapping[UUID, TaskEvent]) -> None:
        """Tell workers again what is cancelled."""
        running = [pk for pk, event in winners.items() if STATES[event.state] == Job.State.RUNNING]
        if running:
            cancellation.insist(running)

    def ended(self, ids: Sequence[UUID]) -> None:
        """Wake the requests that wait."""
        transaction.on_commit(lambda: _tell_waiting([str(pk) for pk in ids]), robust=True)


def _retry() -> RetryPolicy:
    return RetryPolicy(settings.JOB_RETRY_FIRST, settings.JOB_RETRY_LONGEST, settings.JOB_RETRY_FOR)


def _done(event: TaskEvent) -> int:
    if event.progress is None:
        return 0
    succeeded = event.state == TaskState.SUCCESS
    return event.progress.total if succeeded else event.progress.done


def _took(event: TaskEvent) -> timedelta | None:
    return max(event.at - event.started_at, timedelta()) if event.started_at else None


def _tell_waiting(job_ids: list[str]) -> None:
    per_notification = MAX_PAYLOAD // 37  # a UUID and a comma
    for start in range(0, len(job_ids), per_notification):
        notify(JOBS_CHANNEL, ",".join(job_ids[start : start + per_notification]))


JOBS = registry.register(
    JobTracking(
        contract=RUN_COMPUTATION,
        model=Job,
        dispatch=submission.dispatch,
        retry=_retry,
        columns=COLUMNS,
        assignments=ASSIGNMENTS,
        guard="NOT task.cancelled_by_user",
        done="progress_done",
        error=None,
        anew={"error_type": "", "error_message": "", "finished_at": None},
        explanation=Concat("error_type", Value(": "), "error_message"),
    )
)
