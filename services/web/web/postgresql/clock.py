"""The one clock: the database's.

Each process may run on a machine whose clock is wrong, by an hour for instance. So all decisions by
time (when to try again, when to give up, when a row is out of date) use the clock that all share.
"""

from datetime import datetime
from typing import cast

from django.db import connection

# When the event of a row ``{row}`` happened. The sender's time counts, unless it lies before the
# row's creation or in the future. Then the sender's clock is wrong, and now is the best guess.
HAPPENED = """CASE WHEN event.at BETWEEN {row}.created_at AND statement_timestamp()
    THEN event.at ELSE statement_timestamp() END"""


def now() -> datetime:
    """Ask the database for the time. Statements that need it use ``Now()`` instead."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        return cast("datetime", cursor.fetchone()[0])
