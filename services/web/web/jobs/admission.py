"""Admission: the limits of unfinished jobs, for one user and for all together."""

import random
import threading
import time
from typing import Any

from django.conf import settings
from django.db import connection

from web.accounts.models import User

# The conditions are written as in the partial index, so that PostgreSQL can use it. Counting stops
# at the limit.
COUNT_ALL = """
    SELECT count(*) FROM (
        SELECT FROM jobs_job WHERE state IN ('queued', 'running') LIMIT %(limit)s
    ) AS unfinished
"""
COUNT_OWN = """
    SELECT count(*) AS unfinished FROM (
        SELECT FROM jobs_job WHERE owner_id = %(owner)s AND state IN ('queued', 'running')
        LIMIT %(limit)s
    ) AS own
"""
# There are never more requests under way than connections. A user who is farther than that from
# the limit cannot pass it. Such requests share a lock and do not wait for each other. Near the
# limit a request takes the lock exclusively: it waits until it can count the others' rows.
PASS_BY = f"""
    SELECT unfinished, CASE
        WHEN unfinished < %(limit)s - current_setting('max_connections')::int
            THEN pg_try_advisory_xact_lock_shared(hashtextextended(%(lock)s, 0))
        ELSE false END AS may_pass
    FROM ({COUNT_OWN}) AS counted
"""  # noqa: S608 -- of constants
LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(%(lock)s, 0))"
FRESH = 1.0  # seconds for which a process relies on its count of the backlog
COME_BACK = (5, 15)  # seconds; with jitter, so that refused requests do not come back together


class RefusedError(Exception):
    """The job is refused for now; ``wait`` is the seconds until a repetition."""

    def __init__(self) -> None:
        super().__init__()
        self.wait = random.randint(*COME_BACK)  # noqa: S311


class TooManyUnfinishedError(RefusedError):
    """The user has reached the limit of one user's unfinished jobs."""


class BacklogFullError(RefusedError):
    """All users together have reached the limit of unfinished jobs."""


class Backlog:
    """Knows whether the limit of all unfinished jobs is reached; counts once a second."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count_next = 0.0
        self._full = False

    def is_full(self, limit: int) -> bool:
        """Whether the limit is reached in the whole system; the answer is up to a second old."""
        if self._claim():
            with connection.cursor() as cursor:
                cursor.execute(COUNT_ALL, {"limit": limit})
                self._full = cursor.fetchone()[0] >= limit
        return self._full

    def forget(self) -> None:
        """Make the next question count anew."""
        self._count_next = 0.0

    def _claim(self) -> bool:
        with self._lock:  # one request counts, all others take its last answer
            now = time.monotonic()
            if now < self._count_next:
                return False
            self._count_next = now + FRESH
            return True


backlog = Backlog()


def check_backlog() -> None:
    """Raise BacklogFullError if all users together have reached the limit."""
    if settings.JOBS_UNFINISHED and backlog.is_full(settings.JOBS_UNFINISHED):
        raise BacklogFullError


def far_from_limit(owner: User) -> tuple[str, dict[str, Any]]:
    """Return a condition for one more job of a user, and its values.

    It is a SELECT that yields a row if the user is so far from the limit that requests under way
    cannot pass it. Otherwise ``admit`` has to decide.
    """
    limit = settings.JOBS_UNFINISHED_PER_USER
    if not limit:
        return "SELECT", {}
    return f"SELECT FROM ({PASS_BY}) AS counted WHERE may_pass", _values(owner, limit)


def _values(owner: User, limit: int) -> dict[str, Any]:
    return {"owner": owner.pk, "limit": limit, "lock": f"jobs of {owner.pk}"}


def admit(owner: User) -> None:
    """Admit one more job of a user, as the first step of the transaction that stores it.

    The limit of a user holds with any number of requests at a time: near the limit they wait for
    each other. The limit of all users may be passed by the jobs of one second.

    Raises TooManyUnfinishedError or BacklogFullError.
    """
    check_backlog()
    limit = settings.JOBS_UNFINISHED_PER_USER
    if limit and not _has_room(owner, limit):
        raise TooManyUnfinishedError


def admit_many(owner: User, jobs: int) -> int:
    """Return how many more jobs of a user are admitted, at most so many as are asked for.

    The transaction that stores them holds the user's lock, so other requests of the user wait.

    Raises TooManyUnfinishedError if there is room for none.
    """
    limit = settings.JOBS_UNFINISHED_PER_USER
    if not limit:
        return jobs
    values = _values(owner, limit)
    with connection.cursor() as cursor:
        cursor.execute(LOCK, values)
        cursor.execute(COUNT_OWN, values)  # a new statement sees the rows stored meanwhile
        (unfinished,) = cursor.fetchone()
    if unfinished >= limit:
        raise TooManyUnfinishedError
    return min(jobs, limit - unfinished)


def _has_room(owner: User, limit: int) -> bool:
    values = _values(owner, limit)
    with connection.cursor() as cursor:
        cursor.execute(PASS_BY, values)
        unfinished, may_pass = cursor.fetchone()
        if may_pass or unfinished >= limit:
            return bool(may_pass)
        cursor.execute(LOCK, values)
        cursor.execute(COUNT_OWN, values)  # a new statement sees the rows stored meanwhile
        return bool(cursor.fetchone()[0] < limit)
