"""Reports of progress: a few per second, however often they are called."""

import signal

import pytest
from billiard.pool import SIG_SOFT_TIMEOUT

from compute.progress import INTERVAL, Progress
from worker import task


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    reports: list[tuple[int, int]] = []
    monkeypatch.setattr(task, "report_progress", lambda *report: reports.append(report))
    return reports


def test_reports_that_come_too_soon_are_not_sent(
    sent: list[tuple[int, int]],
) -> None:
    now = 1000.0
    reporter = Progress(lambda: now)

    for done in range(1, 8):
        now += 0.6 * INTERVAL
        reporter.report(done, 7)

    assert [done for done, _ in sent] == [1, 3, 5, 7]


def test_a_soft_time_limit_waits_until_the_report_is_out(monkeypatch: pytest.MonkeyPatch) -> None:
    masks: list[set[int]] = []
    monkeypatch.setattr(
        task,
        "report_progress",
        lambda *_: masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
    )

    Progress().report(1, 2)

    assert SIG_SOFT_TIMEOUT in masks[0]
    assert SIG_SOFT_TIMEOUT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_outside_of_a_worker_nothing_happens() -> None:
    Progress().report(1, 2)
