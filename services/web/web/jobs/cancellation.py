"""Cancelling a job, wherever it is."""

from collections.abc import Sequence
from uuid import UUID

from django.db import transaction

from web.accounts.models import User
from web.jobs.models import Job
from web.messaging.outbox import outbox
from web.postgresql import clock
from web.tracking import waiting


class AlreadyFinalError(Exception):
    """The job has succeeded or failed."""


def cancel(owner: User, job_id: UUID) -> Job:
    """Cancel a job for good: a result that arrives later does not count.

    A message that is still in the outbox is withdrawn. Otherwise the task is revoked: the workers
    drop or terminate it. A worker that runs it all the same is told again by ``revoke_again``.

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


def revoke_again(running: Sequence[UUID]) -> None:
    """Revoke again the running jobs that are cancelled.

    Workers keep revoked ids in memory. A worker that was started later does not know them, and runs
    a cancelled job whose message it finds in the queue.
    """
    jobs = Job.objects.filter(pk__in=running, cancelled_by_user=True)
    cancelled = list(jobs.values_list("pk", flat=True))
    if cancelled:
        outbox.revoke(cancelled)
