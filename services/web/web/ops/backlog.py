"""How much waits in the outbox, by the database's clock."""

from dataclasses import dataclass

from django.conf import settings
from django.db import connection

# Relay and broker take what is due within moments, so that these rows are few as long as all is
# well; the index on due_at finds them.
BACKLOG = """
    SELECT count(*), COALESCE(extract(epoch FROM statement_timestamp() - min(due_at)), 0)::float
    FROM messaging_outboxmessage WHERE due_at <= statement_timestamp()
"""


@dataclass(frozen=True)
class Backlog:
    """Messages that are due, and seconds for which the oldest of them has been."""

    due: int
    oldest: float

    @property
    def late(self) -> bool:
        """Whether something keeps them from leaving."""
        return self.oldest > settings.OUTBOX_LATE


def measure() -> Backlog:
    """Look at the outbox."""
    with connection.cursor() as cursor:
        cursor.execute(BACKLOG)
        due, oldest = cursor.fetchone()
    return Backlog(due, oldest)
