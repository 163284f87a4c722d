"""Whatever order results arrive in, and however often, the job ends in the right state."""

from itertools import pairwise
from random import Random
from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from msgspec import structs
from pytest_django import Settings

from contracts.errors import TaskReturnedError
from contracts.events import TaskError, TaskEvent, TaskState
from web.jobs.models import Job
from web.jobs.results import JOBS
from web.jobs.tests.factories import BEGINNING, event, make_job, make_user
from web.messaging.broker.arrivals import Arrival
from web.messaging.letters.dead_letters import event_of
from web.messaging.letters.making import of_arrival
from web.messaging.models import OutboxMessage

pytestmark = pytest.mark.django_db
S = TaskState


def apply(*events: TaskEvent) -> None:
    with transaction.atomic():
        JOBS.apply(events)


@pytest.fixture
def job() -> Job:
    return make_job(make_user())


def run_of(job: Job, attempt: int, ending: TaskState | None) -> list[TaskEvent]:
    progress = [event(job.id, S.PROGRESS, attempt, done=done) for done in (2, 5)]
    end = [event(job.id, ending, attempt, second=9)] if ending else []
    return [event(job.id, S.STARTED, attempt), *progress, *end]


# A run that ends without a word was killed; the broker delivers its message again.
HISTORIES = {
    (S.SUCCESS,): "succeeded",
    (S.FAILURE,): "failed",
    (S.REVOKED,): "cancelled",
    (None, S.SUCCESS): "succeeded",
    (None, None, S.FAILURE): "failed",
    (S.FAILURE, S.SUCCESS): "succeeded",
    (S.SUCCESS, None): "succeeded",
    (S.SUCCESS, S.FAILURE): "succeeded",
    (None, None): "running",
}


@pytest.mark.parametrize(("endings", "state"), HISTORIES.items())
@examples(max_examples=25)
@given(seed=st.integers(), cuts=st.lists(st.integers(0, 30), max_size=6))
def test_any_order_repetition_and_batching_of_a_history_ends_in_its_state(
    endings: tuple[TaskState | None, ...], state: str, job: Job, seed: int, cuts: list[int]
) -> None:
    with transaction.atomic():
        job = make_job(job.owner)
        runs = [run_of(job, number, end) for number, end in enumerate(endings, 1)]
        arrivals = [arrival for run in runs for arrival in run] * 2
        Random(seed).shuffle(arrivals)  # noqa: S311
        edges = sorted({0, len(arrivals), *(cut for cut in cuts if cut < len(arrivals))})
        for start, end in pairwise(edges):
            apply(*arrivals[start:end])
        job.refresh_from_db()
        assert job.state == state
        assert job.result == (10 if state == "succeeded" else None)
        assert job.started_at is not None
        assert (job.finished_at is not None) == (state != "running")
        assert bool(job.error) == (state == "failed")


def test_the_usual_way_shows_progress_worker_and_times(job: Job) -> None:
    apply(event(job.id, S.STARTED))
    apply(event(job.id, S.PROGRESS, done=4))
    job.refresh_from_db()
    assert (job.state, job.progress) == ("running", {"done": 4, "total": 10})
    apply(event(job.id, S.SUCCESS, second=30))
    job.refresh_from_db()
    assert job.progress == {"done": 10, "total": 10}
    assert (job.attempt, job.worker) == (1, "compute-1@host")
    assert job.started_at is not None
    assert job.finished_at is not None
    assert BEGINNING < job.started_at < job.finished_at


def test_a_result_beyond_its_limit_is_a_failure_and_not_stored(
    job: Job, settings: Settings
) -> None:
    settings.JOB_SIZE_LIMIT = 16  # KiB
    fits, large = job, make_job(job.owner)
    for each, size in ((fits, 16 * 1024 - 2), (large, 16 * 1024 - 1)):  # and two quotes
        apply(structs.replace(event(each.id, S.SUCCESS), result="x" * size))
        each.refresh_from_db()
    assert fits.state == "succeeded"
    assert (large.state, large.result) == ("failed", None)
    assert large.error == {
        "type": "ResultTooLarge", "message": "the result is larger than its limit of 16 KiB"
    }  # fmt: skip


def test_progress_of_an_earlier_attempt_is_not_kept(job: Job) -> None:
    apply(event(job.id, S.PROGRESS, 1, done=9))
    apply(event(job.id, S.PROGRESS, 2, done=1))
    job.refresh_from_db()
    assert job.progress == {"done": 1, "total": 10}


def test_a_job_that_has_failed_does_not_begin_anew_with_a_redelivered_run(job: Job) -> None:
    failure, anew = event(job.id, S.FAILURE, second=9), event(job.id, S.STARTED, 2, second=10)
    apply(failure)
    apply(anew)
    apply(failure, anew)
    job.refresh_from_db()
    assert (job.state, job.attempt) == ("failed", 1)
    apply(event(job.id, S.FAILURE, 2, second=12))
    job.refresh_from_db()
    assert (job.state, job.attempt) == ("failed", 2)


