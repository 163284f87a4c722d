"""The broker goes away and comes back while a computation runs."""

import uuid
from contextlib import closing
from pathlib import Path

import pytest
from amqp.exceptions import AMQPError

from contracts.events import TaskEvent
from local.servers.broker import Broker

from .client import Client
from .conftest import StartWorker
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


def test_progress_is_told_although_the_connection_was_cut_since_the_run_before(
    client: Client, broker: Broker, start_worker: StartWorker
) -> None:
    worker = start_worker(CONCURRENCY="1")  # both runs in the same process
    assert progress_of(client, client.compute("advance", {"steps": 2, "seconds": 0.5}))

    broker.drop_connections()
    with pytest.raises((AMQPError, OSError)):  # the connection of the test is dropped, too
        client.until(lambda: False, "the end of the connection")
    client.connect()

    assert progress_of(client, client.compute("advance", {"steps": 2, "seconds": 0.5}))
    assert '"not told"' not in worker.log


def progress_of(client: Client, task_id: str) -> list[TaskEvent]:
    assert client.outcome(task_id).result == 2
    return [event for event in client.history(task_id) if event.progress]
