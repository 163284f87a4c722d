"""What a worker needs of the broker is taken away and comes back: it goes on, without a restart."""

from collections.abc import Callable

import httpx
import pytest
from amqp.exceptions import AMQPError

from contracts import topology
from contracts.events import TaskState
from local.servers.broker import Broker

from .client import Client
from .conftest import StartWorker
from .worker_process import WorkerProcess

COMPUTE = topology.task_queue("compute")
TakeAway = Callable[[], Callable[[], None]]


@pytest.fixture
def worker(start_worker: StartWorker) -> WorkerProcess:
    return start_worker()


@pytest.fixture
def permit(broker: Broker, broker_url: str) -> Callable[..., None]:
    """Change what the worker's user may do, which is the same for everybody here."""
    user, vhost = broker.settings.user, broker_url.rpartition("/")[2]

    def set_permissions(*, write: str = ".*", read: str = ".*") -> None:
        body = {"configure": ".*", "write": write, "read": read}
        url = f"{broker.settings.management_url}permissions/{vhost}/{user}"
        httpx.put(url, json=body, trust_env=False).raise_for_status()

    return set_permissions


def works(client: Client) -> bool:
    task_id = client.compute("add", {"x": 1, "y": 2})
    client.until(lambda: any(e.result == 3 for e in client.history(task_id)), "result")
    return True


def refusals(worker: WorkerProcess) -> int:
    return sum("404" in str(line.get("event")) for line in worker.records())


def test_a_queue_that_was_deleted_is_consumed_again_once_it_is_back(
    client: Client, worker: WorkerProcess
) -> None:
    client.delete(COMPUTE)
    client.until(lambda: refusals(worker) >= 3, "attempts to consume")

    client.connect()

    assert works(client)
    assert worker.alive


def test_a_run_outlives_its_queue(client: Client, worker: WorkerProcess) -> None:
    task_id = client.compute("sleep", {"seconds": 3})
    client.await_state(task_id, TaskState.STARTED)
    client.delete(COMPUTE)
    client.until(lambda: refusals(worker) >= 1, "attempt to consume")

    client.connect()

    assert client.outcome(task_id).result == 3
    assert works(client)


def test_a_queue_that_a_worker_may_not_read_is_consumed_once_it_may(
    client: Client, broker: Broker, worker: WorkerProcess, permit: Callable[..., None]
) -> None:
    permit(read="^(web|warren)")
    broker.drop_connections()
    with pytest.raises((AMQPError, OSError)):  # the connection of the test is dropped, too
        client.until(lambda: False, "the end of the connection")
    client.connect()
    try:
        client.until(lambda: "ACCESS_REFUSED" in worker.log, "refusal")
    finally:
        permit()

    assert works(client)


@pytest.mark.parametrize("missing", ["exchange", "queue", "permission"])
def test_a_result_waits_until_it_can_be_delivered(
    missing: str, client: Client, worker: WorkerProcess, permit: Callable[..., None]
) -> None:
    task_id = client.compute("sleep", {"seconds": 5})  # the fault has to come meanwhile
    client.await_state(task_id, TaskState.STARTED)
    if missing == "exchange":
        client.delete(topology.results_exchange("compute"))
    elif missing == "queue":
        client.delete(topology.WEB_RESULTS)
    else:
        permit(write="^warren.tasks$")
    try:
        worker.await_record(event="result not delivered yet", correlation_id=task_id)
    finally:
        if missing == "permission":  # its connection is as good as before, and may get the result
            permit()
        else:
            client.connect()

    assert client.outcome(task_id).result == 5
    assert client.states(task_id) == [(TaskState.STARTED, 1), (TaskState.SUCCESS, 1)]
    assert client.dead == []
    assert works(client)


def test_a_memory_alarm_takes_no_run_away(
    client: Client, start_worker: StartWorker, broker: Broker
) -> None:
    worker = start_worker(BROKER_HEARTBEAT="3")
    task_id = client.compute("sleep", {"seconds": 9})  # longer than the broker waits for a sign
    client.await_state(task_id, TaskState.STARTED)
    broker.raise_memory_alarm()
    try:
        worker.await_record(event="task done", task_id=task_id)
    finally:
        broker.clear_memory_alarm()

    assert client.outcome(task_id).result == 9
    assert works(client)
    assert client.states(task_id) == [(TaskState.STARTED, 1), (TaskState.SUCCESS, 1)]
    assert "Connection to broker lost" not in worker.log
