"""A pool process that dies: the run is repeated, but not for ever."""

import os
import signal
from pathlib import Path
from typing import Any

from contracts import topology
from contracts.events import TaskState

from .client import Client
from .conftest import StartWorker
from .worker_process import WorkerProcess


def test_a_run_whose_process_was_killed_runs_again(
    client: Client, worker: WorkerProcess, tmp_path: Path
) -> None:
    task_id = client.compute("sleep_at_first", {"marker": str(tmp_path / "marker")})
    client.await_state(task_id, TaskState.STARTED)
    client.until((tmp_path / "marker").exists, "first run")

    for process in worker.children:
        os.kill(process, signal.SIGKILL)

    assert client.outcome(task_id, attempt=2).result == "done at last"
    first, *_, last = client.states(task_id)
    assert (first, last) == ((TaskState.STARTED, 1), (TaskState.SUCCESS, 2))


def test_a_run_that_kills_its_process_each_time_becomes_a_dead_letter(
    client: Client, worker: WorkerProcess
) -> None:
    runs = topology.TASK_DELIVERY_LIMIT + 1

    task_id = client.compute("crash", {})
    letter = client.dead_letter(task_id)

    death: Any = letter.headers["x-death"][0]
    assert (death["reason"], death["queue"]) == ("delivery_limit", "compute")
    # Not told is a run whose end was noticed within a moment.
    assert {*client.states(task_id)} <= {(TaskState.STARTED, run) for run in range(1, runs + 1)}
    assert letter.headers["id"] == task_id
    assert worker.alive
    assert client.outcome(client.compute("add", {"x": 1, "y": 2})).result == 3


def test_a_task_that_its_process_does_not_begin_is_run_by_another(
    client: Client, start_worker: StartWorker
) -> None:
    worker = start_worker(CONCURRENCY="2")
    frozen = worker.children[0]
    os.kill(frozen, signal.SIGSTOP)
    try:
        tasks = [client.compute("add", {"x": number, "y": 1}) for number in range(12)]
        client.until(lambda: all(has_succeeded(client, task) for task in tasks), "all results")
    finally:
        os.kill(frozen, signal.SIGCONT)
    assert worker.alive


def has_succeeded(client: Client, task_id: str) -> bool:
    return TaskState.SUCCESS in {state for state, _ in client.states(task_id)}
