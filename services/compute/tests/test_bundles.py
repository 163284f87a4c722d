"""Small jobs in one message: each is answered as if it had come alone, and none harms another."""

import json
import os
import signal
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import TaskReturnedError
from contracts.events import TaskEvent, TaskState

from .client import Client
from .conftest import StartWorker
from .worker_process import WorkerProcess

ADD = ("add", {"x": 1, "y": 2})
COMPUTE_ADD = {"computation": "add", "arguments": {"x": 1, "y": 2}}
FOREVER = ("sleep", {"seconds": 3600})


@pytest.fixture
def worker(start_worker: StartWorker) -> WorkerProcess:
    """Run a worker of the test's own: no other is there to take its tasks."""
    return start_worker()


def outcomes(client: Client, ids: Sequence[str]) -> list[TaskEvent]:
    """Wait for the end of each first run."""
    return [client.outcome(task_id) for task_id in ids]


def ends(client: Client, ids: Sequence[str]) -> list[str]:
    """Wait for the end of each: its state, or the kind of its error."""
    return [end.error.type if end.error else end.state for end in outcomes(client, ids)]


SUCCESS, RETURNED = TaskState.SUCCESS.value, TaskReturnedError.__name__


def test_each_is_answered_as_if_it_had_come_alone(client: Client, worker: WorkerProcess) -> None:
    asked: list[tuple[str, dict[str, Any]]] = [
        ADD, ("fail", {"message": "no"}), ("be_busy", {}), ("repeat", {"text": "ä", "times": 3}),
        ("add", {"x": "1"}), ("unknown", {}), ("allocate_array", {"mebibytes": 100}), ("fork", {}),
    ]  # fmt: skip
    together = outcomes(client, client.compute_together(*asked, timelimit=[5, 3]))
    alone = outcomes(client, [client.compute(*each, time_limit=5) for each in asked])
    for one, other in zip(together, alone, strict=True):
        assert (one.state, one.result, one.error) == (other.state, other.result, other.error)
        assert (one.task, one.attempt) == ("compute.run", 1)
        assert one.request_id == f"request-{one.task_id}"
        assert one.started_at
        assert one.started_at <= one.at
    assert [end.state for end in together][:3] == ["SUCCESS", "FAILURE", "RETRY"]
    assert worker.alive


def test_progress_is_told_of_the_member_that_makes_it(
    client: Client, worker: WorkerProcess
) -> None:
    ids = client.compute_together(("advance", {"steps": 2, "seconds": 0.01}), ADD)
    assert ends(client, ids) == [SUCCESS, SUCCESS]
    told = [event for event in client.history(ids[0]) if event.state == TaskState.PROGRESS]
    assert told
    assert not [event for event in client.history(ids[1]) if event.state == TaskState.PROGRESS]


def test_one_that_kills_its_process_harms_no_other(client: Client, worker: WorkerProcess) -> None:
    ids = client.compute_together(ADD, ("crash", {}), ADD, ("leave_quietly", {}), ADD)
    # Each goes alone from here on: the one that kills its process again becomes a dead letter.
    assert set(ends(client, ids[1:])) == {RETURNED}
    assert ends(client, ids[:1])[0] in (SUCCESS, RETURNED)
    assert worker.works_on(client)


def test_one_at_its_soft_limit_fails_and_the_rest_is_returned(
    client: Client, worker: WorkerProcess
) -> None:
    ids = client.compute_together(FOREVER, ADD, timelimit=[3, 1])
    assert ends(client, ids) == ["TimeLimitExceeded", RETURNED]
    assert worker.works_on(client)


@pytest.mark.parametrize("deaf", ["ignore_the_limit", "hear_no_signal"])
def test_one_at_its_hard_limit_fails_and_the_rest_is_returned(
    client: Client, worker: WorkerProcess, deaf: str
) -> None:
    ids = client.compute_together((deaf, {}), ADD, timelimit=[2, 1])
    assert ends(client, ids) == ["TimeLimitExceeded", RETURNED]
    assert worker.works_on(client)


def test_limits_count_for_each_alone(client: Client, worker: WorkerProcess) -> None:
    pause = ("sleep", {"seconds": 0.3})
    ids = client.compute_together(*[pause] * 6, timelimit=[2, 1])
    assert ends(client, ids) == [SUCCESS] * 6  # together they take longer than the limit


def test_others_do_not_wait_for_one_that_takes_long(client: Client, worker: WorkerProcess) -> None:
    ids = client.compute_together(ADD, ("sleep", {"seconds": 3}), ADD, timelimit=[9, 8])
    last = client.outcome(ids[2])
    assert last.error
    assert last.error.type == RETURNED
    assert client.states(ids[1]) == [(TaskState.STARTED, 1)]
    assert client.outcome(ids[1]).result == 3
    first = client.outcome(ids[0])
    assert first.result == 3 or (first.error and first.error.type == RETURNED)
    assert client.states(ids[2]) == [(TaskState.RETRY, 1)]  # it did not run after all


