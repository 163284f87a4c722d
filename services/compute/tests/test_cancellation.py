"""A revoked task: it ends at once, says so, and does not come again."""

import pytest

from contracts.events import TaskState

from .client import Client
from .conftest import StartWorker
from .worker_process import WorkerProcess


# The pool's processes ignore SIGTERM itself; Flower's button sends it all the same.
@pytest.mark.parametrize("signal", ["SIGTERM", "SIGQUIT", "SIGKILL"])
def test_a_running_task_is_terminated_and_not_redelivered(
    signal: str, client: Client, worker: WorkerProcess
) -> None:
    task_id = client.compute("sleep", {"seconds": 3600})
    client.await_state(task_id, TaskState.STARTED)

    client.revoke(task_id, signal)
    client.outcome(task_id)

    assert client.outcome(client.compute("add", {"x": 1, "y": 2})).result == 3
    assert client.states(task_id) == [(TaskState.STARTED, 1), (TaskState.REVOKED, 1)]
    assert_not_dead(client, task_id)


def test_a_queued_task_is_dropped(client: Client, worker: WorkerProcess) -> None:
    running = client.compute("sleep", {"seconds": 3600})
    queued = client.compute("sleep", {"seconds": 3600})
    client.await_state(running, TaskState.STARTED)

    client.revoke(queued)
    client.revoke(running)
    client.outcome(queued)
    client.outcome(running)

    assert client.outcome(client.compute("add", {"x": 1, "y": 2})).result == 3
    assert client.states(queued) == [(TaskState.REVOKED, 1)]
    assert_not_dead(client, queued)


def test_only_the_worker_that_has_the_task_answers(
    client: Client, worker: WorkerProcess, start_worker: StartWorker
) -> None:
    start_worker()
    task_id = client.compute("sleep", {"seconds": 3600})
    started = client.await_state(task_id, TaskState.STARTED)

    client.revoke(task_id)
    client.outcome(task_id)
    for _ in range(4):  # some for each of them
        client.outcome(client.compute("add", {"x": 1, "y": 2}))

    assert client.states(task_id) == [(TaskState.STARTED, 1), (TaskState.REVOKED, 1)]
    assert client.outcome(task_id).worker == started.worker


def test_the_process_that_follows_a_terminated_one_cuts_no_connection(
    client: Client, start_worker: StartWorker
) -> None:
    worker = start_worker()
    for _ in range(3):
        task_id = client.compute("sleep", {"seconds": 3600})
        client.await_state(task_id, TaskState.STARTED)
        client.revoke(task_id)
        client.outcome(task_id)

    assert client.outcome(client.compute("add", {"x": 1, "y": 2})).result == 3
    assert "not delivered" not in worker.log
    assert "not told" not in worker.log


def assert_not_dead(client: Client, task_id: str) -> None:
    marker = f"after-{task_id}"
    client.publish(b"{", {}, correlation_id=marker)
    client.dead_letter(marker)

    assert task_id not in [message.properties.get("correlation_id") for message in client.dead]
