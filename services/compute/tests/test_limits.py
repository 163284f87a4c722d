"""Time and memory limits, in the real pool on a real broker."""

import subprocess
import sys
import time
from typing import Any

import pytest

from contracts import topology
from contracts.events import TaskError, TaskState

from .client import Client
from .worker_process import WorkerProcess


def test_a_run_that_takes_too_long_is_told_to_stop(client: Client, worker: WorkerProcess) -> None:
    task_id = client.compute("sleep_too_long", {})

    answer = client.outcome(task_id)

    assert answer.error == TaskError("TimeLimitExceeded", "ran longer than its limit of 1 s")
    assert_answered_once_and_living(client, task_id)


def test_a_run_that_does_not_stop_is_killed(client: Client, worker: WorkerProcess) -> None:
    before = pool_process(client)

    task_id = client.compute("ignore_the_limit", {})
    answer = client.outcome(task_id)

    assert answer.error == TaskError("TimeLimitExceeded", "stopped at the hard limit of 2 s")
    assert answer.worker.startswith(f"compute-{worker.pid}@")
    assert_answered_once_and_living(client, task_id)
    assert pool_process(client) != before


def test_the_sender_may_set_other_time_limits(client: Client, worker: WorkerProcess) -> None:
    soft = client.compute("sleep", {"seconds": 3600}, soft_time_limit=1)
    hard = client.compute("ignore_the_limit", {}, soft_time_limit=2, time_limit=3)

    assert client.outcome(soft).error == TaskError(
        "TimeLimitExceeded", "ran longer than its limit of 1 s"
    )
    assert client.outcome(hard).error == TaskError(
        "TimeLimitExceeded", "stopped at the hard limit of 3 s"
    )


def test_the_time_for_which_a_result_waits_does_not_count(
    client: Client, worker: WorkerProcess
) -> None:
    task_id = client.compute("sleep", {"seconds": 0.5}, soft_time_limit=1, time_limit=2)
    client.await_state(task_id, TaskState.STARTED)
    client.delete(topology.WEB_RESULTS)
    worker.await_record(event="result not delivered yet", correlation_id=task_id)
    until_later(client, 3)

    client.connect()

    assert client.outcome(task_id).result == 0.5


def test_the_time_before_a_run_does_not_count_but_all_of_it_does(
    client: Client, worker: WorkerProcess
) -> None:
    seen = len(client.reports)
    # Until the last result is confirmed too: the worker would wait with that one.
    client.until(lambda: client.reports[seen:] and not client.reports[-1].holding, "idle worker")
    client.delete(topology.WEB_RESULTS)
    done = client.compute("sleep", {"seconds": 0.5}, soft_time_limit=1, time_limit=2)
    worker.await_record(event="result not delivered yet", correlation_id=done)
    until_later(client, 3)

    client.connect()

    assert client.outcome(done).result == 0.5
    too_long = client.compute("ignore_the_limit", {})
    assert client.outcome(too_long).error == TaskError(
        "TimeLimitExceeded", "stopped at the hard limit of 2 s"
    )


@pytest.mark.parametrize("computation", ["allocate", "allocate_array"])
def test_a_run_that_needs_too_much_memory_ends_with_an_answer(
    computation: str, client: Client, worker: WorkerProcess
) -> None:
    before = pool_process(client)

    task_id = client.compute(computation, {"mebibytes": 1000})
    answer = client.outcome(task_id)

    assert answer.error == TaskError(
        "MemoryLimitExceeded", "needed more than its limit of 64 MiB of memory"
    )
    assert_answered_once_and_living(client, task_id)
    assert pool_process(client) == before


@pytest.mark.parametrize("computation", ["allocate", "allocate_array"])
def test_memory_within_the_limit_is_granted_again_and_again(
    computation: str, client: Client, worker: WorkerProcess
) -> None:
    for _ in range(3):
        task_id = client.compute(computation, {"mebibytes": 50})
        assert client.outcome(task_id).state == TaskState.SUCCESS


FREED = """
from compute.limits import MIB, enforced
from contracts.errors import PermanentError

def fill(mebibytes):
    return [bytes(1000) for _ in range(mebibytes * 1024)]

bytes(31 * MIB)  # from now on malloc keeps up to 62 MiB that were freed
fill(55)
for mebibytes in (100, 50):
    try:
        with enforced(None, 64):
            fill(mebibytes)
        print("granted")
    except PermanentError as error:
        print(error.kind)
"""


def test_memory_that_an_earlier_run_has_freed_counts_as_any_other() -> None:
    done = subprocess.run([sys.executable, "-c", FREED], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["MemoryLimitExceeded", "granted"]


def test_a_limit_ends_with_its_run(client: Client, worker: WorkerProcess) -> None:
    client.outcome(client.compute("allocate_array", {"mebibytes": 100}))
    client.outcome(client.compute("sleep_too_long", {}))

    arguments: dict[str, Any] = {"steps": 30, "seconds": 0.05}  # longer than the limit before
    assert client.outcome(client.compute("advance", arguments)).result == 30
    assert client.outcome(client.compute("count_primes", {"limit": 10**7})).result == {
        "limit": 10**7,
        "count": 664_579,
        "largest": 9_999_991,
    }


def test_a_process_that_has_grown_by_other_means_is_replaced(
    client: Client, worker: WorkerProcess
) -> None:
    before = pool_process(client)

    # The largest limit of a computation is 512 MiB, to which 256 MiB are added.
    task_id = client.compute("allocate_shared", {"mebibytes": 800})

    assert client.outcome(task_id).result == 800
    assert pool_process(client) != before


def until_later(client: Client, seconds: float) -> None:
    end = time.monotonic() + seconds
    client.until(lambda: time.monotonic() > end, "the time after the limit")


def pool_process(client: Client) -> Any:
    return client.outcome(client.compute("process_id", {})).result


def assert_answered_once_and_living(client: Client, task_id: str) -> None:
    marker = f"after-{task_id}"
    client.publish(b"{", {}, correlation_id=marker)
    client.dead_letter(marker)

    assert task_id not in [message.properties.get("correlation_id") for message in client.dead]
    assert {event.attempt for event in client.history(task_id)} == {1}
    assert client.outcome(client.compute("add", {"x": 1, "y": 2})).result == 3
