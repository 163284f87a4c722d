"""What the compute workers answer, brought into the jobs. See ``web.messaging.ordering``."""

from collections import deque
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import connection, models, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from contracts.errors import TaskReturnedError, result_too_large
from contracts.results import Progress, TaskError, TaskEvent, TaskState
from web import request_id
from web.jobs import cancellation, submission
from web.jobs.models import Job
from web.messaging import clock
from web.messaging.clock import HAPPENED
from web.messaging.ordering import FIRST_ANSWER, latest, phase
from web.messaging.retries import RetryPolicy
from web.messaging.wakeup import JOBS_CHANNEL, MAX_PAYLOAD, notify
from web.parsing import levels

MODEL = Job
LOST = "Lost"  # the type of the error of a job whose message got lost again and again
STATES = {
    TaskState.STARTED: Job.State.RUNNING,
    TaskState.PROGRESS: Job.State.RUNNING,
    TaskState.RETRY: Job.State.QUEUED,
    TaskState.REVOKED: Job.State.CANCELLED,
    TaskState.FAILURE: Job.State.FAILED,
    TaskState.SUCCESS: Job.State.SUCCEEDED,
}
RUNNING = Job.State.RUNNING
# One statement for a whole batch. A row moves only to a higher rank; an answer once given and a
# user's cancellation stay. The rows are locked in the order of their ids, so that two collectors
# do not wait for each other in a circle.
#
# A worker's clock may be wrong, but it measures how long a run took. So the run is shifted as a
# whole to end when its event happened: no job shows a beginning before it was asked for, nor an
# end before its beginning or in the future.
UPDATE = f"""
    WITH event AS (
        SELECT * FROM unnest(
            %(id)s::uuid[], %(state)s::text[], %(attempt)s::int[], %(phase)s::int[],
            %(done)s::bigint[], %(total)s::bigint[], %(result)s::text[]::json[],
            %(error_type)s::text[], %(error_message)s::text[], %(worker)s::text[],
            %(at)s::timestamptz[], %(took)s::interval[], %(final)s::bool[]
        ) AS event (id, state, attempt, phase, done, total, result, error_type,
                    error_message, worker, at, took, final)
    ), locked AS (
        SELECT id, created_at FROM jobs_job
        WHERE id IN (SELECT id FROM event) ORDER BY id FOR UPDATE
    ), seen AS (
        SELECT event.*, {HAPPENED.format(row="locked")} AS happened
        FROM event JOIN locked ON locked.id = event.id
    )
    UPDATE jobs_job AS job SET
        state = event.state, attempt = event.attempt, phase = event.phase,
        progress_done = CASE
            WHEN event.state = 'succeeded' AND event.total IS NULL AND job.attempt = event.attempt
                THEN COALESCE(job.progress_total, 0)
            WHEN job.attempt = event.attempt THEN GREATEST(event.done, job.progress_done)
            ELSE event.done END,
        progress_total = COALESCE(event.total,
            CASE WHEN job.attempt = event.attempt THEN job.progress_total END),
        result = event.result, error_type = event.error_type,
        error_message = event.error_message,
        worker = COALESCE(NULLIF(event.worker, ''), job.worker),
        started_at = CASE WHEN event.took IS NULL THEN job.started_at
            ELSE GREATEST(event.happened - event.took, job.created_at) END,
        finished_at = CASE WHEN event.final THEN GREATEST(event.happened, job.started_at) END
    FROM seen AS event
    WHERE job.id = event.id AND NOT job.cancelled_by_user AND job.state <> 'succeeded'
        AND (event.state = 'succeeded'
             OR (event.phase >= {FIRST_ANSWER}, event.attempt, event.phase,
                 CASE event.phase WHEN 2 THEN event.done ELSE 0 END)
              > (job.phase >= {FIRST_ANSWER} AND job.state IN ('failed', 'cancelled'),
                 job.attempt, job.phase, CASE job.phase WHEN 2 THEN job.progress_done ELSE 0 END)
             -- the answer that an operator has replayed may come once more
             AND NOT (event.phase >= {FIRST_ANSWER}
                      AND (event.attempt, event.phase) = (job.attempt, job.phase)))
    RETURNING job.id, job.state
"""  # noqa: S608 -- of constants


def apply(events: Sequence[TaskEvent]) -> None:
    """Bring the jobs of a batch up to date, inside of the collector's transaction."""
    winners = latest(events)
    with connection.cursor() as cursor:
        cursor.execute(UPDATE, _columns(winners, furthest(events)))
        changed = cursor.fetchall()
    passing = {job_id: winners[job_id] for job_id, state in changed if state == Job.State.QUEUED}
    given_up = _try_again(passing) if passing else []
    running = [job_id for job_id, event in winners.items() if STATES[event.state] == RUNNING]
    if running:
        cancellation.insist(running)
    final = given_up + [str(job_id) for job_id, state in changed if state in Job.FINAL]
    transaction.on_commit(lambda: _tell_waiting(final), robust=True)