def test_a_cancelled_job_stays_cancelled(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(state="cancelled", cancelled_by_user=True)
    apply(event(job.id, S.STARTED), event(job.id, S.SUCCESS))
    job.refresh_from_db()
    assert (job.state, job.result) == ("cancelled", None)


def test_a_worker_that_runs_a_cancelled_job_is_told_to_stop(job: Job) -> None:
    other = make_job(job.owner)
    Job.objects.filter(pk=job.pk).update(state="cancelled", cancelled_by_user=True)
    apply(event(job.id, S.STARTED), event(other.id, S.STARTED))
    [command] = OutboxMessage.objects.all()
    assert b"revoke" in bytes(command.body)
    assert str(job.id).encode() in bytes(command.body)
    assert str(other.id).encode() not in bytes(command.body)


def test_a_cancelled_job_that_has_ended_is_not_told_again(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(state="cancelled", cancelled_by_user=True)
    apply(event(job.id, S.STARTED), event(job.id, S.REVOKED))
    assert not OutboxMessage.objects.exists()


def test_a_transient_failure_is_queued_once_however_often_it_is_told(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(queued_at="2100-01-01T00:00Z")
    apply(event(job.id, S.RETRY), event(job.id, S.RETRY))
    apply(event(job.id, S.RETRY))
    job.refresh_from_db()
    assert job.state == "queued"
    message = OutboxMessage.objects.get(task_id=job.id)
    assert message.headers["retries"] == 1
    assert message.due_at > message.created_at


def test_a_transient_failure_that_lasts_too_long_is_final(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(queued_at="2001-01-01T00:00Z")
    apply(event(job.id, S.RETRY, 2))
    job.refresh_from_db()
    assert (job.state, job.error) == ("failed", {"type": "ValueError", "message": "attempt 2"})
    assert not OutboxMessage.objects.filter(task_id=job.id).exists()


def test_a_run_whose_worker_was_stopped_is_queued_again_at_once_however_late(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(queued_at="2001-01-01T00:00Z")
    returned = TaskError(TaskReturnedError.__name__, "its worker was stopped")
    apply(structs.replace(event(job.id, S.RETRY), error=returned))
    job.refresh_from_db()
    assert job.state == "queued"
    message = OutboxMessage.objects.get(task_id=job.id)
    assert message.headers["retries"] == 1
    assert message.due_at <= timezone.now()


def test_failures_that_may_pass_cost_one_statement_each_however_many_they_are(
    job: Job, django_assert_num_queries: Any
) -> None:
    jobs = [make_job(job.owner) for _ in range(20)]
    with django_assert_num_queries(24):  # a message of the outbox for each, and four for all
        JOBS.apply([event(each.id, S.RETRY) for each in jobs])
    assert OutboxMessage.objects.count() == len(jobs)


def test_results_of_jobs_that_are_gone_are_ignored(job: Job) -> None:
    apply(event(uuid4(), S.SUCCESS), event(job.id, S.STARTED))
    job.refresh_from_db()
    assert job.state == "running"


@pytest.mark.parametrize("failure_first", [True, False])
def test_the_workers_own_reason_beats_the_dead_letters(job: Job, failure_first: bool) -> None:
    headers = {"task": "compute.run", "id": str(job.id), "retries": 0,
               "x-death": [{"reason": "rejected", "queue": "compute"}]}  # fmt: skip
    death = event_of(of_arrival(Arrival(headers, {}, b"[[],{},{}]", "compute.run")))
    assert death is not None
    failure = event(job.id, S.FAILURE)
    for arrival in (failure, death) if failure_first else (death, failure):
        apply(arrival)
    job.refresh_from_db()
    assert job.error == {"type": "ValueError", "message": "attempt 1"}


def test_a_task_that_killed_its_worker_each_time_fails_with_that_reason(job: Job) -> None:
    for attempt in (1, 2, 3, 4):
        apply(event(job.id, S.STARTED, attempt))
    headers = {"task": "compute.run", "id": str(job.id), "retries": 0,
               "x-death": [{"reason": "delivery_limit", "queue": "compute"}]}  # fmt: skip
    death = event_of(of_arrival(Arrival(headers, {}, b"[[],{},{}]", "compute.run")))
    assert death is not None
    apply(death)
    job.refresh_from_db()
    assert job.state == "failed"
    assert job.error is not None
    assert "its worker died, or lost its connection, 4 times" in job.error["message"]


def test_a_job_that_is_tried_again_keeps_its_request_id(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(queued_at="2100-01-01T00:00Z")
    apply(structs.replace(event(job.id, S.RETRY), request_id="abc"))
    assert OutboxMessage.objects.get(task_id=job.id).headers["request_id"] == "abc"


def test_a_replayed_job_is_tried_as_long_as_a_new_one(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(
        created_at="2001-01-01T00:00Z", queued_at="2001-01-01T00:00Z", state="failed", attempt=2
    )
    with transaction.atomic():
        assert JOBS.replay([job.id]) == {job.id: 2}
    apply(event(job.id, S.RETRY, 3))
    job.refresh_from_db()
    assert job.state == "queued"
