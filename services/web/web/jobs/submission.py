"""Submitting a job: row and message are stored in one transaction, once per idempotency key."""

from datetime import datetime
from functools import cache
from typing import Any

import msgspec
from django.db import IntegrityError, connection, transaction

from contracts.tasks import RUN_COMPUTATION, RunComputation
from web.accounts.models import User
from web.jobs import admission
from web.jobs.models import Computation, Job
from web.messaging.outbox import outbox
from web.postgresql.insertion import Blank

# A job's fields that are not the same for all new ones.
GIVEN = (
    "id", "owner_id", "computation", "arguments", "soft_time_limit", "time_limit",
    "idempotency_key",
)  # fmt: skip
FILLED_IN = ("created_at", "queued_at", "dispatched_at")  # by the database


class KeyReusedError(Exception):
    """An idempotency key was used before with another request."""


def submit(
    owner: User, computation: Computation, arguments: dict[str, Any], idempotency_key: str | None
) -> Job:
    """Accept a job, or return the one that was accepted under the same key before.

    Raises KeyReusedError if the key belongs to another request, and admission.RefusedError.
    Source: https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
    """
    job = Job(
        owner=owner,
        computation=computation.name,
        arguments=arguments,
        soft_time_limit=computation.soft_time_limit,
        time_limit=computation.time_limit,
        idempotency_key=idempotency_key,
    )
    try:
        admission.check_backlog()
        if not _store(job, computation.expected):
            with transaction.atomic():
                admission.admit(owner)
                job.save(force_insert=True)
                dispatch(job)
    except (IntegrityError, admission.RefusedError):
        # The same request may have been accepted at the same time.
        accepted = earlier(owner, computation.name, arguments, idempotency_key)
        if accepted is None:
            raise
        return accepted
    return job


def _store(job: Job, expected: float | None) -> bool:
    """Store a job and its message in one statement; False near the limit of unfinished jobs."""
    condition, values = admission.far_from_limit(job.owner)
    run = outbox.FirstRun(job.id, _payload(job), _limits(job), expected)
    insert_job = _blank().insertion({name: getattr(job, name) for name in GIVEN}, "admitted")
    insert_message = outbox.insertion(RUN_COMPUTATION, run, "job")
    returned = ", ".join(FILLED_IN)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH admitted AS ({condition}),
                job AS ({insert_job.statement} RETURNING {returned}),
                message AS ({insert_message.statement})
            SELECT {returned} FROM job
            """,  # noqa: S608 -- statements of ours, without a value
            values | insert_job.values | insert_message.values,
        )
        row = cursor.fetchone()
    if row is None:
        return False
    for name, value in zip(FILLED_IN, row, strict=True):
        setattr(job, name, value)
    job._state.adding, job._state.db = False, connection.alias
    outbox.wake_relay()
    return True


def dispatch(job: Job, *, available_at: datetime | None = None) -> None:
    """Store the message that runs a job, in the caller's transaction, due at once or at a time."""
    outbox.send(
        RUN_COMPUTATION,
        _payload(job),
        task_id=job.id,
        retries=job.attempt,
        accepted_at=job.created_at,
        available_at=available_at,
        time_limits=_limits(job),
    )


def _payload(job: Job) -> RunComputation:
    return RunComputation(job_id=str(job.id), computation=job.computation, arguments=job.arguments)


def _limits(job: Job) -> tuple[int, int]:
    return job.soft_time_limit, job.time_limit


@cache
def _blank() -> Blank:
    return Blank(Job(), GIVEN)


def earlier(
    owner: User, computation: str, arguments: dict[str, Any], idempotency_key: str | None
) -> Job | None:
    """Find the job that was accepted under the same key before.

    Raises KeyReusedError if the key belongs to another request.
    """
    if idempotency_key is None:
        return None
    job = Job.objects.filter(owner=owner, idempotency_key=idempotency_key).first()
    if job and (job.computation != computation or _text(job.arguments) != _text(arguments)):
        raise KeyReusedError
    return job


def _text(arguments: dict[str, Any]) -> bytes:
    # Compared as text, because 1, 1.0 and true are equal in Python.
    return msgspec.json.encode(arguments, order="sorted")
