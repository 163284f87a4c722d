"""The one clock: the database's.

Each process may run on a machine whose clock is wrong, by an hour for instance. So whatever is
decided by time (when to try again, when to give up, what is out of date) is decided by the clock
that all of them share.
"""

from datetime import datetime
from typing import cast

from django.db import connection

# When an event happened, for a row ``{row}`` that it speaks of: as its sender says, unless that
# cannot be, before the row was made or in the future. Then the sender's clock is wrong, and the
# time of the arrival is the best guess.
HAPPENED = """CASE WHEN event.at BETWEEN {row}.created_at AND statement_timestamp()
    THEN event.at ELSE statement_timestamp() END"""


def now() -> datetime:
    """Ask the database for the time. Where a statement can say so itself, it uses ``Now()``."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        return cast("datetime", cursor.fetchone()[0])
