"""Workers that stop, in order or not: no work is lost."""

from pathlib import Path

from contracts.results import TaskState

from .client import Client
from .conftest import StartWorker


def test_a_run_whose_worker_was_killed_runs_again(
    client: Client, start_worker: StartWorker, tmp_path: Path
) -> None:
    first = start_worker()
    task_id = client.compute("sleep_at_first", {"marker": str(tmp_path / "marker")})
    client.until((tmp_path / "marker").exists, "first run")

    first.kill()
    start_worker()

    assert client.outcome(task_id, attempt=2).result == "done at last"


def test_sigterm_lets_a_short_task_finish_and_gives_a_long_one_back(
    client: Client, start_worker: StartWorker, tmp_path: Path
) -> None:
    worker = start_worker(CONCURRENCY="2", SHUTDOWN_TIMEOUT="3")
    marker = tmp_path / "marker"
    long = client.compute("sleep_at_first", {"marker": str(marker)})
    short = client.compute("sleep", {"seconds": 1.5})
    client.until_state(short, TaskState.STARTED)
    client.until(marker.exists, "first run")

    worker.terminate()
    assert client.outcome(short).result == 1.5
    start_worker()

    assert client.outcome(long, attempt=2).result == "done at last"
    assert client.states(short) == [(TaskState.STARTED, 1), (TaskState.SUCCESS, 1)]
    assert client.states(long) == [
        (TaskState.STARTED, 1),
        (TaskState.STARTED, 2),
        (TaskState.SUCCESS, 2),
    ]


def test_sigterm_to_the_whole_process_group_does_the_same(
    client: Client, start_worker: StartWorker
) -> None:
    worker = start_worker(SHUTDOWN_TIMEOUT="3")
    task_id = client.compute("sleep", {"seconds": 1.5})
    client.until_state(task_id, TaskState.STARTED)

    worker.terminate(group=True)

    assert client.states(task_id) == [(TaskState.STARTED, 1), (TaskState.SUCCESS, 1)]


def test_an_idle_worker_stops_without_waiting(client: Client, start_worker: StartWorker) -> None:
    worker = start_worker(SHUTDOWN_TIMEOUT="3600")

    worker.terminate()

    assert "Initiating Soft Shutdown" not in worker.log


def test_a_stopped_worker_leaves_no_sign_of_life(
    client: Client, start_worker: StartWorker, tmp_path: Path
) -> None:
    sign = tmp_path / "alive"
    worker = start_worker(LIVENESS_FILE=str(sign))
    client.until(sign.exists, "sign of life")

    worker.terminate()

    assert not sign.exists()
