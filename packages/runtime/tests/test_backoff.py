"""Pauses grow, and never beyond their longest."""

import time

import pytest

from runtime.backoff import Pauses, delay


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 0), (1, 5), (2, 10), (3, 20), (4, 30), (10**9, 30), (-1, 0)]
)
def test_each_delay_is_twice_the_one_before_up_to_the_longest(failures: int, seconds: int) -> None:
    assert delay(failures, first=5, longest=30) == seconds


def test_what_a_look_raises_ends_a_pause() -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    pauses = Pauses(3600, first=3600)
    pauses.take(lambda: None)  # none before the first attempt
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        pauses.take(stop)
    assert time.monotonic() - started < 3600
