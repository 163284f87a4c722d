"""Dead letters that wait for an operator."""

from collections.abc import Iterator

from django.db.models import Count, Min

from web.messaging.models import DeadLetter
from web.messaging.reasons import way_out
from web.ops.doctor.finding import Finding, warn, well


def look_at_dead_letters() -> Iterator[Finding]:
    """Count the dead letters that wait, by reason."""
    waiting = DeadLetter.objects.filter(state=DeadLetter.State.WAITING).order_by("reason")
    for row in waiting.values("reason").annotate(count=Count("id"), since=Min("created_at")):
        reason, since = row["reason"], f"{row['since']:%Y-%m-%d %H:%M}"
        yield warn(
            f"{row['count']} wait for a decision: {reason}, the oldest since {since}",
            f"`manage.py dead_letters list --reason {reason}` shows them; {way_out(reason)}",
        )
    if not waiting.exists():
        yield well("none waits")
