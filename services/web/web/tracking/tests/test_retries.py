"""Exponential backoff with jitter, for a limited time."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from web.tracking.retries import RetryPolicy

POLICY = RetryPolicy(first=10, longest=3600, keep_trying_for=24 * 3600)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@given(st.integers(1, 10_000))
def test_waits_double_up_to_the_longest(attempt: int) -> None:
    when = POLICY.next_time(attempt, since=NOW, now=NOW)
    assert when is not None
    ceiling = min(3600, 10 * 2 ** min(attempt - 1, 32))
    assert timedelta(seconds=ceiling / 2) <= when - NOW <= timedelta(seconds=ceiling)


def test_the_time_is_up_at_last() -> None:
    assert POLICY.next_time(9, since=NOW - timedelta(hours=25), now=NOW) is None
