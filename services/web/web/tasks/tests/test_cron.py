"""Due times, over changes of summer time too."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.tasks.cron import MINUTE, Cron

BERLIN = ZoneInfo("Europe/Berlin")


def due_times(cron: Cron, begin: datetime, hours: int) -> list[datetime]:
    minutes = (begin + MINUTE * n for n in range(hours * 60))
    return [at for at in minutes if cron.is_due(at)]


def on_the_wall(expression: str, day: datetime) -> list[str]:
    """The due times of a local day, as the clock on the wall shows them."""
    begin = day.replace(tzinfo=BERLIN).astimezone(UTC)
    end = (day + timedelta(days=1)).replace(tzinfo=BERLIN).astimezone(UTC)
    hours = (end - begin) // timedelta(hours=1)
    found = due_times(Cron(expression, "Europe/Berlin"), begin, hours)
    return [f"{at.astimezone(BERLIN):%H:%M}" for at in found]


SHORT, LONG, PLAIN = datetime(2026, 3, 29), datetime(2026, 10, 25), datetime(2026, 6, 10)


@pytest.mark.parametrize(
    ("expression", "plain", "short", "long"),
    [
        ("30 2 * * *", ["02:30"], ["03:00"], ["02:30"]),
        ("0 2,3 * * *", ["02:00", "03:00"], ["03:00"], ["02:00", "03:00"]),
        ("0 12 * * *", ["12:00"], ["12:00"], ["12:00"]),
        ("0 0 * * *", ["00:00"], ["00:00"], ["00:00"]),
    ],
)
def test_a_fixed_hour_counts_once_whatever_the_clock_does(
    expression: str, plain: list[str], short: list[str], long: list[str]
) -> None:
    assert on_the_wall(expression, PLAIN) == plain
    assert on_the_wall(expression, SHORT) == short
    assert on_the_wall(expression, LONG) == long


@pytest.mark.parametrize(("day", "hours"), [(SHORT, 23), (LONG, 25), (PLAIN, 24)])
def test_each_hour_that_there_is_counts(day: datetime, hours: int) -> None:
    assert len(on_the_wall("0 * * * *", day)) == hours
    assert len(on_the_wall("*/30 * * * *", day)) == 2 * hours


@pytest.mark.parametrize(
    ("expression", "begin", "first"),
    [
        ("0 0 29 2 *", "2097-01-01", "2104-02-29"),  # 2100 is no leap year
        ("0 0 * * sun", "2026-11-29T00:00", "2026-12-06"),
        ("0 0 13 * fri", "2026-11-29", "2026-12-04"),  # either is enough
        ("0 0 * 1 *", "2026-11-29", "2027-01-01"),
        ("59 23 31 12 *", "2026-11-29", "2026-12-31T23:59"),
    ],
)
def test_the_next_time_may_be_far_away(expression: str, begin: str, first: str) -> None:
    after = datetime.fromisoformat(begin).replace(tzinfo=UTC)
    assert Cron(expression).next(after) == datetime.fromisoformat(first).replace(tzinfo=UTC)


@given(
    minute=st.sampled_from(["*", "*/7", "0", "30", "5,50"]),
    hour=st.sampled_from(["*", "*/3", "2", "2,3", "23"]),
    day=st.sampled_from(["*", "29", "25"]),
    weekday=st.sampled_from(["*", "sun", "mon-fri"]),
    begin=st.datetimes(datetime(2026, 3, 26), datetime(2026, 10, 28)),
    hours=st.integers(0, 80),
)
def test_back_and_forth_find_the_same_times(
    minute: str, hour: str, day: str, weekday: str, begin: datetime, hours: int
) -> None:
    cron = Cron(f"{minute} {hour} {day} * {weekday}", "Europe/Berlin")
    since = begin.replace(tzinfo=UTC)
    now = since + timedelta(hours=hours)
    first = (since + MINUTE).replace(second=0, microsecond=0)
    found = [at for at in due_times(cron, first, hours + 1) if since < at <= now]
    assert cron.latest(since, now) == (found[-1] if found else None)
    if found:
        assert cron.next(since) == found[0]


@pytest.mark.parametrize(
    ("expression", "zone"),
    [("* * * *", "UTC"), ("60 * * * *", "UTC"), ("x * * * *", "UTC"), ("", "UTC"),
     ("0 0 31 2 *", "UTC"),
     ("* * * * *", "Mars/Olympus"), ("* * * * *", "")],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(expression: str, zone: str) -> None:
    with pytest.raises(ValueError, match=r"fields|no schedule"):
        Cron(expression, zone)
