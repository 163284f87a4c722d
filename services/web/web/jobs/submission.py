"""Submitting a job: the row and its message in one transaction, once per idempotency key."""

from typing import Any

import msgspec
from django.db import IntegrityError, transaction

from contracts.tasks import RUN_COMPUTATION, RunComputation
from web.accounts.models import User
from web.jobs import admission
from web.jobs.models import Computation, Job
from web.messaging import outbox


class KeyReusedError(Exception):
    """An idempotency key came back with another request."""


def submit(
    owner: User, computation: Computation, arguments: dict[str, Any], idempotency_key: str | None
) -> Job:
    """Accept a job, or return the one that was accepted under the same key before.

    Raises KeyReusedError if that one was another request, and admission.RefusedError.
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
        with transaction.atomic():
            admission.admit(owner)
            job.save(force_insert=True)
            dispatch(job)
    except (IntegrityError, admission.RefusedError):
        # Meanwhile the same request may have been accepted.
        accepted = earlier(owner, computation.name, arguments, idempotency_key)
        if accepted is None:
            raise
        return accepted
    return job


def dispatch(job: Job, **when: Any) -> None:
    """Store the message that runs ``job``; ``when`` is passed on to the outbox."""
    outbox.send(
        RUN_COMPUTATION,
        RunComputation(job_id=str(job.id), computation=job.computation, arguments=job.arguments),
        task_id=job.id,
        retries=job.attempt,
        time_limits=(job.soft_time_limit, job.time_limit),
        **when,
    )


def earlier(
    owner: User, computation: str, arguments: dict[str, Any], idempotency_key: str | None
) -> Job | None:
    """Find the job that was accepted under the same key before.

    Raises KeyReusedError if that one was another request.
    """
    if idempotency_key is None:
        return None
    job = Job.objects.filter(owner=owner, idempotency_key=idempotency_key).first()
    if job and (job.computation != computation or _text(job.arguments) != _text(arguments)):
        raise KeyReusedError
    return job


def _text(arguments: dict[str, Any]) -> bytes:
    # As text, because to Python 1, 1.0 and true are equal.
    return msgspec.json.encode(arguments, order="sorted")
