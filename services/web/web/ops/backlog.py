"""The number and age of due messages in the outbox, by the database's clock."""

from dataclasses import dataclass

from django.conf import settings
from django.db import connection

# A due message is published within moments, so these rows are few as long as all is well. The index
# on due_at finds them.
BACKLOG = """
    SELECT count(*), COALESCE(extract(epoch FROM statement_timestamp() - min(due_at)), 0)::float
    FROM messaging_outboxmessage WHERE due_at <= statement_timestamp()
"""


@dataclass(frozen=True)
class Backlog:
    """The number of due messages, and for how many seconds the oldest has been due."""

    due: int
    oldest: float

    @property
    def late(self) -> bool:
        """Whether the oldest has been due for too long (``OUTBOX_LATE``)."""
        return self.oldest > settings.OUTBOX_LATE


def measure() -> Backlog:
    """Count the due messages now."""
    with connection.cursor() as cursor:
        cursor.execute(BACKLOG)
        due, oldest = cursor.fetchone()
    return Backlog(due, oldest)
