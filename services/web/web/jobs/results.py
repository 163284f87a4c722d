"""The tracking of jobs: how the compute workers' events change them. See ``web.tracking``."""

from collections.abc import Sequence
from uuid import UUID

from contracts.events import TaskEvent, TaskState
from contracts.tasks import RUN_COMPUTATION
from web.jobs import cancellation, durations, submission
from web.jobs.models import Job
from web.tracking import answers, registry
from web.tracking.answers import AnsweredTracking
from web.tracking.engine import Column
from web.tracking.retries import RetryPolicy

COLUMNS = (
    Column("progress_done", "bigint", lambda event: _done(event)),
    Column("progress_total", "bigint", lambda event: event.progress and event.progress.total),
)
ASSIGNMENTS = {
    "progress_done": """CASE
        WHEN event.state = 'succeeded' AND event.progress_total IS NULL
            AND task.attempt = event.attempt THEN COALESCE(task.progress_total, 0)
        WHEN task.attempt = event.attempt THEN GREATEST(event.progress_done, task.progress_done)
        ELSE event.progress_done END""",
    "progress_total": """COALESCE(event.progress_total,
        CASE WHEN task.attempt = event.attempt THEN task.progress_total END)""",
}


class JobTracking(AnsweredTracking[Job]):
    """Adds cancellation to the tracking of tasks with an answer."""

    def begun(self, ids: Sequence[UUID]) -> None:
        """Revoke again the cancelled jobs that a worker has begun."""
        cancellation.revoke_again(ids)

    def ended(self, ids: Sequence[UUID]) -> None:
        """Learn from jobs that have ended how long such jobs take."""
        super().ended(ids)
        durations.note(ids)


def _done(event: TaskEvent) -> int:
    if event.progress is None:
        return 0
    succeeded = event.state == TaskState.SUCCESS
    return event.progress.total if succeeded else event.progress.done


JOBS = registry.register(
    JobTracking(
        kind=RUN_COMPUTATION.name,
        service=RUN_COMPUTATION.service,
        model=Job,
        dispatch=submission.dispatch,
        retry=lambda: RetryPolicy.of("JOB"),
        columns=(*answers.COLUMNS, *COLUMNS),
        assignments=answers.ASSIGNMENTS | ASSIGNMENTS,
        guard="NOT task.cancelled_by_user",
        done="progress_done",
    )
)
