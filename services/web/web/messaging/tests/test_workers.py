"""The workers' reports: the last one of each counts, on the database's clock."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest
from kombu import Connection

from contracts.events import WorkerReport
from web.messaging.inbox import workers
from web.messaging.inbox.collector import apply
from web.messaging.models import DeadLetter, ProcessLife, Worker
from web.messaging.tests.arriving import arrive

pytestmark = pytest.mark.django_db
TASK = "6f9d4b4e-8f5b-4d2f-9d2a-3f1a5b0c7d11"
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def report(
    node: str = "compute-1@host",
    *holding: str,
    ahead: float = 0.0,
    started_at: datetime | None = None,
) -> WorkerReport:
    return WorkerReport(
        service="compute",
        worker=node,
        at=datetime.now(UTC) + timedelta(seconds=ahead),
        holding=list(holding),
        checks={"smtp": ""},
        started_at=started_at,
    )


def test_the_last_report_of_each_worker_counts() -> None:
    workers.record([report("compute-1@host"), report("compute-1@host", TASK), report("other@host")])
    assert workers.held(workers.alive("compute")) == {UUID(TASK)}
    workers.record([report("compute-1@host")])
    assert workers.held(workers.alive("compute")) == set()
    assert Worker.objects.count() == 2


def test_a_worker_with_a_wrong_clock_is_alive_and_its_clock_is_noted() -> None:
    workers.record([report(ahead=-3600)])
    assert workers.alive("compute").get().clock_offset == pytest.approx(-3600, abs=60)
    assert not workers.alive("mailer").exists()


def test_a_worker_that_is_silent_is_away_and_in_the_end_forgotten() -> None:
    workers.record([report("gone@host", TASK), report("quiet@host")])
    Worker.objects.filter(node="quiet@host").update(seen_at=datetime.now(UTC) - 2 * workers.SEEN)
    assert [worker.node for worker in workers.alive("compute")] == ["gone@host"]
    Worker.objects.filter(node="gone@host").update(
        seen_at=datetime.now(UTC) - 2 * workers.FORGOTTEN_AFTER
    )
    workers.record([report()])
    assert set(Worker.objects.values_list("node", flat=True)) == {"compute-1@host", "quiet@host"}


def test_a_worker_that_has_stopped_as_told_is_forgotten_but_not_its_next_life() -> None:
    first, second = (report(started_at=BEGAN + timedelta(seconds=each)) for each in range(2))
    stopped = msgspec.structs.replace(first, stopped=True)
    workers.record([first])
    workers.record([stopped])
    assert not Worker.objects.exists()
    assert not ProcessLife.objects.exists()
    workers.record([first])
    workers.record([stopped, second])  # of the same name, as in a container
    assert Worker.objects.get().node == first.worker
    assert ProcessLife.objects.get().began == second.started_at


def test_a_report_that_arrives_is_applied_and_a_wrong_one_is_a_dead_letter(
    amqp: Connection,
) -> None:
    right, wrong = report("compute-1@host", TASK), report("compute-2@host", "no id of ours")
    for each in (right, wrong):
        apply(arrive(amqp, msgspec.json.encode(each), key=each.routing_key))
    assert Worker.objects.get().holding == [TASK]
    assert DeadLetter.objects.get().routing_key == "compute.report"
