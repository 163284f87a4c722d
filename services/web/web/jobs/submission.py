"""Submitting a job: the row and its message in one transaction, once per idempotency key."""

from typing import Any

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
        earlier = _earlier(job)  # one that was accepted keeps its answer, whatever is full by now
        if earlier is None:
            raise
        return earlier
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


def _earlier(job: Job) -> Job | None:
    if job.idempotency_key is None:
        return None
    earlier = Job.objects.filter(owner=job.owner, idempotency_key=job.idempotency_key).first()
    if earlier and (earlier.computation, earlier.arguments) != (job.computation, job.arguments):
        raise KeyReusedError
    return earlier
