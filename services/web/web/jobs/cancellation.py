"""Cancelling a job, wherever it is."""

from collections.abc import Sequence
from uuid import UUID

from django.db import transaction

from web.accounts.models import User
from web.jobs.models import Job
from web.messaging import outbox
from web.postgresql import clock
from web.tracking import waiting


class AlreadyFinalError(Exception):
    """The job has succeeded or failed."""


def cancel(owner: User, job_id: UUID) -> Job:
    """Cancel a job for good: a result that still comes in no longer counts.

    A message that is still in the outbox is withdrawn; otherwise the workers are told to drop the
    task or to terminate it, and a worker that runs it all the same is told again; see ``insist``.

    Raises Job.DoesNotExist and AlreadyFinalError.
    """
    with transaction.atomic():
        job = Job.objects.select_for_update().get(pk=job_id, owner=owner)
        if job.state == Job.State.CANCELLED:
            return job
        if job.is_final:
            raise AlreadyFinalError
        job.state = Job.State.CANCELLED
        job.cancelled_by_user = True
        job.finished_at = clock.now()
        job.save(update_fields=["state", "cancelled_by_user", "finished_at"])
        if not outbox.withdraw(job.id):
            outbox.revoke([job.id])
        waiting.tell_after_commit([job.id])
    return job


def insist(running: Sequence[UUID]) -> None:
    """Stop those of the running jobs that are cancelled: their workers have not heard of it.

    Workers keep in memory what was revoked. One that was started later takes the message from
    the queue all the same.
    """
    jobs = Job.objects.filter(pk__in=running, cancelled_by_user=True)
    cancelled = list(jobs.values_list("pk", flat=True))
    if cancelled:
        outbox.revoke(cancelled)
