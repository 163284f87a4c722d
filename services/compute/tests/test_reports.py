"""What a worker reports of itself: which tasks it holds."""

import signal
from datetime import UTC, datetime, timedelta

from contracts.events import WorkerReport

from .client import Client
from .conftest import StartWorker
from .worker_process import WorkerProcess


def test_a_worker_reports_the_tasks_that_it_has_taken(
    client: Client, worker: WorkerProcess
) -> None:
    taken, waiting = (client.compute("sleep", {"seconds": 60}) for _ in range(2))
    report = client.first(
        lambda: (report for report in client.reports if report.holding), "report of a task"
    )
    assert report.holding == [taken]
    assert (report.service, report.checks) == ("compute", {})
    assert report.worker.startswith(f"compute-{worker.pid}@")
    assert abs(datetime.now(UTC) - report.at) < timedelta(minutes=5)
    for task_id in (taken, waiting):
        client.revoke(task_id)
    client.until(lambda: not client.reports[-1].holding, "report of no task")


def test_a_worker_that_is_told_to_stop_says_so_with_its_last_report(
    client: Client, start_worker: StartWorker
) -> None:
    worker = start_worker()

    def reports() -> list[WorkerReport]:
        node = f"compute-{worker.pid}@"
        return [report for report in client.reports if report.worker.startswith(node)]

    client.until(lambda: bool(reports()), "report")
    assert not reports()[-1].stopped
    worker.send(signal.SIGTERM)
    client.until(lambda: reports()[-1].stopped, "last report")
    assert reports()[-1].started_at == reports()[0].started_at
