"""The outbox: late, refused and abandoned messages."""

from collections.abc import Iterator

from django.db.models import Count
from django.db.models.functions import Now

from web.messaging.models import OutboxMessage
from web.ops import backlog
from web.ops.doctor.finding import Finding, problem, warn, well


def look_at_outbox() -> Iterator[Finding]:
    """Judge the oldest due message, refusals, and expired leases."""
    found = backlog.measure()
    troubles = [*_late(found), *_refused(), *_abandoned()]
    yield from troubles
    if not troubles:
        later = OutboxMessage.objects.filter(due_at__gt=Now()).count()
        yield well(f"{found.due} messages are due, {later} are for later")


def _late(found: backlog.Backlog) -> Iterator[Finding]:
    if found.late:
        yield problem(
            f"{found.due} messages are due, the oldest for {found.oldest:.0f} s",
            "see `processes`, `broker` and `alarms`; if these are well, the relay's log. "
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
            "another relay takes them over by itself: see `processes`",
        )
