"""What waits to be published, and who publishes it."""

from collections.abc import Iterator

from django.db import connection
from django.db.models import Count
from django.db.models.functions import Now

from web.messaging.models import OutboxMessage
from web.messaging.wakeup import OUTBOX_CHANNEL
from web.ops import backlog
from web.ops.doctor.finding import Finding, problem, start, warn, well

# A relay holds a session that has done nothing but this.
LISTENING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE usename = current_user AND datname = current_database() AND query = %s
"""


def look_at_outbox() -> Iterator[Finding]:
    """Judge the oldest message that is due, refusals, and leases that have run out."""
    found = backlog.measure()
    troubles = [*_late(found), *_refused(), *_abandoned()]
    yield from troubles
    if not troubles:
        later = OutboxMessage.objects.filter(due_at__gt=Now()).count()
        yield well(f"{found.due} messages are due, {later} are for later")


def look_at_relay() -> Iterator[Finding]:
    """Count the relays that are connected to the database; without the broker none is."""
    with connection.cursor() as cursor:
        cursor.execute(LISTENING, [f"LISTEN {OUTBOX_CHANNEL}"])
        relays = cursor.fetchone()[0]
    if relays:
        yield well(f"{relays} connected")
    else:
        yield problem("none is connected: nothing leaves the outbox", start("relay"))


def _late(found: backlog.Backlog) -> Iterator[Finding]:
    if found.late:
        yield problem(
            f"{found.due} messages are due, the oldest for {found.oldest:.0f} s",
            "see `relay`, `broker` and `alarms`; if these are well, the relay's log. "
            "Nothing is lost: they leave as soon as they can",
        )


def _refused() -> Iterator[Finding]:
    refused = OutboxMessage.objects.filter(refusals__gt=0)
    for row in refused.values("routing_key", "last_refusal").annotate(count=Count("id")):
        yield warn(
            f"{row['count']} messages {row['routing_key']} were refused: {row['last_refusal']}",
            "see `queues`; they are tried again within a minute",
        )


def _abandoned() -> Iterator[Finding]:
    abandoned = OutboxMessage.objects.filter(leased_until__lt=Now()).count()
    if abandoned:
        yield warn(
            f"{abandoned} messages were claimed by a relay that has died or hangs",
            "another relay takes them over by itself: see `relay`",
        )