def test_a_bundle_that_comes_again_is_returned_as_it_is(
    client: Client, start_worker: StartWorker, tmp_path: Path
) -> None:
    first = start_worker()
    marker = tmp_path / "marker"
    ids = client.compute_together(ADD, ("sleep_at_first", {"marker": str(marker)}), ADD)
    client.until(marker.exists, "first run")
    first.kill()
    start_worker()
    last = [client.await_state(each, TaskState.RETRY) for each in ids[1:]]
    assert {each.error and each.error.type for each in last} == {RETURNED}
    assert (last[0].attempt, last[1].attempt) == (1, 1)
    assert client.waiting() == 0


def test_a_worker_that_stops_returns_what_has_not_ended(
    client: Client, start_worker: StartWorker
) -> None:
    worker = start_worker(SHUTDOWN_TIMEOUT="1")
    ids = client.compute_together(FOREVER, ADD, ADD)
    client.await_state(ids[0], TaskState.STARTED)
    assert worker.terminate() == 0
    assert ends(client, ids) == [RETURNED] * 3
    assert client.waiting() == 0


def test_one_that_is_revoked_is_not_run_and_the_one_that_runs_is_ended(
    client: Client, start_worker: StartWorker
) -> None:
    worker = start_worker(CONCURRENCY="2")
    ids = client.compute_together(FOREVER, ADD, ADD)
    client.await_state(ids[0], TaskState.STARTED)
    client.revoke(ids[0])
    assert client.outcome(ids[0]).state == TaskState.REVOKED
    assert worker.works_on(client)


def test_what_was_revoked_before_it_came_is_not_run(
    client: Client, start_worker: StartWorker, tmp_path: Path
) -> None:
    worker = start_worker(CONCURRENCY="1")
    running = client.compute("sleep", {"seconds": 3})
    client.await_state(running, TaskState.STARTED)
    marker = tmp_path / "marker"
    ids = client.compute_together(ADD, ("sleep_at_first", {"marker": str(marker)}), ADD)
    client.revoke(ids[1])
    assert ends(client, ids) == [SUCCESS, TaskState.REVOKED, SUCCESS]
    assert not marker.exists()
    assert worker.works_on(client)


def test_what_a_worker_holds_are_the_members_that_have_no_end(
    client: Client, start_worker: StartWorker
) -> None:
    start_worker()
    ids = client.compute_together(ADD, FOREVER, ADD)
    client.await_state(ids[1], TaskState.STARTED)
    client.until(lambda: client.reports[-1].holding == [ids[1]], "report of the one that runs")


def test_the_rest_is_returned_when_a_process_is_killed(
    client: Client, worker: WorkerProcess
) -> None:
    ids = client.compute_together(FOREVER, ADD)
    client.await_state(ids[0], TaskState.STARTED)
    for process in worker.children:
        os.kill(process, signal.SIGKILL)
    assert ends(client, ids) == [RETURNED, RETURNED]
    assert worker.works_on(client)


def test_large_results_come_home_too(client: Client, worker: WorkerProcess) -> None:
    large = ("repeat", {"text": "x", "times": 200_000})
    ids = client.compute_together(*[large] * 50)
    assert ends(client, ids) == [SUCCESS] * 50


MEMBER = {"id": str(uuid.uuid4()), "arguments": {"job_id": "1", "computation": "add"}}
NO_BUNDLES: list[Any] = [
    None, [], {}, {"task": "compute.run"}, {"task": "compute.run", "members": []},
    {"task": "compute.run", "members": [MEMBER] * 51}, {"task": 1, "members": [MEMBER]},
    {"task": "compute.unknown", "members": [MEMBER]},
    {"task": "compute.bundle", "members": [MEMBER]},
    {"task": "celery.chain", "members": [MEMBER]},
    {"task": "compute.run", "members": [MEMBER | {"id": "1"}]},
    {"task": "compute.run", "members": [MEMBER | {"arguments": []}]},
    {"task": "compute.run", "members": [MEMBER | {"accepted_at": "today"}]},
]  # fmt: skip


def test_what_is_no_bundle_is_a_dead_letter(client: Client, worker: WorkerProcess) -> None:
    for content in NO_BUNDLES:
        body = json.dumps([[], content, {}]).encode()
        marker = str(uuid.uuid4())
        client.publish(
            body,
            {"task": "compute.bundle", "id": marker, "lang": "py"},
            routing_key="compute.bundle",
            correlation_id=marker,
        )
        assert client.dead_letter(marker).body == body
    assert worker.works_on(client)


def test_a_member_with_a_wrong_payload_is_returned(client: Client, worker: WorkerProcess) -> None:
    ids = client.send_bundle({"computation": "add"}, {"job_id": "1"} | COMPUTE_ADD)
    assert ends(client, ids) == [RETURNED, SUCCESS]
