"""Waiting for a job inside of a request (``?wait=10``) without asking again and again."""

import threading
import time
from collections import defaultdict
from uuid import UUID

import psycopg
import structlog
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection

from web.jobs.models import Job
from web.messaging.wakeup import JOBS_CHANNEL, Listener

log = structlog.get_logger("web.waiting")
RECHECK = 2.0  # seconds after which a waiter looks by itself, for a notification may get lost


class JobWatch:
    """One thread per process listens for finished jobs and wakes the requests that wait."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._waiters: dict[str, set[threading.Event]] = defaultdict(set)
        self._places = threading.BoundedSemaphore(max(settings.JOB_WAITERS, 1))

    def wait(self, job: Job, seconds: float) -> Job:
        """Return the job when it is final or the time is up.

        If too many requests wait already, it is returned as it is: the client asks again.
        """
        if job.is_final or not self._places.acquire(blocking=False):
            return job
        finished = threading.Event()
        try:
            self._add(str(job.id), finished)
            return self._watch(job.id, finished, time.monotonic() + seconds)
        finally:
            self._remove(str(job.id), finished)
            self._places.release()

    def _watch(self, job_id: UUID, finished: threading.Event, deadline: float) -> Job:
        while True:
            job = Job.objects.get(pk=job_id)
            remaining = deadline - time.monotonic()
            if job.is_final or remaining <= 0:
                return job
            connection.close()  # back to the pool: waiting needs no database
            finished.wait(min(remaining, RECHECK))

    def _add(self, job_id: str, finished: threading.Event) -> None:
        with self._lock:
            self._waiters[job_id].add(finished)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._listen, daemon=True, name="job-watch")
                self._thread.start()

    def _remove(self, job_id: str, finished: threading.Event) -> None:
        with self._lock:
            self._waiters[job_id].discard(finished)
            if not self._waiters[job_id]:
                del self._waiters[job_id]

    def _listen(self) -> None:
        while True:
            try:
                with Listener(JOBS_CHANNEL) as listener:
                    while True:
                        for payload in listener.wait(60):
                            self._wake(payload.split(","))
            except (psycopg.Error, DatabaseError) as error:
                log.warning("not listening for jobs", error=str(error))
                time.sleep(RECHECK)

    def _wake(self, job_ids: list[str]) -> None:
        with self._lock:
            for job_id in job_ids:
                for finished in self._waiters.get(job_id, ()):
                    finished.set()


watch = JobWatch()
