"""The broker goes away and comes back while a computation runs."""

import uuid
from contextlib import closing
from pathlib import Path

from local.servers.broker import Broker

from .client import Client
from .worker_process import WorkerProcess


def test_a_run_goes_on_without_the_broker_and_its_result_comes_home(
    broker: Broker, tmp_path: Path
) -> None:
    url = broker.create_vhost(f"compute-{uuid.uuid4().hex}")
    with closing(Client(url)) as before:
        worker = WorkerProcess(before, url, tmp_path / "log")
        worker.wait_until_ready()
        task_id = before.compute("advance", {"steps": 20, "seconds": 0.2})
        before.until(lambda: any(e.progress for e in before.history(task_id)), "progress")

    broker.kill()
    try:
        worker.await_record(event="task done", task_id=task_id)  # while there is no broker
    finally:
        broker.start()

    with closing(Client(url)) as after:
        after.until(lambda: any(e.result == 20 for e in after.history(task_id)), "result")
        after.until(lambda: len(after.catalogues) > 0, "announcement after the reconnect")
        assert after.outcome(after.compute("add", {"x": 1, "y": 2})).result == 3
    worker.kill()
