"""When to try again after a transient failure."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from runtime import backoff


@dataclass(frozen=True)
class RetryPolicy:
    """Exponential backoff with jitter, for a limited time; all figures are seconds.

    Jitter keeps a thousand mails that failed together from coming back together.
    Source: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """

    first: float
    longest: float
    keep_trying_for: float

    @classmethod
    def of(cls, name: str) -> "RetryPolicy":
        """Read the settings ``<name>_RETRY_FIRST``, ``_LONGEST`` and ``_FOR``."""
        values = (getattr(settings, f"{name}_RETRY_{part}") for part in ("FIRST", "LONGEST", "FOR"))
        return cls(*values)

    def next_time(self, attempt: int, since: datetime, now: datetime) -> datetime | None:
        """Return when to run attempt ``attempt + 1``, or None if the time is up.

        Work that has waited for long before its first run is tried a second time in any case.

        Args:
            attempt: the number of the run that failed, from 1.
            since: when the work was asked for, first due, or replayed.
            now: by the same clock, which is the database's.
        """
        ceiling = backoff.delay(attempt, self.first, self.longest)
        when = now + timedelta(seconds=random.uniform(ceiling / 2, ceiling))  # noqa: S311
        if attempt > 1 and when > since + timedelta(seconds=self.keep_trying_for):
            return None
        return when
