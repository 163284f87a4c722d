"""Telling that a run has begun, unless it ends within a moment."""

import time
from collections.abc import Iterator

import pytest
from celery.worker import state

from tests.support.polling import poll
from worker import starts
from worker.starts import Starts

pytestmark = pytest.mark.usefixtures("nothing_runs")


class Run:
    """A request as far as its start is concerned; the broker takes the start at an attempt."""

    def __init__(self, told_at: int = 1) -> None:
        self.attempts = 0
        self.told = 0.0
        self._told_at = told_at

    def tell_start(self) -> bool:
        self.attempts += 1
        if self.attempts == self._told_at:
            self.told = time.monotonic()
        return bool(self.told)


@pytest.fixture
def nothing_runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    running: set[Run] = set()
    monkeypatch.setattr(state, "active_requests", running)
    yield
    running.clear()  # the threads may go on to the next


def running(run: Run) -> Run:
    state.active_requests.add(run)
    return run


def test_a_run_is_told_once_after_a_moment() -> None:
    teller, first, second = Starts(), running(Run()), running(Run())
    began = time.monotonic()
    for run in (first, second):
        teller.note(run)
    poll(lambda: first.told and second.told, what="starts")
    assert min(first.told, second.told) >= began + starts.MOMENT
    assert (first.attempts, second.attempts) == (1, 1)


def test_a_run_that_has_ended_is_not_told() -> None:
    teller, ended, later = Starts(), Run(), running(Run())
    teller.note(ended)
    teller.note(later)
    poll(lambda: later.told, what="start of the later one")
    assert ended.attempts == 0


def test_a_start_that_the_broker_does_not_take_is_told_again() -> None:
    teller, run = Starts(), running(Run(told_at=3))
    teller.note(run)
    poll(lambda: run.told, what="third attempt")
    assert run.attempts == 3


def test_the_next_start_is_told_when_a_run_ends_that_could_not_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(starts, "LONGEST_PAUSE", 0.01)
    teller, hopeless, later = Starts(), running(Run(told_at=0)), running(Run())
    for run in (hopeless, later):
        teller.note(run)
    poll(lambda: hopeless.attempts > 3, what="attempts")
    assert not later.told
    state.active_requests.remove(hopeless)
    poll(lambda: later.told, what="start of the later one")
