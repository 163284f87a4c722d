"""Small jobs in one message: each is answered as if it had come alone, and none harms another."""

import json
import uuid
from typing import Any

import pytest

from contracts.events import TaskState

from .bundled import ADD, COMPUTE_ADD, FOREVER, RETURNED, SUCCESS, ends, outcomes
from .client import Client
from .worker_process import WorkerProcess


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


def test_a_bundle_that_is_revoked_ends_with_all_that_is_open(
    client: Client, worker: WorkerProcess
) -> None:
    bundle = str(uuid.uuid4())
    ids = client.compute_together(FOREVER, ADD, id=bundle)
    client.await_state(ids[0], TaskState.STARTED)
    client.revoke(bundle)
    first, second = ends(client, ids)
    assert first == TaskState.REVOKED
    assert second in (TaskState.REVOKED, RETURNED)
    assert worker.works_on(client)
    assert client.waiting() == 0


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
