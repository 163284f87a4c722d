"""Waiting for a job inside of a request (``?wait=10``): as many as there are places for."""

import threading
from collections import Counter
from uuid import UUID

from django.conf import settings

from web.jobs.models import Job
from web.tracking.waiting import watch

SHARES = 4  # nobody has more than one of so many shares of the places


class Places:
    """How many requests of one process may wait, of all users and of each; each holds a thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: Counter[UUID] = Counter()  # by user

    def take(self, owner: UUID) -> bool:
        """Take a place, if there is one."""
        share = max(settings.JOB_WAITERS // SHARES, 1)
        with self._lock:
            is_free = self._taken.total() < settings.JOB_WAITERS and self._taken[owner] < share
            if is_free:
                self._taken[owner] += 1
            return is_free

    def leave(self, owner: UUID) -> None:
        """Leave it to others."""
        with self._lock:
            self._taken -= Counter([owner])  # forgets who has no more


places = Places()


def wait(job: Job, seconds: float) -> Job:
    """Return the job when it is final or the time is up.

    If too many requests wait already, of all or of its owner, it is returned as it is: the client
    asks again.
    """
    if job.is_final or not places.take(job.owner_id):
        return job
    try:
        return watch.wait(job, seconds)
    finally:
        places.leave(job.owner_id)
