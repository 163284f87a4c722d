"""Waiting for a job inside of a request (``?wait=10``) without asking again and again."""

import threading
import time
from collections import Counter
from uuid import UUID

import psycopg
import structlog
from django.conf import settings
from django.db import Error as DatabaseError

from web.jobs.models import Job
from web.postgresql.pool import give_back
from web.postgresql.wakeup import JOBS_CHANNEL, Listener

log = structlog.get_logger("web.waiting")
IDLE = 60.0  # seconds without anybody waiting after which the thread ends
SHARES = 4  # nobody has more than one of so many shares of the places
RECHECK = 2.0  # seconds after which a waiter looks by itself, for a notification may get lost


class JobWatch:
    """One thread per process listens for finished jobs and wakes the requests that wait.

    It ends when nobody has waited for a while, and starts again with the next who does.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._listening = threading.Event()
        self._stopping = False
        self._waiters: dict[str, set[threading.Event]] = {}
        self._waiting: Counter[UUID] = Counter()  # requests by user

    def wait(self, job: Job, seconds: float) -> Job:
        """Return the job when it is final or the time is up.

        If too many requests wait already, of all or of its owner, it is returned as it is: the
        client asks again.
        """
        if job.is_final or not self._take_place(job.owner_id):
            return job
        finished = threading.Event()
        deadline = time.monotonic() + seconds
        try:
            self._add(str(job.id), finished)
            self._listening.wait(min(seconds, RECHECK))  # what happens from now on is heard
            return self._watch(job.id, finished, deadline)
        finally:
            self._remove(str(job.id), finished)
            self._leave_place(job.owner_id)

    def stop(self) -> None:
        """End the thread, which takes up to a second."""
        with self._lock:
            thread, self._stopping = self._thread, True
        if thread:
            thread.join()

    def _take_place(self, owner: UUID) -> bool:
        share = max(settings.JOB_WAITERS // SHARES, 1)
        with self._lock:
            is_free = self._waiting.total() < settings.JOB_WAITERS and self._waiting[owner] < share
            if is_free:
                self._waiting[owner] += 1
            return is_free

    def _leave_place(self, owner: UUID) -> None:
        with self._lock:
            self._waiting -= Counter([owner])  # forgets who has no more

    def _watch(self, job_id: UUID, finished: threading.Event, deadline: float) -> Job:
        while True:
            state = Job.objects.values_list("state", flat=True).get(pk=job_id)
            remaining = deadline - time.monotonic()
            if state in Job.FINAL or remaining <= 0:
                return Job.objects.get(pk=job_id)
            give_back()
            finished.wait(min(remaining, RECHECK))

    def _add(self, job_id: str, finished: threading.Event) -> None:
        with self._lock:
            self._waiters.setdefault(job_id, set()).add(finished)
            if self._thread is None:
                self._stopping = False
                self._thread = threading.Thread(target=self._run, daemon=True, name="job-watch")
                self._thread.start()

    def _remove(self, job_id: str, finished: threading.Event) -> None:
        with self._lock:
            self._waiters[job_id].discard(finished)
            if not self._waiters[job_id]:
                del self._waiters[job_id]

    def _run(self) -> None:
        while not self._may_end():
            try:
                with Listener(JOBS_CHANNEL) as listener:
                    self._listening.set()
                    self._listen(listener)
            except (psycopg.Error, DatabaseError) as error:
                log.warning("not listening for jobs", error=str(error))
                time.sleep(RECHECK)
            finally:
                self._listening.clear()

    def _listen(self, listener: Listener) -> None:
        idle_since = time.monotonic()
        while not self._stopping and time.monotonic() - idle_since < IDLE:
            for payload in listener.wait(1.0):
                self._wake(payload.split(","))
            if self._waiters:
                idle_since = time.monotonic()

    def _may_end(self) -> bool:
        with self._lock:  # nobody can begin to wait between the question and the end
            may_end = self._stopping or not self._waiters
            if may_end:
                self._thread = None
        return may_end

    def _wake(self, job_ids: list[str]) -> None:
        with self._lock:
            for job_id in job_ids:
                for finished in self._waiters.get(job_id, ()):
                    finished.set()


watch = JobWatch()
