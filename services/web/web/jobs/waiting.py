"""Waiting for a job inside of a request (``?wait=10``), by a limited number of requests."""

import threading
from collections import Counter
from uuid import UUID

from django.conf import settings

from web.jobs.models import Job
from web.tracking.waiting import watch

SHARES = 4  # a user has at most a quarter of the places


class Places:
    """Places of one process for requests that wait, each of which holds a thread.

    There are ``JOB_WAITERS``, and each user has at most a share of them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: Counter[UUID] = Counter()  # by user

    def take(self, owner: UUID) -> bool:
        """Take a place for a user; False if there is none."""
        share = max(settings.JOB_WAITERS // SHARES, 1)
        with self._lock:
            is_free = self._taken.total() < settings.JOB_WAITERS and self._taken[owner] < share
            if is_free:
                self._taken[owner] += 1
            return is_free

    def leave(self, owner: UUID) -> None:
        """Give a place of a user back."""
        with self._lock:
            self._taken -= Counter([owner])  # drops users at zero


places = Places()


def wait(job: Job, seconds: float) -> Job:
    """Return the job when it is final or the time is up.

    Without a free place it is returned at once as it is, and the client asks again.
    """
    if job.is_final or not places.take(job.owner_id):
        return job
    try:
        return watch.wait(job, seconds)
    finally:
        places.leave(job.owner_id)
