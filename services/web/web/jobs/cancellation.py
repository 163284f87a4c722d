"""Cancelling a job, wherever it is."""

from uuid import UUID

from django.db import transaction
from django.utils import timezone

from web.accounts.models import User
from web.jobs.models import Job
from web.messaging import outbox
from web.messaging.wakeup import JOBS_CHANNEL, notify


class AlreadyFinalError(Exception):
    """The job has succeeded or failed."""


def cancel(owner: User, job_id: UUID) -> Job:
    """Cancel a job for good: a result that still comes in no longer counts.

    A message that is still in the outbox is withdrawn; otherwise the workers are told to drop the
    task or to terminate it.

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
        job.finished_at = timezone.now()
        job.save(update_fields=["state", "cancelled_by_user", "finished_at"])
        if not outbox.withdraw(job.id):
            outbox.broadcast(
                "revoke", {"task_id": [str(job.id)], "terminate": True, "signal": "SIGTERM"}
            )
        transaction.on_commit(lambda: notify(JOBS_CHANNEL, str(job.id)), robust=True)
    return job