def replay(job_ids: Sequence[UUID]) -> dict[UUID, int]:
    """Queue failed jobs again for an operator; see ``web.messaging.handlers.Handler``."""
    # Locked in the order of their ids, as the collector does it.
    failed = Job.objects.select_for_update().filter(pk__in=job_ids, state=Job.State.FAILED)
    runs = dict(failed.order_by("pk").values_list("pk", "attempt"))
    Job.objects.filter(pk__in=runs).update(
        state=Job.State.QUEUED,
        error_type="",
        error_message="",
        queued_at=Now(),
        finished_at=None,
        dispatched_at=Now(),
        republished=0,
    )
    return runs


def errors(job_ids: Sequence[UUID]) -> dict[UUID, str]:
    """Say with what jobs have failed; see ``web.messaging.handlers.Handler``."""
    failed = Job.objects.filter(pk__in=job_ids, state=Job.State.FAILED)
    rows = failed.values_list("pk", "error_type", "error_message")
    return {pk: f"{kind}: {message}" for pk, kind, message in rows}


def unfinished() -> QuerySet[Job]:
    """Select the jobs that have no answer yet; see ``web.messaging.handlers.Handler``."""
    return Job.objects.filter(state__in=Job.UNFINISHED)


def publish_again(job_ids: Sequence[UUID]) -> None:
    """Queue jobs again whose messages got lost; see ``web.messaging.handlers.Handler``."""
    jobs = Job.objects.filter(pk__in=job_ids)
    jobs.update(
        state=Job.State.QUEUED, dispatched_at=Now(), republished=models.F("republished") + 1
    )
    for job in jobs:
        submission.dispatch(job)


def give_up(job_ids: Sequence[UUID], reason: str) -> None:
    """Let jobs fail whose messages got lost; see ``web.messaging.handlers.Handler``."""
    Job.objects.filter(pk__in=job_ids).update(
        state=Job.State.FAILED, error_type=LOST, error_message=reason, finished_at=Now()
    )
    transaction.on_commit(lambda: _tell_waiting([str(pk) for pk in job_ids]), robust=True)


def furthest(events: Sequence[TaskEvent]) -> dict[tuple[str, int], Progress]:
    """Fold a batch to the highest progress of each attempt of each task."""
    progress: dict[tuple[str, int], Progress] = {}
    for event in events:
        run = (event.task_id, event.attempt)
        if event.progress and (run not in progress or event.progress.done > progress[run].done):
            progress[run] = event.progress
    return progress


def _columns(
    winners: dict[UUID, TaskEvent], progress: dict[tuple[str, int], Progress]
) -> dict[str, list[Any]]:
    rows = [
        _row(job_id, event, progress.get((event.task_id, event.attempt)))
        for job_id, event in winners.items()
    ]
    return {name: [row[name] for row in rows] for name in rows[0]}


def _row(job_id: UUID, event: TaskEvent, progress: Progress | None) -> dict[str, Any]:
    result = None
    if event.state == TaskState.SUCCESS:
        result = msgspec.json.encode(event.result).decode()
        deque(levels(event.result), maxlen=0)  # refuses what is nested too deeply to be read
        if len(result) > settings.JOB_SIZE_LIMIT * 1024:
            event, result = _without_its_result(event), None
    state = STATES[event.state]
    succeeded = state == Job.State.SUCCEEDED
    done = progress and (progress.total if succeeded else progress.done)
    return {
        "id": job_id,
        "state": state.value,
        "attempt": event.attempt,
        "phase": phase(event),
        "done": done or 0,
        "total": progress.total if progress else None,
        "result": result,
        "error_type": event.error.type if event.error else "",
        "error_message": event.error.message if event.error else "",
        "worker": event.worker,
        "at": event.at,
        "took": event.started_at and max(event.at - event.started_at, timedelta()),
        "final": state in Job.FINAL,
    }


def _without_its_result(event: TaskEvent) -> TaskEvent:
    error = result_too_large(settings.JOB_SIZE_LIMIT)
    return msgspec.structs.replace(
        event, state=TaskState.FAILURE, result=None, error=TaskError(error.kind, error.message)
    )


def _try_again(failures: dict[UUID, TaskEvent]) -> list[str]:
    """Put jobs back into the outbox; let fail, and return, what has been tried for long enough."""
    policy = RetryPolicy(
        settings.JOB_RETRY_FIRST, settings.JOB_RETRY_LONGEST, settings.JOB_RETRY_FOR
    )
    jobs, now = list(Job.objects.filter(pk__in=failures)), clock.now()
    for job in jobs:
        event = failures[job.pk]
        when = now if _returned(event) else policy.next_time(event.attempt, job.queued_at, now)
        if when is None:
            job.state, job.finished_at = Job.State.FAILED, Now()
        else:
            job.dispatched_at = when
            with request_id.restored(event.request_id):
                submission.dispatch(job, available_at=when)
    Job.objects.bulk_update(jobs, ["state", "finished_at", "dispatched_at"])
    return [str(job.pk) for job in jobs if job.state == Job.State.FAILED]


def _returned(event: TaskEvent) -> bool:
    # The worker was stopped, by a deployment for instance: that is no failure of the job's.
    return event.error is not None and event.error.type == TaskReturnedError.__name__


def _tell_waiting(job_ids: list[str]) -> None:
    per_notification = MAX_PAYLOAD // 37  # a UUID and a comma
    for start in range(0, len(job_ids), per_notification):
        notify(JOBS_CHANNEL, ",".join(job_ids[start : start + per_notification]))
