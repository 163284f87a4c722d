"""What a worker says of each state of a run, whatever is known of the run at that moment."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from celery.exceptions import TimeLimitExceeded

from contracts.errors import PermanentError, PostponedError, TransientError
from contracts.events import LONGEST_WAIT, Progress, TaskError, TaskState
from worker.backend import UNKNOWN_WORKER, attempt, task_event

STARTED_AT = datetime(2026, 1, 1, tzinfo=UTC)


def request(**headers: Any) -> SimpleNamespace:
    known = {
        "task": "compute.run",
        "hostname": "compute-1@host",
        "request_id": "abc",
        "retries": 0,
        "started_at": STARTED_AT,
    }
    return SimpleNamespace(**(known | headers))


def test_a_success_carries_the_result_and_when_its_run_began() -> None:
    event = task_event("1", 10, "SUCCESS", request())
    assert (event.state, event.result, event.error) == (TaskState.SUCCESS, 10, None)
    assert (event.task, event.worker, event.request_id) == ("compute.run", "compute-1@host", "abc")
    assert event.started_at == STARTED_AT
    assert event.routing_key == "compute.run.success"


def test_a_start_says_when() -> None:
    event = task_event("1", {"pid": 7}, "STARTED", request(started_at=None))
    assert event.started_at == event.at
    assert event.result is None


def test_progress_is_of_its_own_type() -> None:
    event = task_event("1", {"done": 1, "total": 4}, "PROGRESS", request())
    assert (event.progress, event.result) == (Progress(1, 4), None)


def test_a_failure_has_a_type_and_a_message_for_the_client() -> None:
    foreseen = task_event("1", PermanentError("no such table", "LookupError"), "FAILURE", request())
    unforeseen = task_event("1", KeyError("x"), "FAILURE", request())
    too_long = task_event("1", TimeLimitExceeded(30), "FAILURE", request())
    assert foreseen.error == TaskError("LookupError", "no such table")
    assert unforeseen.error == TaskError("KeyError", "'x'")
    assert too_long.error == TaskError("TimeLimitExceeded", "stopped at the hard limit of 30 s")


def test_a_run_that_did_nothing_says_when_to_send_its_task_again() -> None:
    soon = task_event("1", PostponedError("not now", 2.5), "RETRY", request())
    late = task_event("1", PostponedError("not now", 10**9), "RETRY", request())
    failed = task_event("1", TransientError("away"), "RETRY", request())
    assert soon.error == TaskError("PostponedError", "not now")
    assert (soon.again_in, late.again_in, failed.again_in) == (2.5, LONGEST_WAIT, None)


def test_a_task_that_never_ran_still_gets_its_event() -> None:
    event = task_event("1", KeyError("x"), "FAILURE", None)
    assert (event.task, event.worker, event.attempt) == ("unknown", UNKNOWN_WORKER, 1)


def test_attempts_count_retries_and_redeliveries() -> None:
    assert attempt(request()) == 1
    assert attempt(request(retries=2)) == 3
    assert attempt(request(**{"retries": 2, "x-delivery-count": 1})) == 4
    assert attempt(request(**{"retries": None, "x-delivery-count": None})) == 1
