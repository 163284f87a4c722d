"""Due times of a cron expression, by local time."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from celery.schedules import ParseException, crontab

MINUTE = timedelta(minutes=1)
LONGEST_LOOK = timedelta(days=8 * 366)  # from one 29 February to the next there may be 8 years


class Cron:
    """A schedule of five fields, as in crontab(5).

    A fixed hour that comes twice, when summer time ends, counts once. One that is skipped, when
    summer time begins, counts right after the gap. With ``*`` or ``*/2`` as hours, a repeated hour
    counts twice and a skipped one not at all. If both fields for days are restricted, either is
    enough.

    Raises ValueError for an unreadable expression or zone, or a day that never comes.
    """

    def __init__(self, expression: str, zone: str = "UTC") -> None:
        fields = expression.split()
        if len(fields) != 5:
            raise ValueError(f"{expression!r} must have five fields, such as '*/5 * * * *'")
        try:
            self._fields: Any = crontab.from_string(expression)  # the stubs know few of them
            self._zone = ZoneInfo(zone)
        except (ParseException, ValueError, KeyError, OSError) as error:
            raise ValueError(f"{expression!r} in {zone!r} is no schedule: {error}") from error
        self._has_fixed_hour = not fields[1].startswith("*")
        self._needs_both_days = "*" in (fields[2], fields[4])
        self.expression, self.zone = expression, zone

    def latest(self, since: datetime, now: datetime) -> datetime | None:
        """Return the last due time after ``since`` and up to ``now``, if there is one."""
        since = max(since, now - LONGEST_LOOK)
        at = now.astimezone(UTC).replace(second=0, microsecond=0)
        while at > since:
            if self.is_due(at):
                return at
            wall = at.astimezone(self._zone)
            at -= MINUTE if self._is_day(wall) else MINUTE * (wall.minute + 1)
        return None

    def next(self, after: datetime) -> datetime:
        """Return the first due time after ``after``."""
        at = after.astimezone(UTC).replace(second=0, microsecond=0) + MINUTE
        while not self.is_due(at):
            wall = at.astimezone(self._zone)
            at += MINUTE if self._is_day(wall) else MINUTE * (60 - wall.minute)
        return at

    def is_due(self, at: datetime) -> bool:
        """Whether a due time lies in the minute that begins at ``at``, which is in UTC."""
        wall = at.astimezone(self._zone)
        if self._has_fixed_hour and wall.fold:
            return False
        if self._matches(wall):
            return True
        return self._has_fixed_hour and any(map(self._matches, self._skipped_before(at)))

    def _skipped_before(self, at: datetime) -> list[datetime]:
        """Return the minutes of local time that were skipped just before ``at``."""
        before = (at - MINUTE).astimezone(self._zone).replace(tzinfo=None)
        wall = at.astimezone(self._zone).replace(tzinfo=None)
        return [before + MINUTE * n for n in range(1, (wall - before) // MINUTE)]

    def _matches(self, wall: datetime) -> bool:
        fields = self._fields
        return wall.minute in fields.minute and wall.hour in fields.hour and self._is_day(wall)

    def _is_day(self, wall: datetime) -> bool:
        fields = self._fields
        of_month = wall.day in fields.day_of_month
        of_week = wall.isoweekday() % 7 in fields.day_of_week
        day: bool = of_month and of_week if self._needs_both_days else of_month or of_week
        return day and wall.month in fields.month_of_year
