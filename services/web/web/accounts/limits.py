"""Limits how often something is done. PostgreSQL counts, for all processes and without races.

Each window of a rate begins with the first use. So across a boundary up to twice the limit can fall
into the length of one window. That is good enough against guessing and flooding.
"""

import hashlib
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import connection

from runtime.rates import Rate

CONSUME = """
    INSERT INTO accounts_rateusage AS usage (key, uses, ends_at)
    VALUES (%(key)s, %(amount)s, now() + make_interval(secs => %(seconds)s))
    ON CONFLICT (key) DO UPDATE SET
        uses = CASE WHEN usage.ends_at <= now() THEN excluded.uses
               ELSE LEAST(usage.uses, %(limit)s) + excluded.uses END,
        ends_at = CASE WHEN usage.ends_at <= now() THEN excluded.ends_at ELSE usage.ends_at END
    RETURNING uses, extract(epoch FROM ends_at - now())::float8
"""
REFUND = "UPDATE accounts_rateusage SET uses = uses - %s WHERE key = ANY(%s) AND uses >= %s"
NEAR_LIMIT = -1  # in the place of uses that are left: each is counted by itself
# Run with each new window, so that the table stays small between the nightly deletions
# (web.ops.retention). Not within a larger transaction: that would hold the locks of other keys'
# rows, which could end in a deadlock.
PRUNE = """
    DELETE FROM accounts_rateusage WHERE key IN (
        SELECT key FROM accounts_rateusage WHERE ends_at < now()
        ORDER BY ends_at LIMIT 20 FOR UPDATE SKIP LOCKED
    )
"""


@dataclass(frozen=True)
class Use:
    """One counted use; ``wait`` is the seconds until its window ends."""

    key: str
    allowed: bool
    wait: float


def digest(who: str) -> str:
    """Return the SHA-256 that is stored in the place of a name or an address."""
    return hashlib.sha256(who.encode()).hexdigest()


def refund(uses: Iterable[Use], amount: int = 1) -> None:
    """Take back uses that are not to count after all, such as a successful sign-in."""
    with connection.cursor() as cursor:
        cursor.execute(REFUND, [amount, [use.key for use in uses], amount])


class Advance:
    """Uses that this process has taken in advance, so that not each one is a statement.

    A thousandth of the limit is taken at a time. A user may be refused so many uses too early, for
    each process that has some left, and never too late.
    """

    SHARE = 1_000
    MOST = 10_000  # keys

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: dict[str, tuple[int, float]] = {}  # uses, and the end of their window

    def consume(self, scope: str, who: str, rate: Rate, amount: int = 1) -> Use:
        """Count uses as the function ``consume`` does."""
        share = rate.limit // self.SHARE
        key = f"{scope}:{digest(who)}"
        with self._lock:
            left, end = self._left.get(key, (0, 0.0))
            now = time.monotonic()
            if amount <= left and now < end:
                self._left[key] = (left - amount, end)
                return Use(key, allowed=True, wait=end - now)
        if amount >= share or (left == NEAR_LIMIT and now < end):
            return consume(scope, who, rate, amount)
        taken = consume(scope, who, rate, share)
        self._keep(key, share - amount if taken.allowed else NEAR_LIMIT, now + taken.wait)
        if taken.allowed:
            return taken
        refund([taken], share)
        return consume(scope, who, rate, amount)

    def forget(self) -> None:
        """Forget what is left, as a process that has just started."""
        self._left.clear()

    def _keep(self, key: str, left: int, end: float) -> None:
        with self._lock:
            if len(self._left) >= self.MOST:
                self._left.clear()
            self._left[key] = (left, end)


advance = Advance()


def consume(scope: str, who: str, rate: Rate, amount: int = 1) -> Use:
    """Count a use and tell whether it is allowed.

    Args:
        scope: what is limited.
        who: the name under which uses are counted together; only its digest is stored.
        rate: how often it is allowed.
        amount: the number of uses that this one counts for.
    """
    key = f"{scope}:{digest(who)}"
    with connection.cursor() as cursor:
        cursor.execute(
            CONSUME,
            {"key": key, "seconds": rate.seconds, "limit": rate.limit, "amount": amount},
        )
        uses, wait = cursor.fetchone()
        if uses == amount and not connection.in_atomic_block:
            cursor.execute(PRUNE)
    return Use(key, uses <= rate.limit, wait)
