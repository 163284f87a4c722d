"""Dead letters that wait for an operator."""

from collections.abc import Iterator

from django.db.models import Count, Min

from web.messaging.models import DeadLetter
from web.ops.doctor.finding import Finding, warn, well

REPAIR = "replay or discard them"
# What a replay does not mend. Tasks whose binding is missing come back into the outbox instead.
HOPELESS = {
    "unrouted": "no queue wants their routing key: discard them",
    "unmade": "mend the jobs or mails as their details say, then replay them; or discard them",
}


def look_at_dead_letters() -> Iterator[Finding]:
    """Count those that wait, by reason."""
    waiting = DeadLetter.objects.filter(state=DeadLetter.State.WAITING).order_by("reason")
    for row in waiting.values("reason").annotate(count=Count("id"), since=Min("created_at")):
        reason, since = row["reason"], f"{row['since']:%Y-%m-%d %H:%M}"
        yield warn(
            f"{row['count']} wait for a decision: {reason}, the oldest since {since}",
            f"`manage.py dead_letters list --reason {reason}` shows them; "
            f"{HOPELESS.get(reason, REPAIR)}",
        )
    if not waiting.exists():
        yield well("none waits")
