"""The computations that clients may submit."""

from collections.abc import Iterator

from django.db.models import Max
from django.db.models.functions import Now

from web.jobs.catalogue import WITHDRAWN_AFTER
from web.jobs.models import Computation
from web.ops.doctor.finding import Finding, problem, start, warn, well


def look_at_catalogue() -> Iterator[Finding]:
    """Judge whether computations have been announced of late."""
    available = Computation.objects.filter(available=True)
    newest = Computation.objects.aggregate(at=Max("announced_at"))["at"]
    if newest is None:
        yield problem(
            "empty: no compute worker has ever announced what it can do, and no job is accepted",
            start("compute"),
        )
    elif not available.filter(announced_at__gt=Now() - WITHDRAWN_AFTER).exists():
        yield warn(f"nothing was announced since {newest:%Y-%m-%d %H:%M}", start("compute"))
    else:
        yield well(f"{available.count()} computations, announced last at {newest:%H:%M:%S}")
