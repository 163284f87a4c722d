"""Exponential backoff with jitter, for a limited time."""

from datetime import timedelta

from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from web.messaging.retries import RetryPolicy

POLICY = RetryPolicy(first=10, longest=3600, keep_trying_for=24 * 3600)


@given(st.integers(1, 10_000))
def test_waits_double_up_to_the_longest(attempt: int) -> None:
    before = timezone.now()
    when = POLICY.next_time(attempt, since=before)
    assert when is not None
    ceiling = min(3600, 10 * 2 ** min(attempt - 1, 32))
    slack = timedelta(seconds=5)  # of the clock between the two lines above
    assert timedelta(seconds=ceiling / 2) <= when - before <= timedelta(seconds=ceiling) + slack


def test_the_time_is_up_at_last() -> None:
    assert POLICY.next_time(9, since=timezone.now() - timedelta(hours=25)) is None
