"""How much unfinished work is taken on: for one user, and in all."""

import random
import threading
import time
from typing import Any

from django.conf import settings
from django.db import connection

from web.accounts.models import User

# Conditions are written as in the partial index, so that PostgreSQL may use it. No more rows are
# counted than matter.
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
# Nobody can have more requests under way than there are connections. So whoever is that far from
# the limit needs no care but to be seen: the lock is shared with all others of the same user.
PASS_BY = f"""
    SELECT unfinished, CASE
        WHEN unfinished < %(limit)s - current_setting('max_connections')::int
            THEN pg_try_advisory_xact_lock_shared(hashtextextended(%(lock)s, 0))
        ELSE false END
    FROM ({COUNT_OWN}) AS counted
"""  # noqa: S608 -- of constants
LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(%(lock)s, 0))"
FRESH = 1.0  # seconds for which a process relies on its count of the backlog
COME_BACK = (5, 15)  # seconds; spread, so that those refused together do not come back together


class RefusedError(Exception):
    """The job is not taken on at the moment; ``wait`` is the seconds until a repetition."""

    def __init__(self) -> None:
        super().__init__()
        self.wait = random.randint(*COME_BACK)  # noqa: S311


class TooManyUnfinishedError(RefusedError):
    """The user has as many unfinished jobs as one may have."""


class BacklogFullError(RefusedError):
    """There are as many unfinished jobs as there may be."""


class Backlog:
    """Whether there are as many unfinished jobs as there may be, counted once a second."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count_next = 0.0
        self._full = False

    def is_full(self, limit: int) -> bool:
        """Tell for the whole system; up to a second old, like the answers of other processes."""
        if self._claim():
            with connection.cursor() as cursor:
                cursor.execute(COUNT_ALL, {"limit": limit})
                self._full = cursor.fetchone()[0] >= limit
        return self._full

    def forget(self) -> None:
        """Count anew when asked next."""
        self._count_next = 0.0

    def _claim(self) -> bool:
        with self._lock:  # one request counts, all others go on
            now = time.monotonic()
            if now < self._count_next:
                return False
            self._count_next = now + FRESH
            return True


backlog = Backlog()


def admit(owner: User) -> None:
    """Let one more job of a user in, as the first step of the transaction that stores it.

    The limit of a user holds however many requests come at a time: near to it they wait for each
    other. That of the backlog may be passed by what comes within a second.

    Raises TooManyUnfinishedError and BacklogFullError.
    """
    if settings.JOBS_UNFINISHED and backlog.is_full(settings.JOBS_UNFINISHED):
        raise BacklogFullError
    limit = settings.JOBS_UNFINISHED_PER_USER
    if limit and not _has_room(owner, limit):
        raise TooManyUnfinishedError


def _has_room(owner: User, limit: int) -> bool:
    values: dict[str, Any] = {"owner": owner.pk, "limit": limit, "lock": f"jobs of {owner.pk}"}
    with connection.cursor() as cursor:
        cursor.execute(PASS_BY, values)
        unfinished, may_pass = cursor.fetchone()
        if may_pass or unfinished >= limit:
            return bool(may_pass)
        cursor.execute(LOCK, values)
        cursor.execute(COUNT_OWN, values)  # a statement of its own sees what was stored meanwhile
        return bool(cursor.fetchone()[0] < limit)
