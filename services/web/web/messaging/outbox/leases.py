"""What the relay does with rows of the outbox: it leases, settles and postpones them."""

from collections.abc import Sequence
from datetime import timedelta

from django.conf import settings
from django.db import connection
from django.db.models.functions import Now

from runtime import backoff
from web.messaging.models import OutboxMessage

FIRST_PAUSE, LONGEST_PAUSE = 1, 15  # seconds; short, for the fault may be mended any time
# Joined to a statement, it makes the commit return before the disk has it. The next commit of any
# process that waits for the disk, or the background writer a moment later, takes it along.
# Source: https://www.postgresql.org/docs/current/wal-async-commit.html
WITHOUT_SYNC = "(SELECT set_config('synchronous_commit', 'off', true)) AS setting"


def claim(limit: int) -> list[OutboxMessage]:
    """Lease up to ``limit`` due messages; a lease runs out by itself if this relay dies.

    A crash of the database may forget leases of the last moment. Then the messages are published
    twice, as after any other crash.
    """
    # The clock is the database's: relays on machines with wrong clocks do no harm.
    return sorted(
        OutboxMessage.objects.raw(
            f"""
            UPDATE messaging_outboxmessage AS message
            SET leased_until = statement_timestamp() + %(lease)s
            FROM {WITHOUT_SYNC}
            WHERE id IN (
                SELECT id FROM messaging_outboxmessage
                WHERE due_at <= statement_timestamp()
                    AND (leased_until IS NULL OR leased_until < statement_timestamp())
                ORDER BY due_at, id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
            )
            RETURNING message.*
            """,  # noqa: S608 -- a constant
            {"lease": timedelta(seconds=settings.OUTBOX_LEASE), "limit": limit},
        ),
        key=lambda message: (message.due_at, message.pk),
    )


def prolong(ids: Sequence[int]) -> None:
    """Renew the lease of messages that still wait for the broker."""
    lease = timedelta(seconds=settings.OUTBOX_LEASE)
    OutboxMessage.objects.filter(pk__in=ids).update(leased_until=Now() + lease)


def forget_confirmed(ids: Sequence[int]) -> None:
    """Delete messages that the broker has; a crash of the database may bring the last ones back."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            DELETE FROM messaging_outboxmessage USING {WITHOUT_SYNC} WHERE id = ANY(%s)
            """,  # noqa: S608 -- a constant
            [list(ids)],
        )


def delete(message: OutboxMessage) -> None:
    """Delete a message in the transaction that stores what has become of it."""
    OutboxMessage.objects.filter(pk=message.pk).delete()


def give_back(ids: Sequence[int]) -> None:
    """End the lease of messages whose fate is unknown, so that they are published again."""
    OutboxMessage.objects.filter(pk__in=ids).update(leased_until=None)


def postpone(refused: Sequence[tuple[OutboxMessage, str]]) -> None:
    """Make refused messages due later, and store the reasons, such as a full queue."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE messaging_outboxmessage AS message SET leased_until = NULL,
                due_at = statement_timestamp() + refused.pause,
                refusals = message.refusals + 1, last_refusal = refused.reason
            FROM unnest(%s::bigint[], %s::interval[], %s::text[]) AS refused (id, pause, reason)
            WHERE message.id = refused.id
            """,
            [
                [message.pk for message, _ in refused],
                [pause(message.refusals) for message, _ in refused],
                [reason[:1000] for _, reason in refused],
            ],
        )


def pause(refusals: int) -> timedelta:
    """Return how long a message waits after a refusal, by the number of refusals before."""
    return timedelta(seconds=backoff.delay(refusals + 1, FIRST_PAUSE, LONGEST_PAUSE))
