"""Workers that stop, in order or not: no work is lost."""

import os
from pathlib import Path

from contracts import topology
from contracts.events import TaskError, TaskState
from local.servers.broker import Broker

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
    client.await_state(short, TaskState.STARTED)
    client.until(marker.exists, "first run")

    assert worker.terminate() == 0

    assert client.outcome(short).result == 1.5
    assert client.states(short) == [(TaskState.STARTED, 1), (TaskState.SUCCESS, 1)]
    returned = client.await_state(long, TaskState.RETRY)
    assert returned.error == TaskError("TaskReturnedError", "its worker was stopped")
    assert client.states(long) == [(TaskState.STARTED, 1), (TaskState.RETRY, 1)]
    assert client.waiting() == 0  # web sends it again: no failed delivery is counted


def test_sigterm_to_the_whole_process_group_does_the_same(
    client: Client, start_worker: StartWorker
) -> None:
    worker = start_worker(SHUTDOWN_TIMEOUT="3")
    task_id = client.compute("sleep", {"seconds": 1.5})
    client.await_state(task_id, TaskState.STARTED)

    worker.terminate(group=True)

    assert client.states(task_id) == [(TaskState.STARTED, 1), (TaskState.SUCCESS, 1)]


def test_a_worker_that_stops_is_heard_by_the_broker_to_the_end(
    client: Client, start_worker: StartWorker
) -> None:
    worker = start_worker(SHUTDOWN_TIMEOUT="60", BROKER_HEARTBEAT="3")
    task_id = client.compute("sleep", {"seconds": 9})  # longer than the broker waits for a sign
    client.await_state(task_id, TaskState.STARTED)

    assert worker.terminate() == 0

    assert client.states(task_id) == [(TaskState.STARTED, 1), (TaskState.SUCCESS, 1)]
    assert client.waiting() == 0


def test_a_worker_whose_result_cannot_be_delivered_stops_all_the_same(
    client: Client, start_worker: StartWorker
) -> None:
    worker = start_worker(SHUTDOWN_TIMEOUT="1")
    task_id = client.compute("sleep", {"seconds": 1})
    client.await_state(task_id, TaskState.STARTED)
    client.delete(topology.WEB_RESULTS)
    worker.await_record(event="result not delivered yet", correlation_id=task_id)

    assert worker.terminate() == 1

    client.connect()
    start_worker()
    client.await_state(task_id, TaskState.SUCCESS, attempt=2)


def test_a_worker_without_a_broker_stops(
    broker: Broker, client: Client, start_worker: StartWorker
) -> None:
    worker = start_worker(SHUTDOWN_TIMEOUT="1", BROKER_HEARTBEAT="2")
    broker.pause()
    try:
        worker.await_record(event="broker not reachable")
        worker.stop()
    finally:
        broker.resume()


def test_an_idle_worker_stops_without_waiting(client: Client, start_worker: StartWorker) -> None:
    worker = start_worker(SHUTDOWN_TIMEOUT="3600")

    worker.terminate()


def test_a_stopped_worker_leaves_no_sign_of_life(
    client: Client, start_worker: StartWorker, tmp_path: Path
) -> None:
    sign = tmp_path / "alive"
    worker = start_worker(LIVENESS_FILE=str(sign))
    client.until(sign.exists, "sign of life")

    worker.terminate()

    assert not sign.exists()


def test_no_process_outlives_its_worker(
    client: Client, start_worker: StartWorker, tmp_path: Path
) -> None:
    worker = start_worker()
    marker = tmp_path / "marker"
    client.compute("sleep_at_first", {"marker": str(marker)})
    client.until(marker.exists, "first run")
    pool = worker.children

    worker.kill()

    client.until(lambda: not any(map(alive, pool)), "end of the processes")


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
