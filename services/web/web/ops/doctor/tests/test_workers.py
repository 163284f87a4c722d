"""What workers report, and what the doctor makes of it."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db.models.functions import Now

from contracts.events import WorkerReport
from contracts.topology import SERVICES
from web.messaging.inbox import workers
from web.messaging.models import Worker
from web.ops.doctor.finding import Level
from web.ops.doctor.workers import look_at_workers

pytestmark = pytest.mark.django_db


def report(service: str, *, ahead: float = 0, smtp: str = "") -> None:
    made = WorkerReport(
        service=service,
        worker=f"{service}-1@host",
        at=datetime.now(UTC) + timedelta(seconds=ahead),
        holding=[],
        checks={"smtp": smtp},
    )
    workers.record([made])


def found(level: Level) -> list[str]:
    return [finding.found for finding in look_at_workers() if finding.level == level]


@pytest.fixture(autouse=True)
def _all_at_work() -> None:
    for service in SERVICES:
        report(service)


def test_workers_that_report_are_well() -> None:
    well = [f"{service}: 1 at work, with 0 tasks in hand" for service in SERVICES]
    assert found(Level.OK) == well


def test_a_service_without_a_worker_is_named() -> None:
    Worker.objects.filter(service="mailer").update(seen_at=Now() - timedelta(minutes=1))
    (words,) = found(Level.PROBLEM)
    assert words.startswith("no worker of mailer has reported for 30 s")
    assert len(found(Level.OK)) == len(SERVICES) - 1


@pytest.mark.parametrize(("ahead", "side"), [(3600, "before"), (-3600, "behind")])
def test_a_wrong_clock_is_named(ahead: float, side: str) -> None:
    report("compute", ahead=ahead)
    (words,) = found(Level.PROBLEM)
    assert words == f"compute-1@host: its clock is 3600 s {side} the database's"


def test_what_a_worker_does_not_find_is_told_in_its_words() -> None:
    report("mailer", smtp="Connection refused")
    (words,) = found(Level.PROBLEM)
    assert words == "mailer-1@host: smtp: Connection refused"
