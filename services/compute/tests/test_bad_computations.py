"""Computations that do their worst: each has its end, and the worker lives on."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from contracts.events import TaskState

from .client import Client
from .worker_process import WorkerProcess


def lives(client: Client, worker: WorkerProcess) -> bool:
    assert client.outcome(client.compute("add", {"x": 1, "y": 2})).result == 3
    return worker.alive


@pytest.mark.parametrize("computation", ["leave_quietly", "close_all_files"])
def test_a_computation_that_takes_its_process_away_becomes_a_dead_letter(
    computation: str, client: Client, worker: WorkerProcess
) -> None:
    task_id = client.compute(computation, {})

    death: Any = client.dead_letter(task_id).headers["x-death"][0]

    assert death["reason"] == "delivery_limit"
    assert lives(client, worker)


@pytest.mark.parametrize(
    ("computation", "kind"),
    [("hear_no_signal", "TimeLimitExceeded"), ("allocate_for_ever", "MemoryLimitExceeded")],
)
def test_a_computation_without_bounds_fails_with_its_limit(
    computation: str, kind: str, client: Client, worker: WorkerProcess
) -> None:
    answer = client.outcome(client.compute(computation, {}))

    assert answer.error is not None
    assert answer.error.type == kind
    assert lives(client, worker)


@pytest.mark.parametrize(("computation", "result"), [("fork", 0), ("print_a_lot", 100)])
def test_a_computation_that_is_merely_odd_succeeds_once(
    computation: str, result: int, client: Client, worker: WorkerProcess
) -> None:
    task_id = client.compute(computation, {})

    assert client.outcome(task_id).result == result
    assert lives(client, worker)
    assert client.states(task_id)[-1] == (TaskState.SUCCESS, 1)
    assert {event.attempt for event in client.history(task_id)} == {1}


def test_a_process_that_is_frozen_is_killed_at_its_limit(
    client: Client, worker: WorkerProcess, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    arguments = {"marker": str(marker)}
    task_id = client.compute("sleep_at_first", arguments, soft_time_limit=2, time_limit=3)
    client.until(marker.exists, "the run")
    for process in worker.children:
        os.kill(process, signal.SIGSTOP)

    answer = client.outcome(task_id)

    assert answer.error is not None
    assert answer.error.type == "TimeLimitExceeded"
    assert lives(client, worker)
