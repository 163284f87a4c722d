"""Counts what may not be done too often, in PostgreSQL: for all processes alike and without races.

Each window of a rate begins with the first use, so that up to twice the limit can fall into one
window's length across a boundary: good enough against guessing and flooding.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import connection

from web.rates import Rate

CONSUME = """
    INSERT INTO accounts_rateusage AS usage (key, uses, ends_at)
    VALUES (%(key)s, %(amount)s, now() + make_interval(secs => %(seconds)s))
    ON CONFLICT (key) DO UPDATE SET
        uses = CASE WHEN usage.ends_at <= now() THEN excluded.uses
               ELSE LEAST(usage.uses, %(limit)s) + excluded.uses END,
        ends_at = CASE WHEN usage.ends_at <= now() THEN excluded.ends_at ELSE usage.ends_at END
    RETURNING uses, extract(epoch FROM ends_at - now())::float8
"""
REFUND = "UPDATE accounts_rateusage SET uses = uses - 1 WHERE key = ANY(%s) AND uses > 0"
# Whoever begins a window clears a few that have ended, so that the table needs no other care.
# Not within a larger transaction: holding other keys' rows there could end in a deadlock.
PRUNE = """
    DELETE FROM accounts_rateusage WHERE key IN (
        SELECT key FROM accounts_rateusage WHERE ends_at < now()
        ORDER BY ends_at LIMIT 20 FOR UPDATE SKIP LOCKED
    )
"""


@dataclass(frozen=True)
class Use:
    """One use of something limited; ``wait`` is the seconds until the next is allowed."""

    key: str
    allowed: bool
    wait: float


def digest(who: str) -> str:
    """Return what is stored in the place of a name or an address."""
    return hashlib.sha256(who.encode()).hexdigest()


def refund(uses: Iterable[Use]) -> None:
    """Take uses back: they turned out to be of those that are not limited."""
    with connection.cursor() as cursor:
        cursor.execute(REFUND, [[use.key for use in uses]])


def consume(scope: str, who: str, rate: Rate, amount: int = 1) -> Use:
    """Count a use and tell whether it is allowed.

    Args:
        scope: what is limited.
        who: whose uses are counted together; only a digest of it is stored.
        rate: how often it is allowed.
        amount: for how many uses it counts.
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
